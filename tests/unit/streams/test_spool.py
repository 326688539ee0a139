"""What the spool promises: on the disk before True, in order out of it, and a plain no beyond its bounds."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from services.domain.errors import DependencyAwayError, RecordError
from services.streams import spool as spools
from services.streams.codec import Outgoing
from services.streams.spool import Bounds, Spool
from services.streams.spool_log import Log

ROOMY = Bounds(most_bytes=1_000_000, most_seconds=3600)


class Kafka:
    """Takes what it is given while it is there, in order. `small`: the largest value that a topic takes."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.is_there = asyncio.Event()
        self.is_there.set()
        self.refuses = 0
        self.small = 1_000_000

    def check_sizes(self, outgoing):
        if any(len(record.value) > self.small for record in outgoing):
            raise RecordError("too_large", "larger than its topic takes")

    async def post(self, outgoing, deadline):  # noqa: ARG002 - the real one's signature
        if self.refuses:
            self.refuses -= 1
            raise DependencyAwayError("there is no connection")
        return Flight(outgoing)

    async def landed(self, flight, deadline):  # noqa: ARG002 - as above
        await self.is_there.wait()
        self.written += [int(record.value) for record in flight.outgoing]


class Flight:
    def __init__(self, outgoing):
        self.outgoing = outgoing

    def leave(self):
        pass


def records(numbers) -> list[Outgoing]:
    return [Outgoing("topic", "key", b"%d" % n, (("ce_id", b"name.%d" % n),)) for n in numbers]


@pytest.fixture
def opened(tmp_path):
    @asynccontextmanager
    async def opened(bounds: Bounds = ROOMY, now: Callable[[], float] = lambda: 1000.0, **more) -> AsyncIterator[Spool]:
        spool = Spool(Log(tmp_path / "spool", **more), bounds, now)
        await spool.start()
        try:
            yield spool
        finally:
            await spool.stop()

    return opened


@asynccontextmanager
async def draining(spool: Spool, kafka: Kafka) -> AsyncIterator[None]:
    task = asyncio.create_task(spool.drain(kafka))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_what_was_taken_is_there_for_the_next_process(opened):
    async with opened() as spool:
        assert await spool.take(records(range(3)))
        assert (spool.is_empty, spool.records) == (False, 3)
    kafka = Kafka()
    async with opened() as spool, draining(spool, kafka):
        assert await spool.drained(5.0)
    assert kafka.written == [0, 1, 2]


async def test_requests_share_a_sync_and_keep_their_order(opened):
    syncs = []

    def sync(descriptor):
        syncs.append(descriptor)
        os.fdatasync(descriptor)

    kafka = Kafka()
    async with opened(sync=sync) as spool:
        assert all(await asyncio.gather(*(spool.take(records([n])) for n in range(200))))
        assert len(syncs) <= 5
        async with draining(spool, kafka):
            assert await spool.drained(5.0)
    assert kafka.written == list(range(200))


async def test_it_is_not_empty_before_kafka_has_the_last_record(opened):
    kafka = Kafka()
    kafka.is_there.clear()
    async with opened() as spool, draining(spool, kafka):
        await spool.take(records([1]))
        await asyncio.sleep(0.05)
        assert not spool.is_empty
        await spool.take(records([2]))
        kafka.is_there.set()
        assert await spool.drained(5.0)
    assert kafka.written == [1, 2]


async def test_a_taker_counts_from_the_moment_he_comes(opened):
    """Else the next request would find the spool empty and overtake him."""
    async with opened() as spool:
        taking = asyncio.create_task(spool.take(records([1])))
        await asyncio.sleep(0)
        assert not spool.is_empty
        assert await taking


async def test_it_goes_on_by_itself_after_a_producer_without_connection(opened, monkeypatch):
    kafka = Kafka()
    kafka.refuses = 2
    async with opened() as spool, draining(spool, kafka):
        await spool.take(records(range(40)))
        assert await spool.drained(5.0)
    assert kafka.written == list(range(40))


async def test_a_record_that_no_topic_takes_any_more_is_set_aside_and_holds_nobody_up(opened, tmp_path):
    kafka = Kafka()
    kafka.small = 2
    async with opened() as spool, draining(spool, kafka):
        await spool.take(records([1, 1234, 2]))
        assert await spool.drained(5.0)
        assert spool.damaged == 1
    assert kafka.written == [1, 2]
    assert [path.suffix for path in (tmp_path / "spool" / "damaged").glob("*")] == [".too_large"]


async def test_beyond_its_bytes_it_takes_no_more_and_after_the_drain_it_does(opened):
    kafka = Kafka()
    async with opened(Bounds(most_bytes=600, most_seconds=3600)) as spool:
        taken = [n for n in range(50) if await spool.take(records([n]))]
        assert 0 < len(taken) < 20
        assert "RECADO_SPOOL_MAX_BYTES" in spool.refusal()
        async with draining(spool, kafka):
            assert await spool.drained(5.0)
        assert kafka.written == taken
        assert await spool.take(records([99]))


async def test_behind_a_record_that_is_too_old_it_takes_no_more(opened):
    now = [1000.0]
    kafka = Kafka()
    async with opened(Bounds(1_000_000, most_seconds=60), lambda: now[0]) as spool:
        assert await spool.take(records([1]))
        now[0] += 59
        assert await spool.take(records([2]))
        now[0] += 2
        assert not await spool.take(records([3]))
        assert "oldest record waits 61 s" in spool.refusal()
        async with draining(spool, kafka):
            assert await spool.drained(5.0)
        assert spool.oldest_seconds() == 0
        assert await spool.take(records([4]))


async def test_age_outlives_the_process(opened):
    now = [1000.0]
    async with opened(now=lambda: now[0]) as spool:
        await spool.take(records([1]))
    now[0] += 500
    async with opened(now=lambda: now[0]) as spool:
        assert spool.oldest_seconds() == 500


async def test_a_disk_that_refuses_is_a_plain_no_and_is_left_alone_for_a_moment(opened, monkeypatch):
    fails = [True]

    def sync(descriptor):
        if fails[0]:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(spools, "PAUSE_SECONDS", 0.05)
    async with opened(sync=sync) as spool:
        assert not await spool.take(records([1]))
        assert "No space left" in spool.refusal()
        assert not await spool.take(records([2]))
        fails[0] = False
        while spool.refusal():  # noqa: ASYNC110 - the test's timeout is the net
            await asyncio.sleep(0.01)
        assert await spool.take(records([3]))
        assert spool.records == 1


async def test_who_goes_away_meanwhile_disturbs_nobody(opened):
    async with opened() as spool:
        gone = asyncio.create_task(spool.take(records([1])))
        await asyncio.sleep(0)
        gone.cancel()
        assert await spool.take(records([2]))
        assert spool.records == 2
