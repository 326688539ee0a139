"""What a demonstration calls right: each cross-check fails on the one thing that it is there for."""

import base64
import hashlib
import hmac
import json
from typing import Any

import msgspec
import pytest

from services.devstack import demo_proof, demo_report
from services.devstack.demo_post import Answered, Posted
from services.devstack.demo_report import Evidence, Report, Verdict
from services.devstack.demo_traffic import Command
from services.ledger.books import Book, Difference, Facts, MessageRow

KEY = base64.b64encode(b"k" * 32).decode()
DEMO = {"tenants": [{"company_id": "company_1", "orchestrator_secret": f"whsec_{KEY}"}]}
BODY = json.dumps({"event_id": "evt_1", "data": {"company_id": "company_1", "content": "¡hola!"}})


def an_arrival(body: str = BODY, event: str = "evt_1", *, secret: bytes = b"k" * 32, status: int = 200) -> dict:
    digest = hmac.new(secret, f"{event}.7.{body}".encode(), hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(digest).decode()
    headers = {"webhook-id": event, "webhook-timestamp": "7", "webhook-signature": signature}
    return {"headers": headers, "body": body, "answer": {"status": status}}


def a_call(message_id: str = "msg_1", attempt: int = 1) -> dict:
    return {"body": json.dumps({"biz_opaque_callback_data": f"r1.{message_id}.{attempt}"})}


def an_answer(status: int = 201, message_id: str = "msg_1") -> Answered:
    command = Command(company_id="company_1", key="key_1", body={})
    return Answered(command=command, status=status, answer={"id": message_id}, tries=0)


def a_post(kind: str = "one message", status: int = 200, expected: int = 200) -> Posted:
    return Posted(kind=kind, path="/webhook", app=None, body=b"{}", right_signature=True, status=status,
                  expected=expected, tries=0)  # fmt: skip


def evidence(**changed) -> Evidence:
    known: dict[str, Any] = {
        "posted": [a_post()], "answered": [an_answer()], "graph_calls": [a_call()], "arrivals": [an_arrival()],
        "stored_before": set(),
    }  # fmt: skip
    return Evidence(**(known | changed))


def facts(**changed) -> Facts:
    known: dict[str, Any] = {
        "messages": {"msg_1": MessageRow("sent", 1)}, "attempts": {"msg_1": {1: "sent"}},
        "announced": {"evt_1": hashlib.sha256(BODY.encode()).hexdigest()},
    }  # fmt: skip
    return Facts(**(known | changed))


def test_right_evidence_leaves_nothing_wrong():
    assert [one.wrong for one in demo_proof.verdicts(DEMO, evidence(), facts(), [])] == [()] * 6


ONE_THING_WRONG = [
    pytest.param({"posted": [a_post(status=503)]}, {}, "503 instead of 200", id="a webhook was refused"),
    pytest.param({"posted": [a_post(status=200, expected=401)]}, {}, "200 instead of 401", id="a forgery was taken"),
    pytest.param({"posted": [a_post("a house number at another app")]}, {}, "0 set aside",
                 id="a foreign number was not quarantined"),
    pytest.param({"answered": [an_answer(422)]}, {}, "key_1: 422", id="a command was refused"),
    pytest.param({}, {"messages": {}}, "msg_1: no row", id="an answered id has no row"),
    pytest.param({"answered": [an_answer(), an_answer()]}, {}, "answered twice", id="two commands got one id"),
    pytest.param({"graph_calls": []}, {}, "msg_1 attempt 1: never called", id="an answer without a call"),
    pytest.param({"arrivals": []}, {}, "evt_1: never arrived", id="an event did not arrive"),
    pytest.param({"arrivals": [an_arrival(status=500)]}, {}, "evt_1: never arrived", id="an event was not taken"),
    pytest.param({"arrivals": [an_arrival(secret=b"x" * 32)]}, {}, "signature", id="an event was signed wrongly"),
    pytest.param({"arrivals": [an_arrival(BODY.replace("!", "?")), an_arrival()]}, {}, "other bytes",
                 id="an occurrence had other bytes"),
    pytest.param({"arrivals": [an_arrival(), an_arrival(event="evt_7")]}, {}, "nobody's event",
                 id="an event came from nowhere"),
]  # fmt: skip


@pytest.mark.parametrize(("in_evidence", "in_facts", "named"), ONE_THING_WRONG)
def test_what_is_wrong_is_named(in_evidence, in_facts, named):
    verdicts = demo_proof.verdicts(DEMO, evidence(**in_evidence), facts(**in_facts), [])
    assert named in "\n".join(wrong for verdict in verdicts for wrong in verdict.wrong)


def test_an_event_that_was_stored_before_need_not_arrive():
    assert demo_proof.events_arrived(DEMO, evidence(arrivals=[], stored_before={"evt_1"}), facts()).good


def a_report(*, books: list[Book], provocations: list[Verdict]) -> Report:
    return Report(seed=1, messages=300, run="r", seconds=1.0, restarted=False, checks=[], provocations=provocations,
                  books=books, curls=["curl …"], places=[], evidence=evidence())  # fmt: skip


BALANCED = Book("accepted = settled", {"accepted": 1})
UNSETTLED = Book("accepted = settled", {"accepted": 1}, pending=1)
OPEN = Book("accepted = settled", {"accepted": 1}, (Difference("accepted = settled", "lost", "msg_1"),))


@pytest.mark.parametrize(
    ("books", "provocations", "good"),
    [
        pytest.param([BALANCED], [Verdict("3 → 3", "3 rows")], True, id="everything is right"),
        pytest.param([OPEN], [], False, id="a book differs"),
        pytest.param([UNSETTLED], [], False, id="something is still under way"),
        pytest.param([BALANCED], [Verdict("3 → 3", "2 rows", ("wamid.1",))], False, id="a provocation fails"),
    ],
)
def test_a_report_is_good_when_books_checks_and_provocations_are(books, provocations, good):
    report = a_report(books=books, provocations=provocations)
    assert report.good is good
    assert demo_report.text(report).endswith("\nBALANCED") is good
    assert msgspec.json.decode(report.to_json())["balanced"] is good
