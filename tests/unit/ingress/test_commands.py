"""A command on its way: id from the key, lane by priority, life by class, reply within the wait."""

from datetime import timedelta

import msgspec
import pytest

from services.domain.ids import RecordName
from services.domain.message import decode_command
from services.domain.replies import Reply
from services.ingress.auth import Policy
from services.runtime.clock import new_uuid7
from services.streams.codec import Record
from services.streams.producer import Outcome
from services.streams.topics import TopicName
from tests.unit.ingress.fakes import policy_rows

TEXT = {"account_id": "acc_a", "phone_number": "+593 (98) 765-4321", "type": "text", "content": "Hola"}
TEMPLATE = {"account_id": "acc_a", "phone_number": "+593987654321", "template_id": "welcome", "language": "es"}


async def sent(stage, body, **headers):
    answer = await stage.send(body, **headers)
    assert answer.status_code == 202, answer.text
    return decode_command(stage.producer.records[-1].value)


def replying(stage, **reply):
    """Have a reply to each command arrive before its produce returns."""

    def answer(outgoing):
        to = dict(outgoing.headers)["reply_to"].decode().split("/")
        value = msgspec.json.encode(Reply(message_id=decode_command(outgoing.value).message_id, **reply))
        stage.deps.replies.take(reply_record(value, copy=to[1], request=to[2]))

    stage.producer.on_record = answer


def reply_record(value, **headers):
    encoded = {name: text.encode() for name, text in headers.items()}
    return Record(TopicName.REPLY, 0, 0, "", value, encoded, 0, RecordName(new_uuid7(), 0))


async def test_a_phone_number_is_taken_as_people_write_it(stage):
    assert (await sent(stage, TEXT)).to.phone == "+593987654321"


async def test_a_key_makes_the_id_and_chance_makes_it_otherwise(stage):
    keyed = [(await sent(stage, TEXT, **{"Idempotency-Key": "k"})).message_id for _ in range(2)]
    others = [(await sent(stage, TEXT)).message_id for _ in range(2)]
    assert len({*keyed, *others}) == 3
    assert {stage.deps.ids.account_no(one) for one in (*keyed, *others)} == {1}


@pytest.mark.parametrize(
    ("priority", "topic", "life"),
    [("urgent", TopicName.SEND_URGENT, timedelta(minutes=10)), ("normal", TopicName.SEND_NORMAL, timedelta(hours=24)),
     ("bulk", TopicName.SEND_BULK, timedelta(hours=24))],
)  # fmt: skip
async def test_priority_chooses_lane_and_life(stage, priority, topic, life):
    command = await sent(stage, TEXT | {"priority": priority})
    assert stage.producer.records[-1].topic == topic
    assert command.not_after - command.accepted_at == life


async def test_life_begins_with_not_before(stage):
    command = await sent(stage, TEXT | {"not_before": "2026-12-24T20:00:00-05:00"})
    assert (command.not_before.isoformat(), command.not_after.isoformat()) == (
        "2026-12-25T01:00:00+00:00", "2026-12-26T01:00:00+00:00",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "positional", "named"),
    [
        (None, [], {}), ([], [], {}), ({}, [], {}),
        (["Juan", "Quito"], ["Juan", "Quito"], {}),
        ({"2": "Quito", "1": "Juan"}, ["Juan", "Quito"], {}),
        ({"name": "Juan", "city": "Quito"}, [], {"name": "Juan", "city": "Quito"}),
    ],
)  # fmt: skip
async def test_variables_are_written_in_three_ways(stage, variables, positional, named):
    command = await sent(stage, TEMPLATE | {"variables": variables})
    assert (command.template.positional, command.template.named) == (positional, named)


async def test_class_metadata_and_policy_travel_with_the_command(stage):
    command = await sent(stage, TEXT | {"class": "marketing", "metadata": {"a": 1}, "outcome_policy": "at_most_once",
                                        "reply_to": "wamid.1", "preview_url": True})  # fmt: skip
    assert (command.message_class, command.metadata, command.outcome_policy, command.reply_to, command.preview_url) == (
        "marketing", {"a": 1}, "at_most_once", "wamid.1", True,
    )  # fmt: skip


