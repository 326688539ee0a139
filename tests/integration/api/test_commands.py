"""POST /api/messages on real Kafka: durable before any 2xx, 201 with WhatsApp's id, 202 without it, 422 with its no."""

from datetime import timedelta
from typing import Any

import pytest
from dirty_equals import IsPartialDict, IsStr

from services.devstack import kafka, postgres
from services.domain.ids import derived_id
from services.domain.message import decode_command
from services.domain.replies import Reply
from services.streams.topics import TopicName
from tests.integration.api.kit import template_of, until

REPLIED: dict[str, Any] = {
    "whatsapp_message_id": "wamid.12345", "whatsapp_status": "accepted", "sent_at": "2026-11-24T15:30:45.000Z",
    "conversation_id": "conv_1",
}  # fmt: skip


def text(account, **more):
    return {"account_id": account["id"], "phone_number": "+593987654321", "type": "text", "content": "Hola"} | more


async def test_a_command_stands_on_its_lane_under_its_accounts_key(edge):
    account = await edge.account()
    async with edge.reading(TopicName.SEND_URGENT) as seen:
        answer = await edge.send(text(account, priority="urgent", metadata={"campaign_id": "x"}), Prefer="wait=0")
        (record,) = await seen.some(1)
    command = decode_command(record.value)
    assert (answer.status_code, answer.json()["id"]) == (202, command.message_id)
    assert (record.key, record.name.n, record.tenant) == (f"{account['id']}#0", 0, edge.tenants["api_a"])
    assert (command.to.phone, command.content, command.lane) == ("+593987654321", "Hola", "urgent")
    assert command.not_after == command.accepted_at + timedelta(minutes=10)
    assert "reply_to" not in record.headers


async def test_the_plans_example_works_verbatim(edge):
    account = await edge.account()
    body = {
        "phone_number": "+593987654321", "type": "text", "content": "Hola, este es un mensaje de prueba",
        "account_id": account["id"], "template_id": "welcome_template",
        "variables": {"name": "Juan", "company": "MiEmpresa"},
        "metadata": {"campaign_id": "onboarding-2025", "context": "welcome"},
    }  # fmt: skip
    async with edge.sender(lambda command: Reply(message_id=command.message_id, status="sent", **REPLIED)) as seen:
        answer = await edge.send(body)
    (record,) = seen.records
    command, template = decode_command(record.value), template_of(record)
    assert answer.status_code == 201
    assert answer.json() == IsPartialDict(
        id=command.message_id, whatsapp_message_id="wamid.12345", status="sent", sent_at="2026-11-24T15:30:45.000Z",
        account_id=account["id"], phone_number="+593987654321",
    )  # fmt: skip
    assert answer.headers["location"] == f"/api/messages/{command.message_id}"
    assert template.named == {"name": "Juan", "company": "MiEmpresa"}
    assert (command.type, template.name, template.language) == ("template", "welcome_template", "es")


async def test_the_accounts_language_is_a_templates_default(edge):
    account = await edge.account(settings={"default_language": "pt_BR"})
    async with edge.reading(TopicName.SEND_NORMAL) as seen:
        body = {"account_id": account["id"], "phone_number": "+593987654321", "template_id": "t", "variables": ["a"]}
        await edge.send(body, Prefer="wait=0")
        await edge.send(body | {"language": "en", "variables": {"2": "b", "1": "a"}}, Prefer="wait=0")
        templates = [template_of(record) for record in await seen.some(2)]
    assert [template.language for template in templates] == ["pt_BR", "en"]
    assert [template.positional for template in templates] == [["a"], ["a", "b"]]


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        ({"status": "unknown"}, 202, {"status": "unknown"}),
        ({"status": "waiting"}, 202, {"status": "accepted"}),
        ({"status": "failed", "error": {"code": "whatsapp_rejected", "title": "Too long", "meta_code": 100}}, 422,
         {"code": "whatsapp_rejected", "fault": "whatsapp", "meta": {"code": 100}, "detail": "Too long"}),
        ({"status": "sent", "problem": "idempotency_mismatch"}, 422, {"code": "idempotency_mismatch"}),
        ({"status": "sent", "problem": "idempotency_key_spent"}, 409, {"code": "idempotency_key_spent"}),
    ],
)  # fmt: skip
async def test_the_senders_reply_decides_the_answer(edge, reply, status, body):
    account = await edge.account()
    async with edge.sender(lambda command: Reply(message_id=command.message_id, **reply)) as seen:
        answer = await edge.send(text(account))
    assert (answer.status_code, answer.json()) == (status, IsPartialDict(body))
    message_id = decode_command(seen.records[0].value).message_id
    assert message_id in (answer.json().get("id"), answer.json().get("message_id"))


async def test_without_a_reply_in_time_the_answer_is_202(edge):
    account = await edge.account()
    answer = await edge.send(text(account), Prefer="wait=1")
    assert (answer.status_code, answer.json()) == (202, IsPartialDict(status="accepted", id=IsStr(regex="msg_.{26}")))


async def test_the_same_key_names_the_same_message_and_its_replay_says_so(edge):
    account = await edge.account()

    def answered(command):
        return Reply(message_id=command.message_id, status="sent", replay=len(seen.records) > 1, **REPLIED)

    async with edge.sender(answered) as seen:
        first = await edge.send(text(account), **{"Idempotency-Key": "order-77"})
        again = await edge.send(text(account), **{"Idempotency-Key": "order-77"})
        other = await edge.send(text(account), **{"Idempotency-Key": "order-78"})
    assert first.json() == again.json() != other.json()
    assert ("idempotent-replay" in first.headers, again.headers["idempotent-replay"]) == (False, "true")
    names = {record.name.base for record in seen.records}
    assert len(names) == 3  # a client's second POST is another record


