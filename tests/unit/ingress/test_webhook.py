"""The webhook: a record per item, under names that a second delivery does not share; 200 only when all are durable."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.ids import item_base, parse_record_name
from services.domain.tenants import HOUSE_APP, App
from services.ingress.signatures import Signatures
from services.providers.cloud.webhook import read_record
from services.streams.producer import Outcome
from tests.unit.ingress.fakes import book, sign


def update(*texts, number="101", statuses=()):
    value = {
        "messaging_product": "whatsapp", "metadata": {"phone_number_id": number},
        "contacts": [{"wa_id": "593987654321", "user_id": "EC.1"}],
        "messages": [{"id": f"wamid.{text}", "from": "593987654321", "from_user_id": "EC.1", "type": "text",
                      "text": {"body": text}} for text in texts],
        "statuses": [{"id": f"wamid.{status}", "status": status, "recipient_id": "593987654321",
                      "recipient_user_id": "EC.1", "timestamp": "1764000000"} for status in statuses],
    }  # fmt: skip
    return {"id": "201", "changes": [{"field": "messages", "value": value}]}


def body_of(*entries):
    return json.dumps({"object": "whatsapp_business_account", "entry": entries}).encode()


async def post(stage, body, path="/webhook"):
    return await stage.webhook(body, {"X-Hub-Signature-256": sign(body)}, path)


async def test_each_item_becomes_a_record_of_its_user(stage):
    body = body_of(update("a", "b", statuses=("sent", "read")), update("c", number="102"))
    assert (await post(stage, body)).json() == {"status": "received"}
    items = [read_record(record.value) for record in stage.producer.records]
    assert [(item.kind, item.number) for item in items] == [
        ("message", "101"), ("message", "101"), ("status", "101"), ("status", "101"), ("message", "102"),
    ]  # fmt: skip
    assert [record.key for record in stage.producer.records] == ["101|EC.1"] * 4 + ["102|EC.1"]
    assert {item.app for item in items} == {HOUSE_APP}
    assert {item.body_sha256 for item in items} == {hashlib.sha256(body).hexdigest()}


async def test_a_second_delivery_has_other_names(stage):
    body = body_of(update("a", "b"))
    await post(stage, body)
    await post(stage, body)
    names = [dict(record.headers)["ce_id"] for record in stage.producer.records]
    assert len(set(names)) == 4
    assert {parse_record_name(name.decode()).n for name in names} == {0}


async def test_names_come_from_receipt_and_path_alone():
    assert item_base("r", "/entry/0") == item_base("r", "/entry/0") != item_base("r", "/entry/1")


async def test_the_record_says_which_app_signed(stage):
    body = body_of(update("a"))
    await stage.webhook(body, {"X-Hub-Signature-256": sign(body, b"own-secret")}, "/webhook/app_b")
    assert [read_record(record.value).app for record in stage.producer.records] == ["app_b"]


@pytest.mark.parametrize("outcome", [Outcome.NOT_SENT, Outcome.UNKNOWN])
async def test_what_is_not_durable_is_not_called_received(stage, outcome):
    stage.producer.outcome = outcome
    answer = await post(stage, body_of(update("a", "b")))
    assert (answer.status_code, answer.json()["code"]) == (503, "not_durable")
    assert answer.headers["retry-after"].isdigit()


async def test_one_item_that_is_not_durable_spoils_the_answer(stage, monkeypatch):
    async def half(outgoing, deadline_seconds):
        return [Outcome.DURABLE] * (len(outgoing) - 1) + [Outcome.UNKNOWN]

    monkeypatch.setattr(stage.app._webhook, "_produce", half)
    assert (await post(stage, body_of(update("a", "b")))).status_code == 503


async def test_before_the_secrets_are_known_nothing_is_refused_for_ever(stage):
    stage.directory.loaded.clear()
    answer = await post(stage, body_of(update("a")))
    assert (answer.status_code, answer.json()["code"]) == (503, "not_durable")


async def test_a_body_over_the_limit_is_not_read_to_its_end(stage):
    """Content-Length may be absent or lie: the limit holds while streaming."""
    read = 0

    async def receive():
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b" " * 1024 * 1024, "more_body": read < 1000}

    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"x-hub-signature-256", sign(b"").encode()), (b"content-length", b"10")]
    scope = {"type": "http", "method": "POST", "path": "/webhook", "query_string": b"", "headers": headers}
    await stage.app(scope, receive, send)
    assert (sent[0]["status"], read) == (413, 4)


async def test_a_client_that_goes_before_its_body_is_there_leaves_nothing(stage):
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def receive():
        return next(messages)

    async def send(message):
        raise AssertionError(message)

    headers = [(b"x-hub-signature-256", sign(b"").encode())]
    scope = {"type": "http", "method": "POST", "path": "/webhook", "query_string": b"", "headers": headers}
    await stage.app(scope, receive, send)
    assert stage.producer.records == []


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=500))
def test_prepared_states_sign_as_hmac_does(secret, body):
    known = book()
    known.apps["x"] = App(id="x", tenant=1, secrets=(secret,), verify_token="t")
    assert Signatures(known).holds("x", body, bytes.fromhex(sign(body, secret)[7:]))


def test_a_secret_that_was_taken_away_signs_no_more():
    known = book()
    signatures = Signatures(known)
    old = bytes.fromhex(sign(b"body", b"house-secret-old")[7:])
    assert signatures.holds(HOUSE_APP, b"body", old)
    known.apps[HOUSE_APP] = App(id=HOUSE_APP, tenant=None, secrets=(b"newest",), verify_token="t")
    assert not signatures.holds(HOUSE_APP, b"body", old)


@pytest.mark.parametrize("secrets", [(), (b"",), (b"", b"x")])
def test_an_app_without_a_real_secret_accepts_nothing(secrets):
    known = book()
    known.apps["x"] = App(id="x", tenant=1, secrets=secrets, verify_token="t")
    for secret in (b"", b"x"):
        assert not Signatures(known).holds("x", b"body", bytes.fromhex(sign(b"body", secret)[7:]))