async def test_a_clients_trace_goes_on(stage):
    trace = "0af7651916cd43dd8448eb211c80319c"
    await stage.send(TEXT, traceparent=f"00-{trace}-b7ad6b7169203331-01")
    assert dict(stage.producer.records[-1].headers)["traceparent"].split(b"-")[1].decode() == trace
    refused = await stage.send(TEXT | {"x": 1}, traceparent=f"00-{trace}-b7ad6b7169203331-01")
    assert refused.json()["trace_id"] == trace


@pytest.mark.parametrize("outcome", [Outcome.NOT_SENT, Outcome.UNKNOWN])
async def test_a_command_that_is_not_durable_is_503_and_may_be_repeated(stage, outcome):
    stage.producer.outcome = outcome
    answer = await stage.send(TEXT)
    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (503, "not_durable", True)
    assert answer.json()["message_id"].startswith("msg_")


@pytest.mark.parametrize("status", ["sent", "delivered", "read", "played"])
async def test_201_always_says_sent(stage, status):
    replying(stage, status=status, whatsapp_message_id="wamid.1", sent_at="2026-11-24T12:00:00.000Z")
    answer = await stage.send(TEXT, Prefer="wait=5")
    assert (answer.status_code, answer.json()["status"]) == (201, "sent")


@pytest.mark.parametrize("status", ["expired", "cancelled", "unknown"])
async def test_an_outcome_without_an_id_is_named_in_a_202(stage, status):
    replying(stage, status=status)
    answer = await stage.send(TEXT, Prefer="wait=5")
    assert (answer.status_code, answer.json()["status"]) == (202, status)


async def test_metas_own_words_stand_in_the_refusal(stage):
    meta = {"code": 131026, "subcode": 1, "details": "Message undeliverable", "fbtrace_id": "A"}
    replying(stage, status="failed", error={"code": "whatsapp_rejected", "title": "Undeliverable", "meta": meta})
    problem = (await stage.send(TEXT, Prefer="wait=5")).json()
    assert (problem["code"], problem["fault"], problem["meta"]) == ("whatsapp_rejected", "whatsapp", meta)


async def test_nobody_waits_beyond_the_cap_or_after_the_end(stage):
    stage.deps.replies._cap = 0
    await sent(stage, TEXT, Prefer="wait=5")
    stage.deps.replies._cap = 10
    stage.deps.replies.close()
    await sent(stage, TEXT, Prefer="wait=5")
    assert all("reply_to" not in dict(record.headers) for record in stage.producer.records)


async def test_who_waits_is_let_go_at_the_end(stage):
    stage.producer.on_record = lambda _record: stage.deps.replies.close()
    await sent(stage, TEXT, Prefer="wait=5")


async def test_an_unreadable_or_foreign_reply_is_nobodys(stage):
    replies = stage.deps.replies
    good = msgspec.json.encode(Reply(message_id="m", status="sent"))
    with replies.expect() as waiting:
        copy, request = replies.copy, waiting.reply_to.request
        replies.take(reply_record(good))
        replies.take(reply_record(good, copy="other", request=request))
        replies.take(reply_record(good, copy=copy, request="other"))
        replies.take(reply_record(b"{}", copy=copy, request=request))
        assert await waiting.reply(0) is None
        replies.take(reply_record(good, copy=copy, request=request))
        assert (await waiting.reply(0)).message_id == "m"
    assert replies._waiting == {}


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("", 0.5), ("wait=0", 0.0), ("respond-async", 0.0), ("return=minimal, wait=0", 0.0), ("wait=9999", 0.5),
     ("wait=-1", 0.5), ("wait=abc", 0.5), ('WAIT="0"', 0.0), ("wait=0; x=1", 0.0)],
)  # fmt: skip
async def test_prefer_shortens_the_wait_and_never_lengthens_it(stage, monkeypatch, given, seconds):
    waits = []

    async def reply(self, seconds):
        waits.append(seconds)

    monkeypatch.setattr("services.ingress.replies.Waiting.reply", reply)
    await sent(stage, TEXT, Prefer=given)
    assert waits == ([seconds] if seconds else [])


async def test_an_unreadable_policy_file_lets_nobody_new_in_and_locks_nobody_out(tmp_path):
    path = tmp_path / "policy.json"
    policy = Policy(str(path))

    def role():
        grant = policy.grant("agent-of-a")
        return grant.role if grant else None

    assert role() is None
    path.write_bytes(msgspec.json.encode({"tokens": policy_rows()}))
    assert role() == "agent"
    path.write_text("{half")
    assert role() == "agent"
    path.unlink()
    assert role() is None
