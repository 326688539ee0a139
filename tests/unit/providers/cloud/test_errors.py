import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.providers.cloud.errors import CLASSES, NO_RULE, RULES, classify, refusal, rule_of
from services.providers.contract import NotSent, Refused, Unknown


def answer(code, **more):
    error = {"message": f"(#{code}) said", "type": "OAuthException", "code": code, "fbtrace_id": "AbC"}
    return msgspec.json.encode({"error": error | more})


def refused(status, body):
    outcome = classify(status, body)
    assert isinstance(outcome, Refused)
    return outcome


DETAILS = {"error_data": {"messaging_product": "whatsapp", "details": "Too short a day"}}
HTML = b"<html>502 Bad Gateway</html>"

REFUSED = [
    # label, http status, code, our code, fault, does it pause the account
    ("token expired", 401, 190, "token_invalid", "caller", True),
    ("permission missing", 403, 10, "token_invalid", "caller", True),
    ("permission missing, by range", 403, 230, "token_invalid", "caller", True),
    ("account locked", 400, 131031, "account_restricted", "caller", True),
    ("account unpaid", 400, 131042, "account_unpaid", "caller", True),
    ("number not registered", 400, 133010, "number_not_registered", "caller", True),
    ("window closed", 400, 131047, "window_closed", "caller", False),
    ("user opted out", 400, 131050, "opted_out", "whatsapp", False),
    ("user cannot be reached", 400, 131026, "undeliverable", "whatsapp", False),
    ("BSUID is not enough", 400, 131062, "recipient_unsupported", "caller", False),
    ("template parameters", 400, 132000, "template_variables", "caller", False),
    ("template paused", 400, 132015, "template_not_sendable", "caller", False),
    ("template missing", 404, 132001, "template_not_sendable", "caller", False),
    ("parameter invalid", 400, 100, "invalid_parameter", "caller", False),
    ("a refusal is one under any HTTP status", 500, 131047, "window_closed", "caller", False),
    ("unknown code, 4xx", 400, 999_999, "whatsapp_rejected", "whatsapp", False),
    ("unknown code that is a text", 400, "190", "whatsapp_rejected", "whatsapp", False),
]


