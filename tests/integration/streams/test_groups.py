"""Group membership on a real broker: what is taken away, given back, lost or torn apart."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from services.streams.errors import LostRangeError, RoomStoppedError, StartUpError
from services.streams.topics import LANE_TOPICS, TopicName
from services.streams.watchdog import left_out
from tests.integration.streams.kit import Gate, Run, by_key, records, until, until_committed

RAW = TopicName.RAW
EVENTS = TopicName.EVENT_MESSAGE
LANES = tuple(LANE_TOPICS.values())


async def test_a_batch_of_a_former_grant_commits_nothing_when_its_partition_comes_back(run: Run):
    """The broker would take it and move the offset back (facts, kafka §4.6)."""
    await run.create({RAW: 2, EVENTS: 1})
    await run.write(*records(RAW, range(5), partition=0), *records(RAW, range(5), partition=1))
    old, peer = Gate(is_open=False), Gate()
    async with run.room(old, drain_seconds=0.3) as first:
        await until(lambda: len(old.seen) == 10)
        async with run.room(peer) as second:
            await second.joined()
            await until(lambda: len(second.held()) == 1 and len(peer.seen) == 5)
            ((_, taken),) = second.held()
            await run.write(*records(RAW, range(5, 9), partition=taken))
            await until_committed(run, "sender", {(RAW, taken): 9})
        await until(lambda: len(first.held()) == 2)
        epoch = first.assignment.epoch
        old.opened.set()
        await until_committed(run, "sender", {(RAW, 1 - taken): 5})
        assert first.assignment.epoch == epoch
        assert (await run.committed("sender"))[RAW, taken] == 9


async def test_a_batch_is_finished_and_committed_before_its_partition_goes_to_another(run: Run):
    await run.create({RAW: 2, EVENTS: 1})
    await run.write(*records(RAW, range(20), partition=0), *records(RAW, range(20), partition=1))
    slow, peer = Gate(is_open=False), Gate()
    async with run.room(slow) as first:
        await until(lambda: len(slow.seen) == 40)
        epoch = first.assignment.epoch
        async with run.room(peer) as second:
            await until(first.assignment.ending.is_set)
            await asyncio.sleep(0.3)
            slow.opened.set()
            await second.joined()
            await until(lambda: first.assignment.epoch > epoch)
            await run.write(*records(RAW, ["a"], partition=0), *records(RAW, ["b"], partition=1))
            await until_committed(run, "sender", {(RAW, 0): 21, (RAW, 1): 21})
    assert sorted(slow.seen + peer.seen) == sorted([str(n).encode() for n in range(20)] * 2 + [b"a", b"b"])


async def test_five_copies_then_one_hold_the_same_numbers_in_all_three_lanes(run: Run):
    await run.create(dict.fromkeys(LANES, 6))
    options = {"subscribed": LANES, "equal_partitions": LANES}
    async with AsyncExitStack() as four, run.room(Gate(), **options) as last:
        copies = [await four.enter_async_context(run.room(Gate(), **options)) for _ in range(4)]
        rooms = [*copies, last]
        await until(lambda: sum(len(room.held()) for room in rooms) == 18 and all(r.held() for r in rooms))
        for room in rooms:
            numbers = [{n for topic, n in room.held() if topic == run.topics.full(lane)} for lane in LANES]
            assert numbers[0] == numbers[1] == numbers[2] != set()
        await four.aclose()
        await until(lambda: len(last.held()) == 18)


async def test_lanes_that_lie_apart_stop_the_room(run: Run):
    await run.create({LANES[0]: 2, LANES[1]: 3})
    with pytest.raises(RoomStoppedError, match="different partitions"):
        async with run.room(Gate(), subscribed=LANES[:2], equal_partitions=LANES[:2]) as room:
            await room.task


async def test_a_range_lost_before_it_was_read_stops_the_room(run: Run):
    await run.create({RAW: 1, EVENTS: 1})
    await run.write(*records(RAW, range(3)))
    async with run.room(Gate()):
        await until_committed(run, "sender", {(RAW, 0): 3})
    await run.write(*records(RAW, range(3, 9)))
    await run.truncate(RAW, 0, 6)
    handler = Gate()
    with pytest.raises(LostRangeError, match=r"committed 3, log 6\.\.9"):
        async with run.room(handler) as room:
            await room.task
    assert handler.seen == []
    assert await run.committed("sender") == {(RAW, 0): 3}


async def test_a_group_with_another_assignor_is_refused(run: Run):
    await run.create({RAW: 1})
    async with AIOKafkaConsumer(
        run.topics.full(RAW), bootstrap_servers=run.bootstrap, group_id=run.topics.group("sender"),
        enable_auto_commit=False, partition_assignment_strategy=(RoundRobinPartitionAssignor,),
    ):  # fmt: skip
        with pytest.raises(StartUpError, match="another assignor"):
            async with run.room(Gate()) as room:
                await room.task


async def test_a_copy_without_partitions_is_left_out_only_if_the_group_is_no_larger_than_a_topic(run: Run):
    await run.create({RAW: 1, EVENTS: 1})
    async with run.room(Gate()) as first:
        await first.joined()
        assert await left_out(first.consumer._room, first.session)
        async with run.room(Gate()) as second:
            await until(lambda: second.consumer._session is not None and second.session.assignment is not None)
            assert not await left_out(first.consumer._room, first.session)


async def test_joins_and_leaves_under_load_repeat_and_lose_nothing(run: Run):
    await run.create({RAW: 4, EVENTS: 1})
    stays, comes = Gate(), Gate()
    sent = [one for n in range(40) for one in records(RAW, range(n * 10, n * 10 + 10), key=f"k{n % 8}")]

    async def write():
        async with run.producer() as producer:
            for place in range(0, 400, 10):
                await producer.produce(sent[place : place + 10])
                await asyncio.sleep(0.05)

    async with run.room(stays):
        writing = asyncio.create_task(write())
        for _ in range(2):
            async with run.room(comes) as second:
                await second.joined()
                await asyncio.sleep(0.4)
        await writing
        await until(lambda: len(stays.settled) + len(comes.settled) >= 400)
    assert sorted(stays.seen + comes.seen) == sorted(one.value for one in sent)
    events = by_key(await run.log(EVENTS))
    assert events == {f"k{k}": [one.value for one in sent if one.key == f"k{k}"] for k in range(8)}
