"""A push is signed as the Standard Webhooks libraries check it."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from services.notifier.signature import SecretError, headers, key_of, sign

KEYS = st.binary(min_size=1, max_size=64)


def whsec(key: bytes) -> bytes:
    return b"whsec_" + base64.b64encode(key)


@given(KEYS, st.uuids().map(str), st.text(st.characters(codec="utf-8")), st.integers(0, 2**32))
def test_a_signature_is_the_librarys(key, event_id, text, timestamp):
    moment = datetime.fromtimestamp(timestamp, UTC)
    expected = Webhook(whsec(key).decode()).sign(event_id, moment, text)

    assert sign([whsec(key)], event_id, timestamp, text.encode()) == expected


def test_while_a_secret_is_being_replaced_the_old_and_the_new_one_both_verify():
    body = json.dumps({"text": "¡hola!"}).encode()
    now = int(datetime.now(UTC).timestamp())  # noqa: TID251 - the library compares with the real clock
    sent = headers([whsec(b"new"), whsec(b"old")], "evt_1", now, body)

    for key in (b"new", b"old"):
        Webhook(whsec(key).decode()).verify(body, sent)
    with pytest.raises(WebhookVerificationError):
        Webhook(whsec(b"other").decode()).verify(body, sent)


def test_the_id_is_the_same_and_the_time_another_at_each_attempt():
    first, second = (headers([whsec(b"key")], "evt_1", at, b"{}") for at in (100, 160))

    assert first["webhook-id"] == second["webhook-id"] == "evt_1"
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("100", "160")
    assert first["webhook-signature"] != second["webhook-signature"]


def test_base64_may_lack_its_padding():
    assert key_of(b"whsec_a2V5MQ") == key_of(b"whsec_a2V5MQ==") == b"key1"


@pytest.mark.parametrize("secret", [b"", b"a2V5", b"whsec_", b"whsec_***", b"whsec_\xff\xff"])
def test_what_is_no_signing_secret_is_refused(secret):
    with pytest.raises(SecretError):
        key_of(secret)
