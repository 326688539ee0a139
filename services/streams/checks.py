"""What is looked at when partitions are assigned: is the log still whole, do the lanes lie together."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.streams.errors import LostRangeError, RoomStoppedError


class Log(NamedTuple):
    """What a group has committed, and the ends of the log, partition by partition."""

    committed: Mapping[TopicPartition, int | None]
    first: Mapping[TopicPartition, int]
    end: Mapping[TopicPartition, int]

    def start(self, partition: TopicPartition) -> int:
        """Where reading goes on: the committed offset, or the log's beginning."""
        offset = self.committed[partition]
        return self.first[partition] if offset is None else offset

    def lost(self) -> list[str]:
        """Name the partitions whose committed offset the log does not hold; nothing committed is nothing lost."""
        return [
            f"{tp.topic}/{tp.partition}: committed {offset}, log {self.first[tp]}..{self.end[tp]}"
            for tp, offset in self.committed.items()
            if offset is not None and not self.first[tp] <= offset <= self.end[tp]
        ]


async def look(client: AIOKafkaConsumer, partitions: Sequence[TopicPartition], seconds: float) -> Log:
    """Ask for committed offsets and the log's ends. Raises KafkaError or TimeoutError when the broker does not say."""
    async with asyncio.timeout(seconds):
        committed = await asyncio.gather(*map(client.committed, partitions))
        first = await client.beginning_offsets(partitions)
        end = await client.end_offsets(partitions)
    return Log(dict(zip(partitions, committed, strict=True)), first, end)


def refuse_lost_ranges(lost: Sequence[str], group: str) -> None:
    if lost:
        raise LostRangeError(
            f"group {group} has not read what the log no longer holds ({'; '.join(lost)}): records are missing. "
            "Look for them in the database and in what was posted, replay what can be replayed, then reset the group's "
            "offsets of these partitions to the beginning and start the room again. Until then it stays stopped."
        )


def refuse_torn_lanes(partitions: Iterable[TopicPartition], topics: Sequence[str]) -> None:
    """Raise when a copy does not hold the same partition numbers in all of `topics`."""
    numbers = {topic: {tp.partition for tp in partitions if tp.topic == topic} for topic in topics}
    if len({frozenset(held) for held in numbers.values()}) > 1:
        shown = ", ".join(f"{topic} {sorted(held)}" for topic, held in numbers.items())
        raise RoomStoppedError(
            f"this copy holds different partitions of topics that belong together ({shown}): their partition counts or "
            "some member's assignor differ; make them equal (range and no other), then start the room again"
        )
