"""Signatures of pushes, made with the Standard Webhooks library itself."""

import base64
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from services.simulator.calls import Call, ControlError
from services.simulator.orchestrator import Endpoint, signature_is_good

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
KEY = Endpoint("/hook", SECRET).key()
BODY = '{"event_id":"0b6c","content":"señora"}'
AT = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def call(body=BODY, **changes):
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(AT.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("evt_1", AT, BODY),
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    return Call("POST", "/hook", b"", [(n.encode(), v.encode()) for n, v in headers.items()], body.encode())


def good(made, later=0):
    return signature_is_good(KEY, made, AT.timestamp() + later)


def test_a_push_signed_by_the_library_is_good():
    assert good(call())


def test_one_good_signature_among_several_is_enough():
    right = Webhook(SECRET).sign("evt_1", AT, BODY)
    assert good(call(webhook_signature=f"v1,AAAA {right} v1a,BBBB"))


WRONG = {
    "another body": call(body=BODY + " "),
    "another id": call(webhook_id="evt_2"),
    "another time": call(webhook_timestamp=str(int(AT.timestamp()) + 1)),
    "no signature": call(webhook_signature=""),
    "another secret": call(
        webhook_signature=Webhook("whsec_" + base64.b64encode(b"x" * 32).decode()).sign("evt_1", AT, BODY)
    ),
    "a time that is no number": call(webhook_timestamp="soon"),
}


@pytest.mark.parametrize("made", WRONG.values(), ids=WRONG.keys())
def test_a_signature_over_anything_else_is_bad(made):
    assert not good(made)


@pytest.mark.parametrize("later", [-301, 301])
def test_an_old_or_future_push_is_bad(later):
    assert not good(call(), later)


def test_a_secret_that_is_not_base64_is_refused():
    with pytest.raises(ControlError):
        Endpoint("/hook", "whsec_!").key()