@pytest.mark.parametrize(
    ("status", "code", "ours", "fault", "pauses"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_refusal_fails_the_message(status, code, ours, fault, pauses):
    outcome = refused(status, answer(code))
    assert (outcome.code, outcome.fault, outcome.pause_account, outcome.meta["code"]) == (ours, fault, pauses, code)
    assert not outcome.retryable


NOT_SENT = [
    ("throughput", 400, answer(130429), "throttled", None),
    ("pair", 400, answer(131056), "throttled", None),
    ("WABA", 400, answer(80007), "throttled", None),
    ("app", 400, answer(4), "throttled", None),
    ("throttled in a 5xx", 503, answer(130429), "throttled", None),
    ("flow: an hour", 400, answer(132069), "throttled", 3600),
    ("service down", 503, answer(131016), "temporarily_unavailable", None),
    ("overloaded", 500, answer(2), "temporarily_unavailable", None),
    ("something went wrong", 500, answer(131000), "temporarily_unavailable", None),
    ("maintenance: a minute", 400, answer(131057), "temporarily_unavailable", 60),
    ("429 without a code", 429, HTML, "throttled", None),
    ("429 with an unknown code", 429, answer(999_999), "throttled", None),
    ("408 without a code", 408, b"", "temporarily_unavailable", None),
    ("unknown code that WhatsApp calls transient", 400, answer(999_999, is_transient=True), "temporarily_unavailable",
     None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "reason", "wait"), [row[1:] for row in NOT_SENT], ids=[row[0] for row in NOT_SENT]
)
def test_throttled_and_temporary_are_known_not_sent(status, body, reason, wait):
    outcome = classify(status, body)
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.retry_after_seconds) == (reason, wait)


UNKNOWN = [
    ("500 without a body", 500, b""),
    ("502 of a proxy", 502, HTML),
    ("503 with an unknown code", 503, answer(999_999)),
    ("500 with an unknown code that is transient", 500, answer(999_999, is_transient=True)),
    ("500 and an error that is no object", 500, b'{"error":"x"}'),
    ("500 and JSON without end", 500, b"[" * 5000),
    ("a redirect", 302, b""),
]


@pytest.mark.parametrize(("status", "body"), [row[1:] for row in UNKNOWN], ids=[row[0] for row in UNKNOWN])
def test_an_answer_that_does_not_say_leaves_the_outcome_unknown(status, body):
    assert classify(status, body) == Unknown(f"http_{status}")


def test_a_4xx_that_no_code_explains_is_a_refusal_with_its_status():
    outcome = refused(403, HTML)
    assert (outcome.code, outcome.detail, outcome.meta) == ("whatsapp_rejected", "HTTP 403", {})


def test_the_wait_that_the_answer_names_goes_before_the_tables():
    assert classify(400, answer(132069), 7.0) == NotSent(
        reason="throttled", retry_after_seconds=7.0, meta={"code": 132069, "fbtrace_id": "AbC"}
    )


def test_a_refusal_says_what_whatsapp_said():
    outcome = refused(400, answer(131009, error_subcode=2494010, **DETAILS))
    assert (outcome.title, outcome.detail) == ("A parameter's value is not valid", "Too short a day")
    assert outcome.meta == {"code": 131009, "subcode": 2494010, "details": "Too short a day", "fbtrace_id": "AbC"}


def test_details_may_be_a_plain_text():
    assert refused(400, answer(100, error_data="name is taken")).meta["details"] == "name is taken"


def test_a_failed_status_is_put_into_the_same_words():
    outcome = refusal({"code": 131049, "title": "This message was not delivered", "error_data": {"details": "Later"}})
    assert (outcome.code, outcome.detail, outcome.retryable) == ("marketing_withheld", "Later", False)


def test_a_failed_status_of_a_limit_says_that_another_try_may_help():
    assert refusal({"code": 130429}).retryable


def test_an_error_without_anything_is_still_a_refusal():
    assert refusal({}).detail == NO_RULE.title


FACTS = """
AUTH 0 3 10 104 190 200 299 131005
RETRY 1 2 131000 131016 131057 133004 134101
LIM_APP 4 17 32 341 613
LIM_WABA 80007 80008
LIM_PHONE 130429 131048 131208
LIM_PAIR 131056
LIM_FLOW 132069
RCPT 130403 130472 130497 131026 131049 131050 137000
MSG 100 131008 131009 131014 131020 131021 131030 131041 131047 131051 131053 131055 131059 131062 131201 131213
MSG 132000 132005 132008 132012 132018 134100 135000 138000 138018 139000 139004 139100 139103
TMPL 131063 132001 132007 132015 132016 132068
ACCT 33 368 131031 131037 131042 131044 131045 131064 131207 131214 131215 133010 134011 134102 134103 139200
REG 133000 133005 133006 133008 133009 133015 133016 2388012 2388091 2388093 2388103 2494100
MGMT 147001 147005 200005 200007 2388019 2388039 2388040 2388047 2388072 2388073 2388293 2388299 2388318 2388330
MGMT 2494055 2494164 2494179 2593107 2593109 1752041
INBOUND 131052 131060
"""
CLASSIFIED = [(int(code), line.split()[0]) for line in FACTS.strip().splitlines() for code in line.split()[1:]]


@pytest.mark.parametrize(("code", "class_"), CLASSIFIED)
def test_every_code_of_the_facts_has_its_class(code, class_):
    assert rule_of(code).class_ == class_


def test_every_row_has_a_class_a_code_of_ours_a_source_and_a_sentence():
    for code, rule in RULES.items():
        assert rule.class_ in CLASSES, code
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", rule.code), code
        assert rule.source in {"D", "G", "P", "W"}, code
        assert rule.title[0].isupper(), code
        assert not rule.title.endswith("."), code


def test_what_may_be_repeated_is_throttled_or_temporary_and_nothing_else():
    repeated = {rule.code for rule in RULES.values() if rule.retry in {"backoff", "throttle"}}
    assert repeated == {"throttled", "temporarily_unavailable"}


@given(st.integers(300, 599), st.binary() | st.builds(answer, st.integers() | st.none() | st.text()))
def test_every_answer_has_an_outcome(status, body):
    assert isinstance(classify(status, body), Refused | NotSent | Unknown)
