"""The Kafka side of a run: filling a topic before it, waiting for what a room announces, the times at which it did.

The rate of a stream room is read from the timestamps of its events after the run: nothing disturbs it meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.devstack.progress import check
from services.runtime import clock
from services.streams.codec import Outgoing
from services.streams.producer import Producer
from services.streams.topics import TopicName, Topics
from tests.bench.cores import Meter
from tests.bench.stage import Stage

WARM: Final = 0.2
"""The share of a run that is not counted: prepared statements, caches, the first batch after joining."""

_LOT: Final = 2000
_LOOK_SECONDS: Final = 0.1
_LIMIT_SECONDS: Final = 180.0


class Course(NamedTuple):
    """How a run went: events per second after the warm part, and the CPU in us per event of who took part in it."""

    rate: float
    cpu_us: dict[str, float]


class StuckError(Exception):
    """A room did not announce what it should have."""


async def fill(stage: Stage, topics: Topics, outgoing: Sequence[Outgoing]) -> None:
    producer = Producer(stage.settings, topics)
    await producer.start()
    try:
        for start in range(0, len(outgoing), _LOT):
            await producer.produce(outgoing[start : start + _LOT], deadline_seconds=60.0)
    finally:
        await producer.stop()


async def course(stage: Stage, topics: Topics, expected: int, *, of: str) -> Course:
    """Wait until a room has announced `expected` events of messages, then read when it did."""
    async with _reader(stage) as reader:
        partitions = [
            TopicPartition(topics.full(TopicName.EVENT_MESSAGE), number)
            for number in range(topics.partitions(TopicName.EVENT_MESSAGE))
        ]
        began = clock.monotonic()
        meter, warm = None, 0
        while (come := sum((await reader.end_offsets(partitions)).values())) < expected:
            if meter is None and come > expected * WARM:
                meter, warm = Meter(stage.pids()), come
            if clock.monotonic() - began > _LIMIT_SECONDS:
                raise StuckError(f"{of} announced {come} of {expected} events in {_LIMIT_SECONDS:.0f} s")
            check()
            await asyncio.sleep(_LOOK_SECONDS)
        used = meter.read() if meter else {}
        times = await _times(reader, partitions, expected)
    cpu = {name: round(seconds / (expected - warm) * 1e6, 1) for name, seconds in used.items()}
    return Course(rate_of(times), cpu)


@asynccontextmanager
async def _reader(stage: Stage) -> AsyncIterator[Any]:
    """A consumer without a group: nothing is committed and nobody is rebalanced."""
    reader = AIOKafkaConsumer(
        bootstrap_servers=stage.stack.kafka_bootstrap, group_id=None, enable_auto_commit=False, fetch_max_wait_ms=10
    )
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()


async def _times(reader: Any, partitions: Sequence[TopicPartition], expected: int) -> list[float]:
    """When each event was announced, in seconds, by its producer's clock."""
    reader.assign(partitions)
    await reader.seek_to_beginning(*partitions)
    times: list[float] = []
    while len(times) < expected:
        for records in (await reader.getmany(timeout_ms=500)).values():
            times += [record.timestamp / 1000 for record in records]
    return times


def rate_of(times: Sequence[float]) -> float:
    """Events per second after the warm part."""
    ordered = sorted(times)
    start = ordered[int(len(ordered) * WARM)]
    return sum(time > start for time in ordered) / (ordered[-1] - start)
