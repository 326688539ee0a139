"""What follows a send: the plan by the script, and Meta's body of each status (facts §1.8, §1.9)."""

from random import Random

import msgspec
import pytest

from services.simulator.identities import user_id
from services.simulator.numbers import Number
from services.simulator.statuses import UNDELIVERABLE, Script, Sent, Step, plan, update

PHONE = "593987654321"
NUMBER = Number("106540352242922", "+593 2 222 2222", "102290129340398", app_secret="s", webhook_url="http://x")
SENT = Sent(NUMBER, "wamid.HBgMNTkzOTg3NjU0MzIxFQ", PHONE, user_id(PHONE), "text", 1_764_000_000.25, 25, "r1.msg_1.1")
PERSON = {"profile": {"name": "User 4321"}, "wa_id": PHONE, "user_id": user_id(PHONE)}
FREE = {"billable": False, "pricing_model": "PMP", "category": "service", "type": "free_customer_service"}
PAID = {"billable": True, "pricing_model": "PMP", "category": "utility", "type": "regular"}


def script(**changes):
    return msgspec.convert(changes, Script)


def body(status, sent=SENT, **changes):
    return update(sent, Step(status, 0.5, 0.5), script(**changes)).status


def but(**changes):
    return msgspec.structs.replace(SENT, **changes)


def test_statuses_follow_in_order_each_its_delay_after_the_one_before():
    steps = plan(script(delay_ms=[125, 125]), Random(1))
    assert steps == [Step("sent", 0.125, 0.125), Step("delivered", 0.25, 0.25), Step("read", 0.375, 0.375)]


@pytest.mark.parametrize("seed", range(20))
def test_reordering_swaps_two_posts_and_leaves_the_dates_true(seed):
    steps = plan(script(reorder=1.0), Random(seed))
    assert [step.status for step in steps] in (["delivered", "sent", "read"], ["sent", "read", "delivered"])
    dated = sorted(steps, key=lambda step: step.offset)
    assert [step.status for step in dated] == ["sent", "delivered", "read"]


def test_a_duplicate_comes_later_and_is_dated_alike():
    steps = plan(script(sequence=["sent"], duplicate=1.0, delay_ms=[10, 20]), Random(1))
    assert [step.status for step in steps] == ["sent", "sent"]
    assert steps[0].offset == steps[1].offset
    assert steps[0].due < steps[1].due


def test_an_empty_sequence_plans_nothing():
    assert plan(script(sequence=[]), Random(1)) == []


def test_the_first_status_of_a_text():
    assert body("sent") == {
        "id": "wamid.HBgMNTkzOTg3NjU0MzIxFQ",
        "status": "sent",
        "timestamp": "1764000000",
        "recipient_id": PHONE,
        "recipient_user_id": user_id(PHONE),
        "biz_opaque_callback_data": "r1.msg_1.1",
        "pricing": FREE,
    }


BILLED = {
    "sent": ("sent", {}, True),
    "delivered": ("delivered", {}, True),
    "read after delivered": ("read", {}, False),
    "read without delivered": ("read", {"sequence": ["sent", "read"]}, True),
    "played": ("played", {}, False),
}


@pytest.mark.parametrize(("status", "changes", "billed"), BILLED.values(), ids=BILLED.keys())
def test_pricing_stands_on_sent_and_on_one_of_delivered_and_read(status, changes, billed):
    assert ("pricing" in body(status, **changes)) is billed


def test_a_template_is_billed_as_utility():
    assert body("sent", but(type="template"))["pricing"] == PAID


def test_versions_up_to_23_tell_the_conversation_and_its_end_on_sent_only():
    sent, delivered = body("sent", but(version=23)), body("delivered", but(version=23))
    assert sent["conversation"]["expiration_timestamp"] == "1764086400"
    assert delivered["conversation"] == {"id": sent["conversation"]["id"], "origin": {"type": "service"}}
    assert "conversation" not in body("sent", but(version=24))


def test_a_failure_names_the_error_and_neither_contact_nor_user_id():
    failed = update(SENT, Step("failed", 0.5, 0.5), script())
    assert failed.contact is None
    assert failed.status == {
        "id": SENT.wamid,
        "status": "failed",
        "timestamp": "1764000000",
        "recipient_id": PHONE,
        "biz_opaque_callback_data": "r1.msg_1.1",
        "errors": [UNDELIVERABLE],
    }


def test_a_failure_can_be_scripted():
    assert body("failed", errors=[{"code": 131047, "title": "Re-engagement message"}])["errors"] == [
        {"code": 131047, "title": "Re-engagement message"}
    ]


def test_a_user_without_a_phone_is_named_by_user_id_alone():
    sent = update(but(phone="", user_id="EC.1349"), Step("sent", 0.5, 0.5), script())
    assert "recipient_id" not in sent.status
    assert sent.status["recipient_user_id"] == "EC.1349"
    assert sent.contact == {"profile": {"name": "User 1349"}, "user_id": "EC.1349"}


def test_the_contact_stands_beside_every_other_status():
    assert update(SENT, Step("read", 0.5, 0.5), script()).contact == PERSON


def test_without_callback_data_none_is_echoed():
    assert "biz_opaque_callback_data" not in body("sent", but(callback=None))


NONSENSE = {
    "a share over 1": {"duplicate": 1.5},
    "a batch of nothing": {"batch": 0},
    "a negative delay": {"delay_ms": [-1, 5]},
    "one delay": {"delay_ms": [5]},
    "a misspelt field": {"sequenze": ["sent"]},
}


@pytest.mark.parametrize("changes", NONSENSE.values(), ids=NONSENSE.keys())
def test_a_script_that_makes_no_sense_is_refused(changes):
    with pytest.raises(msgspec.ValidationError):
        script(**changes)
