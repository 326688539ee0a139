"""What stands in Kafka: every record of a topic from its beginning to its end, and how far the rooms have come.

Read by a consumer without a group: nothing is committed and nobody is rebalanced. Not here: what records mean; the end
of a topic as it grows (tail.py).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.domain.errors import DependencyAwayError
from services.runtime import clock
from services.streams import client
from services.streams.admin import admin
from services.streams.codec import Record, read
from services.streams.topics import TopicName, Topics

_ANSWER_SECONDS: Final = 30.0
_AGAIN_SECONDS: Final = 0.3
_POLL_MS: Final = 500
_POLL_RECORDS: Final = 5000
_LONG_POLL_MS: Final = 10  # on the one connection to a broker every other question queues behind a long poll

Place = tuple[TopicName, int]


async def committed(bootstrap: str, topics: Topics, room: str) -> dict[Place, int]:
    """How far a room has come in each partition; a partition that it never committed is not listed.

    A broker that was started just now has no coordinator yet, so it is asked again for a while.
    """
    end = clock.monotonic() + _ANSWER_SECONDS
    while True:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), admin(bootstrap) as asked:
                found = await asked.list_consumer_group_offsets(topics.group(room))
        except (KafkaError, OSError, TimeoutError) as error:
            if clock.monotonic() >= end:
                raise DependencyAwayError(f"kafka: {type(error).__name__}") from error
            await asyncio.sleep(_AGAIN_SECONDS)
        else:
            return {(topics.logical(tp.topic), tp.partition): at.offset for tp, at in found.items() if at.offset >= 0}


class Log:
    """One reading of some topics, with one assignment: each new one costs the client a round of metadata.

    `whole` is False when a partition no longer has its beginning.
    """

    def __init__(self, bootstrap: str, topics: Topics, names: Sequence[TopicName]) -> None:
        self._topics = topics
        self._partitions = [
            TopicPartition(topics.full(name), number) for name in names for number in range(topics.partitions(name))
        ]
        self._first: dict[TopicPartition, int] = {}
        self._client = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest",
            max_poll_records=_POLL_RECORDS, fetch_max_wait_ms=_LONG_POLL_MS,
        )  # fmt: skip

    @property
    def whole(self) -> bool:
        return not any(self._first.values())

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._client.start()
                self._client.assign(self._partitions)
                self._first = await self._client.beginning_offsets(self._partitions)
        except (KafkaError, OSError, TimeoutError) as error:
            await client.close(self._client)
            raise DependencyAwayError(f"kafka: {type(error).__name__}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await client.close(self._client)

    async def ends(self) -> dict[Place, int]:
        """The next offset of each partition as it is now."""
        return {(self._topics.logical(tp.topic), tp.partition): end for tp, end in (await self._ends()).items()}

    async def records(self) -> AsyncIterator[Record]:
        """Every record from the beginning to the ends as they are at this call, in each partition's order."""
        ends = await self._ends()
        left = {tp for tp in self._partitions if self._first[tp] < ends[tp]}
        while left:
            try:
                batches = await self._client.getmany(*left, timeout_ms=_POLL_MS)
                for tp, batch in batches.items():
                    for record in batch:
                        if record.offset < ends[tp]:
                            yield read(record, self._topics)
                left = {tp for tp in left if await self._client.position(tp) < ends[tp]}
            except KafkaError as error:
                raise DependencyAwayError(f"kafka: {type(error).__name__}") from error

    async def _ends(self) -> dict[TopicPartition, int]:
        try:
            found: dict[TopicPartition, int] = await self._client.end_offsets(self._partitions)
        except (KafkaError, TimeoutError) as error:
            raise DependencyAwayError(f"kafka: {type(error).__name__}") from error
        return found
