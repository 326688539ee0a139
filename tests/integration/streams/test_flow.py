"""Rooms whose work is slow: per key in order, a slow record holds back only its key and the commit."""

import asyncio
from collections import Counter

from services.streams.batch import Batch, Handled
from services.streams.codec import Record
from services.streams.consumer import Flow, Slots
from services.streams.topics import LANE_TOPICS, TopicName
from tests.integration.streams.kit import Run, by_key, echo, record, records, until, until_committed

RAW = TopicName.RAW
EVENTS = TopicName.EVENT_MESSAGE
URGENT, NORMAL, BULK = LANE_TOPICS.values()


class Calls:
    """A room that makes one call a record: those of `slow` keys end when they are let go."""

    def __init__(self, *slow: str) -> None:
        self.slow = set(slow)
        self.let_go = asyncio.Event()
        self.begun: list[Record] = []
        self.chunks: list[tuple[Record, ...]] = []
        self.running: Counter[tuple[str, str]] = Counter()

    async def __call__(self, batch: Batch):
        self.chunks.append(batch.records)
        calls = [asyncio.create_task(self.call(one)) for one in batch.records]
        for ended in asyncio.as_completed(calls):
            one = await ended
            batch.release()
            yield Handled((one,), events=[echo(one)])

    async def call(self, one: Record) -> Record:
        self.begun.append(one)
        key = one.topic, one.key
        self.running[key] += 1
        assert self.running[key] == 1, "two records of one key at once"
        if one.key in self.slow:
            await self.let_go.wait()
        else:
            await asyncio.sleep(0)
        self.running[key] -= 1
        return one

    def values(self, topic: TopicName = RAW) -> list[bytes]:
        return [one.value for one in self.begun if one.topic == topic]


def by_record_key(one: Record) -> str:
    return one.key


async def test_a_slow_record_holds_back_its_key_and_the_commit_and_nothing_else(run: Run):
    await run.create({RAW: 1, EVENTS: 1})
    await run.write(record(RAW, "s0", key="slow"), record(RAW, "s1", key="slow"), *records(RAW, range(30), key="fast"))
    calls = Calls("slow")
    async with run.room(calls, flow=Flow(by_record_key, Slots(10))):
        await until(lambda: len(calls.begun) == 31)
        assert b"s1" not in calls.values()
        assert (await run.committed("sender")).get((RAW, 0), 0) == 0
        calls.let_go.set()
        await until_committed(run, "sender", {(RAW, 0): 32})
    events = by_key(await run.log(EVENTS))
    assert events == {"slow": [b"s0", b"s1"], "fast": [b"%d" % n for n in range(30)]}


async def test_keys_flow_side_by_side_and_each_in_order(run: Run):
    await run.create({RAW: 2, EVENTS: 1})
    sent = [one for n in range(40) for one in records(RAW, [str(n)], key=f"k{n % 7}", partition=n % 7 % 2)]
    await run.write(*sent)
    calls = Calls()
    async with run.room(calls, flow=Flow(by_record_key, Slots(5), chunk=3)):
        await until_committed(run, "sender", {(RAW, 0): 23, (RAW, 1): 17})
    assert by_key(await run.log(EVENTS)) == by_key_of(sent)
    assert max(len(chunk) for chunk in calls.chunks) <= 3


async def test_no_more_is_begun_than_there_are_slots_and_the_last_ones_are_for_urgent_work(run: Run):
    await run.create({URGENT: 1, NORMAL: 1, BULK: 1, EVENTS: 1})
    await run.write(*(record(BULK, str(n), key=f"hang{n}") for n in range(50)))
    calls = Calls(*(f"hang{n}" for n in range(50)))
    flow = Flow(by_record_key, Slots(6, reserved=2))
    async with run.room(calls, flow=flow, subscribed=(URGENT, NORMAL, BULK)):
        await until(lambda: len(calls.begun) == 4)
        await run.write(*(record(NORMAL, str(n), key=f"k{n}") for n in range(3)))
        await run.write(*(record(URGENT, str(n), key=f"k{n}") for n in range(9)))
        await until(lambda: len(calls.values(URGENT)) == 9)
        assert (len(calls.values(BULK)), calls.values(NORMAL)) == (4, [])
        calls.let_go.set()
        await until_committed(run, "sender", {(URGENT, 0): 9, (NORMAL, 0): 3, (BULK, 0): 50})
    assert all(len({one.topic for one in chunk}) == 1 for chunk in calls.chunks)


async def test_a_flood_beyond_the_cap_waits_on_the_broker_and_urgent_records_are_fetched_meanwhile(run: Run):
    await run.create({URGENT: 1, BULK: 1, EVENTS: 1})
    await run.write(*(record(BULK, str(n), key="hang") for n in range(600)))
    calls = Calls("hang")
    flow = Flow(by_record_key, Slots(6, reserved=2), in_flight=100)
    async with run.room(calls, flow=flow, subscribed=(URGENT, BULK)) as room:
        await until(lambda: len(calls.begun) == 1)
        await run.write(*(record(URGENT, str(n), key=f"k{n}") for n in range(9)))
        await until(lambda: len(calls.values(URGENT)) == 9)
        queues = room.assignment.queues
        assert queues is not None
        assert 100 <= queues.held(BULK) < 600
        calls.let_go.set()
        await until_committed(run, "sender", {(URGENT, 0): 9, (BULK, 0): 600})
    assert by_key(await run.log(EVENTS))["hang"] == [b"%d" % n for n in range(600)]


async def test_a_revocation_begins_nothing_new_and_waits_for_what_runs(run: Run):
    await run.create({RAW: 2, EVENTS: 1})
    await run.write(*(record(RAW, f"{n}", key=f"hang{n}", partition=n % 2) for n in range(8)))
    calls, peer = Calls(*(f"hang{n}" for n in range(8))), Calls()
    told = []

    async def on_revoked():
        told.append(len(calls.begun))

    async with run.room(calls, flow=Flow(by_record_key, Slots(3)), on_revoked=on_revoked) as first:
        await until(lambda: len(calls.begun) == 3)
        async with run.room(peer, flow=Flow(by_record_key, Slots(3))) as second:
            await until(first.assignment.ending.is_set)
            calls.let_go.set()
            await until(lambda: len(first.held()) == 1 and len(second.held()) == 1)
            await until_committed(run, "sender", {(RAW, 0): 4, (RAW, 1): 4})
    assert told[0] == 3
    assert sorted(calls.values() + peer.values()) == [b"%d" % n for n in range(8)]


def by_key_of(sent):
    keys = {one.key for one in sent}
    return {key: [one.value for one in sent if one.key == key] for key in keys}