async def test_the_order_of_members_is_no_other_body(edge):
    account = await edge.account()
    body = text(account)
    async with edge.reading(TopicName.SEND_NORMAL) as seen:
        await edge.send(body, Prefer="wait=0")
        await edge.send(dict(reversed(body.items())), Prefer="wait=0")
        await edge.send(body | {"content": "Chao"}, Prefer="wait=0")
        hashes = [decode_command(record.value).body_sha256 for record in await seen.some(3)]
    assert hashes[0] == hashes[1] != hashes[2]


async def test_an_issued_id_without_a_row_is_accepted_and_nobody_elses(edge):
    account = await edge.account()
    message_id = (await edge.send(text(account), Prefer="wait=0")).json()["id"]
    assert (await edge.get(f"/api/messages/{message_id}")).json() == {"id": message_id, "status": "accepted"}
    assert (await edge.get(f"/api/messages/{message_id}/timeline")).json() == {"data": []}
    assert (await edge.get(f"/api/messages/{message_id}", "reader-of-api_b")).status_code == 404
    last = "0" if message_id[-1] != "0" else "1"
    assert (await edge.get(f"/api/messages/{message_id[:-1]}{last}")).status_code == 404


async def test_a_conversation_names_account_and_recipient(edge):
    account, other = await edge.account(), await edge.account()
    talk = derived_id("conv", account["id"])
    edge.write("api_a", "conversations", id=talk, account_id=account["id"], contact_id="cnt_1",
               contact_phone="+593987654321")  # fmt: skip
    body = {"conversation_id": talk, "type": "text", "content": "Hola"}
    async with edge.reading(TopicName.SEND_NORMAL) as seen:
        answers = [await edge.send(body | more, Prefer="wait=0") for more in ({}, {"account_id": account["id"]})]
        commands = [decode_command(record.value) for record in await seen.some(2)]
    assert [answer.json() for answer in answers] == [
        IsPartialDict(status="accepted", account_id=account["id"], phone_number="+593987654321")] * 2  # fmt: skip
    assert {(command.account_id, command.to.conversation_id) for command in commands} == {(account["id"], talk)}
    refused = [
        await edge.send(body | {"account_id": other["id"]}, Prefer="wait=0"),
        await edge.send(body | {"conversation_id": derived_id("conv", "nobody")}, Prefer="wait=0"),
        await edge.send(body, "agent-of-api_b", Prefer="wait=0"),
    ]
    assert [(one.status_code, one.json()["errors"][0]["pointer"]) for one in refused] == [(404, "/conversation_id")] * 3


async def test_an_account_made_elsewhere_is_found_before_it_is_called_unknown(edge):
    account = await edge.account()
    answer = await edge.send(text(account), "agent-of-api_b", Prefer="wait=0")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (404, "/account_id")


async def test_with_kafka_frozen_what_is_taken_stands_in_the_log_as_soon_as_it_is_back(edge, stack):
    """Too much of it is answered 503: tests/integration/faults/test_faults_spool.py."""
    account = await edge.account()
    async with edge.reading(TopicName.SEND_NORMAL, TopicName.RAW) as seen:
        kafka.freeze(stack)
        try:
            command = await edge.send(text(account), Prefer="wait=0")
            webhook = await edge.webhook(b'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{}]}]}')
            await until(lambda: _kafka_is(edge, "degraded"))
        finally:
            kafka.thaw(stack)
        await until(lambda: _are_there(seen, command.json()["id"]), 60.0)
    assert (command.status_code, webhook.status_code) == (202, 200)
    await until(lambda: _kafka_is(edge, "ok"))
    await until(lambda: _is_accepted(edge, account))


async def test_with_postgresql_stopped_commands_of_known_accounts_are_accepted(edge, stack):
    account = await edge.account()
    postgres.stop(stack)
    try:
        known = await edge.send(text(account), Prefer="wait=0")
        webhook = await edge.webhook(b'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{}]}]}')
        read = await edge.get(f"/api/messages/{known.json()['id']}")
        health = (await edge.client.get("/health")).status_code
        # what was read a moment ago still says "unknown"; later nobody can say
        await until(lambda: _is_refused(edge, text(account, account_id="acc_unknown"), "store_unavailable"))
    finally:
        postgres.start(stack)
    assert [known.status_code, webhook.status_code, health] == [202, 200, 200]
    assert (read.status_code, read.json()["code"]) == (503, "store_unavailable")
    await until(lambda: _reads(edge, known.json()["id"]))


async def _kafka_is(edge, state):
    return (await edge.client.get("/health/kafka")).json()["status"] == state


async def _are_there(seen, message_id):
    webhooks = [record for record in seen.records if record.topic == TopicName.RAW]
    return webhooks and any(message_id.encode() in record.value for record in seen.records)


async def _is_accepted(edge, account):
    return (await edge.send(text(account), Prefer="wait=0")).status_code == 202


async def _is_refused(edge, body, code):
    return (await edge.send(body, Prefer="wait=0")).json().get("code") == code


async def _reads(edge, message_id):
    return (await edge.get(f"/api/messages/{message_id}")).status_code == 200
