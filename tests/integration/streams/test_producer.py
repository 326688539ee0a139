"""The bounded produce on a broker that refuses, freezes and dies."""

import asyncio
import contextlib
from collections import Counter
from typing import Any

import pytest

from services.devstack import kafka
from services.devstack.stack import Stack
from services.domain.errors import DependencyAwayError
from services.streams import connection
from services.streams.producer import Outcome, Producer
from services.streams.topics import TopicName
from tests.integration.streams.kit import Gate, Run, record, records, until, until_committed

RAW = TopicName.RAW
EVENTS = TopicName.EVENT_MESSAGE
BLOCK = "x" * 100_000  # two of them do not fit into one batch


async def test_a_poisoned_partition_is_cured_by_a_new_producer(run: Run):
    """A batch refused by the broker uses up a sequence number: the old client would fail there for ever."""
    await run.create({EVENTS: 1}, **{"max.message.bytes": "2000"})
    async with run.producer() as producer:
        await producer.produce([record(EVENTS, "before")])
        with pytest.raises(DependencyAwayError, match="MessageSizeTooLargeError"):
            await producer.produce([record(EVENTS, "x" * 3000)])
        await until(lambda: producer.counts["rebuilt"] == 1)
        await producer.produce([record(EVENTS, "after")])
    assert [one.value for one in await run.log(EVENTS)] == [b"before", b"after"]


@pytest.mark.parametrize("fault", ["frozen", "dead"])
async def test_a_produce_is_durable_not_sent_or_unknown_and_each_word_is_true(run: Run, stack: Stack, fault: str):
    await run.create({RAW: 1})
    outcomes: dict[str, Outcome] = {}

    async def post(producer: Producer, value: str) -> None:
        outcomes[value] = await producer.produce_one(record(RAW, value), 1.0)

    # a clean end: to a client it is the same refused connection as kill -9, and the broker is back sooner
    async with run.producer() as producer:
        await post(producer, "durable")
        await asyncio.to_thread(kafka.freeze if fault == "frozen" else kafka.stop, stack)
        try:
            await asyncio.gather(*(post(producer, f"{n}{BLOCK}") for n in range(4)))
        finally:
            await asyncio.to_thread(kafka.thaw if fault == "frozen" else kafka.start, stack)
        counted = Counter(outcomes.values())
        assert outcomes["durable"] is Outcome.DURABLE
        assert counted[Outcome.UNKNOWN] > 0
        assert counted[Outcome.NOT_SENT] > 0
        await until(lambda: producer.counts["late_durable"] == counted[Outcome.UNKNOWN], 60)
        await post(producer, "after")
        assert producer.counts["rebuilt"] == 0, "the broker was only away"
    written = {one.value.decode() for one in await run.log(RAW)}
    assert written == {value for value, outcome in outcomes.items() if outcome is not Outcome.NOT_SENT}


async def test_records_of_one_call_keep_their_order_and_survive_a_frozen_broker(run: Run, stack: Stack):
    await run.create({EVENTS: 1})
    async with run.producer() as producer:
        await asyncio.to_thread(kafka.freeze, stack)
        producing = asyncio.create_task(producer.produce(records(EVENTS, range(100)), 30.0))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(kafka.thaw, stack)
        await producing
    assert [one.value for one in await run.log(EVENTS)] == [b"%d" % n for n in range(100)]


def test_a_stop_while_the_broker_is_frozen_is_bounded_and_leaves_no_task(run: Run, stack: Stack):
    """On a loop of its own: other fixtures' clients open connections when they like."""

    async def scenario() -> None:
        await run.create({EVENTS: 1})
        producer = Producer(run.settings, run.topics)
        await producer.start()
        await producer.produce([record(EVENTS, "before")])
        kafka.freeze(stack)
        try:
            assert await producer.produce_one(record(EVENTS, "x"), 0.3) is Outcome.UNKNOWN
            await producer.stop(0.3)
        finally:
            kafka.thaw(stack)
        with contextlib.suppress(TimeoutError):
            await until(lambda: len(asyncio.all_tasks()) == 1)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert producer.counts["late_failed"] == 1

    asyncio.run(scenario())


async def test_a_room_stands_still_while_the_broker_is_frozen_and_goes_on_without_a_rebalance(run: Run, stack: Stack):
    await run.create({RAW: 1, EVENTS: 1})
    await run.write(*records(RAW, range(10)))
    handler = Gate()
    async with run.room(handler) as room:
        await until_committed(run, "sender", {(RAW, 0): 10})
        await run.write(*records(RAW, range(10, 20)))
        await asyncio.to_thread(kafka.freeze, stack)
        await asyncio.sleep(2)
        await asyncio.to_thread(kafka.thaw, stack)
        await run.write(*records(RAW, range(20, 30)))
        await until_committed(run, "sender", {(RAW, 0): 30})
        assert room.assignment.epoch == 1
    assert handler.seen == [b"%d" % n for n in range(30)]


async def test_a_record_put_into_an_open_batch_lands_as_a_sent_one(run: Run):
    """The short way uses private names of the client: same partition for a key, same order, key, headers and bytes."""
    await run.create({RAW: 7})
    topic = run.topics.full(RAW)
    client = await connection.connect(run.bootstrap)
    put: list[asyncio.Future[Any] | None] = []
    try:
        for key in (b"%d" % n for n in range(50)):
            first = await client.send(topic, b"sent", key, headers=[("ce_id", b"a.0")])
            put.append(connection.put(client, topic, None, key, b"put", [("ce_id", b"b.0")]))
            places = await first, await put[-1] if put[-1] else None
            assert places[1] is None or places[1].partition == places[0].partition
    finally:
        await connection.stop(client, 5.0)
    assert None not in put, "the batch of the sent one was still open"
    log = await run.log(RAW)
    assert [one.value for one in log] == [b"sent", b"put"] * 50
    assert [one.header("ce_id") for one in log] == ["a.0", "b.0"] * 50
    assert [one.key for one in log[::2]] == [one.key for one in log[1::2]]


async def test_there_is_nothing_to_put_a_record_into_without_an_open_batch(run: Run):
    await run.create({RAW: 1})
    topic = run.topics.full(RAW)
    client = await connection.connect(run.bootstrap)
    try:
        assert connection.put(client, topic, None, b"k", b"v", []) is None, "the topic is not known yet"
        await client.send_and_wait(topic, b"v", b"k")
        assert connection.put(client, topic, None, b"k", b"v", []) is None, "no batch is open"
        await client.send(topic, BLOCK.encode(), b"k")
        assert connection.put(client, topic, None, b"k", BLOCK.encode(), []) is None, "it does not fit in"
        await client.send_and_wait(topic, b"v", b"k")
    finally:
        await connection.stop(client, 5.0)
    assert connection.put(client, topic, None, b"k", b"v", []) is None, "the client is closed"
