"""What the log tells of a group's progress, on the real broker."""

import asyncio
from datetime import timedelta

from services.devstack import kafka
from services.devstack.stack import Stack
from services.runtime.clock import now
from services.streams.progress import Progress
from services.streams.topics import TopicName
from tests.integration.streams.kit import Gate, Run, records, until_committed

RAW = TopicName.RAW
AT_ONCE = timedelta(0)
HOUR = timedelta(hours=1)


async def created(run: Run) -> None:
    await run.create({RAW: run.topics.partitions(RAW), TopicName.EVENT_MESSAGE: 1})


async def handled(run: Run, more: range) -> None:
    """Write some more and let the group handle everything."""
    await run.write(*records(RAW, more))
    ends: dict[tuple[TopicName, int], int] = {}
    for record in await run.log(RAW):
        ends[RAW, record.partition] = max(ends.get((RAW, record.partition), 0), record.offset + 1)
    async with run.room(Gate(), room="normaliser"):
        await until_committed(run, "normaliser", ends)


def asked(run: Run) -> Progress:
    return Progress(run.bootstrap, run.topics, RAW, "normaliser", slack=AT_ONCE)


async def test_a_moment_is_handled_when_the_group_is_past_all_that_came_before_it(run: Run):
    await created(run)
    await handled(run, range(3))
    before = now()
    await run.write(*records(RAW, range(20)))
    after = now()
    assert await asked(run).handled_until(before)
    assert not await asked(run).handled_until(after)
    await handled(run, range(1))
    assert await asked(run).handled_until(after)


async def test_a_moment_that_has_not_come_is_not_handled(run: Run):
    await created(run)
    assert not await asked(run).handled_until(now() + HOUR)


async def test_records_may_be_written_later_than_their_own_time(run: Run):
    await created(run)
    progress = Progress(run.bootstrap, run.topics, RAW, "normaliser", slack=HOUR)
    assert not await progress.handled_until(now())


async def test_while_the_broker_says_nothing_nothing_is_known(run: Run, stack: Stack):
    await created(run)
    await asyncio.to_thread(kafka.freeze, stack)
    try:
        async with asyncio.timeout(60):
            assert not await asked(run).handled_until(now() - HOUR)
    finally:
        await asyncio.to_thread(kafka.thaw, stack)
