"""The consume loop on a real broker: what is fetched is settled once, announced, then committed."""

import asyncio

import msgspec

from services.streams.batch import Batch, Dead, Handled
from services.streams.topics import TopicName
from tests.integration.streams.kit import Gate, Run, echo, record, records, until, until_committed

RAW = TopicName.RAW
EVENTS = TopicName.EVENT_MESSAGE


async def test_every_record_is_handled_announced_in_order_and_committed(run: Run):
    await run.create({RAW: 2, EVENTS: 1})
    await run.write(*records(RAW, range(50), partition=0), *records(RAW, range(50, 80), partition=1))
    handler = Gate()
    async with run.room(handler):
        await until_committed(run, "sender", {(RAW, 0): 50, (RAW, 1): 30})
    events = [int(event.value) for event in await run.log(EVENTS)]
    assert sorted(events) == list(range(80))
    assert [value for value in events if value < 50] == list(range(50))


async def test_a_dead_letter_keeps_the_record_and_says_why_and_where(run: Run):
    await run.create({RAW: 1, TopicName.DEAD_SENDER: 1})
    sent = record(RAW, "broken", key="k1", tenant=7)
    await run.write(sent)

    async def refuse(batch: Batch):
        yield Handled(batch.records, dead=[Dead(r, "wrong_app", "the app is another", r.tenant) for r in batch.records])

    async with run.room(refuse):
        await until_committed(run, "sender", {(RAW, 0): 1})
    (dead,) = await run.log(TopicName.DEAD_SENDER)
    assert (dead.key, dead.value) == ("k1", b"broken")
    assert dead.headers["ce_id"] == dict(sent.headers)["ce_id"]
    shown = {name: dead.header(name) for name in ("reason", "detail", "tenant", "from_topic", "from_offset", "room")}
    assert shown == {
        "reason": "wrong_app", "detail": "the app is another", "tenant": "7", "from_topic": RAW, "from_offset": "0",
        "room": "sender",
    }  # fmt: skip


async def test_nothing_is_committed_while_its_batch_is_not_settled(run: Run):
    await run.create({RAW: 1, EVENTS: 1})
    await run.write(*records(RAW, range(3)))
    handler = Gate(is_open=False)
    async with run.room(handler):
        await until(lambda: len(handler.seen) == 3)
        await asyncio.sleep(0.3)
        assert await run.committed("sender") == {}
        handler.opened.set()
        await until_committed(run, "sender", {(RAW, 0): 3})


async def test_a_stop_drains_what_runs_and_commits_it(run: Run):
    await run.create({RAW: 1, EVENTS: 1})
    await run.write(*records(RAW, range(3)))
    handler = Gate(is_open=False)
    async with run.room(handler) as room:
        await until(lambda: len(handler.seen) == 3)
        room.stop.set()
        asyncio.get_running_loop().call_later(0.3, handler.opened.set)
    assert await run.committed("sender") == {(RAW, 0): 3}
    assert [event.value for event in await run.log(EVENTS)] == [b"0", b"1", b"2"]


async def test_full_batches_run_abreast_and_none_holds_a_partition_of_another(run: Run):
    await run.create({RAW: 3, EVENTS: 1})
    for partition in range(3):
        await run.write(*records(RAW, range(10), partition=partition))
    handler = Gate(is_open=False)
    settings = msgspec.structs.replace(run.settings, max_poll_records=5)
    async with run.room(handler, settings=settings, abreast=2):
        await until(lambda: len(handler.batches) == 2)
        await asyncio.sleep(0.3)
        first, second = ({record.partition for record in batch} for batch in handler.batches)
        assert first.isdisjoint(second)
        handler.opened.set()
        await until_committed(run, "sender", {(RAW, number): 10 for number in range(3)})
    for number in range(3):
        assert [int(one.value) for one in handler.settled if one.partition == number] == list(range(10))


async def test_beside_a_batch_that_is_not_full_no_other_begins(run: Run):
    await run.create({RAW: 2, EVENTS: 1})
    await run.write(*records(RAW, range(3), partition=0))
    handler = Gate(is_open=False)
    async with run.room(handler, abreast=2):
        await until(lambda: len(handler.batches) == 1)
        await run.write(*records(RAW, range(3), partition=1))
        await asyncio.sleep(0.3)
        assert len(handler.batches) == 1
        handler.opened.set()
        await until_committed(run, "sender", {(RAW, 0): 3, (RAW, 1): 3})


async def test_replies_are_sent_and_their_loss_stops_nothing(run: Run):
    await run.create({RAW: 1, TopicName.REPLY: 2})
    await run.write(record(RAW, "answer me"))

    async def answer(batch: Batch):
        fitting = record(TopicName.REPLY, "sent", partition=1)
        too_large = record(TopicName.REPLY, "x" * 1_000_000, partition=1)
        yield Handled(batch.records, replies=[too_large, fitting, record(TopicName.REPLY, "nowhere", partition=99)])

    async with run.room(answer):
        await until_committed(run, "sender", {(RAW, 0): 1})
    assert [(r.partition, r.value) for r in await run.log(TopicName.REPLY)] == [(1, b"sent")]


async def test_an_event_too_large_for_its_topic_sets_its_record_aside(run: Run):
    await run.create({RAW: 1, EVENTS: 1, TopicName.DEAD_SENDER: 1})
    await run.write(*records(RAW, ["small", "large", "small too"]))

    async def swell(batch: Batch):
        for one in batch.records:
            event = echo(one)
            if one.value == b"large":
                event = record(EVENTS, "x" * 1_000_000)
            yield Handled((one,), events=[event])

    async with run.room(swell):
        await until_committed(run, "sender", {(RAW, 0): 3})
    assert [event.value for event in await run.log(EVENTS)] == [b"small", b"small too"]
    assert [(d.value, d.header("reason")) for d in await run.log(TopicName.DEAD_SENDER)] == [(b"large", "too_large")]
