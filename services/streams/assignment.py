"""One grant of partitions by the group, and the work begun under it. A batch never touches another grant's offsets."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from aiokafka import TopicPartition
from prometheus_client import Counter

from services.runtime.clock import monotonic
from services.runtime.metrics import RECORDS
from services.streams.codec import Record
from services.streams.flow import Flow, Queues
from services.streams.offsets import Offsets
from services.streams.topics import TopicName

Place = tuple[TopicName, int, int]


class Assignment:
    """Lives from one assignment to the next revocation. `epoch` counts them; `over` ends every right to commit."""

    def __init__(self, epoch: int, partitions: Iterable[TopicPartition], subscribed: Sequence[TopicName],
                 flow: Flow | None) -> None:  # fmt: skip
        self.epoch = epoch
        self.partitions = frozenset(partitions)
        self.offsets = Offsets()
        self.queues = Queues(subscribed, flow.key_of) if flow is not None else None
        self.end_offsets: dict[TopicPartition, int] = {}
        self.since = monotonic()
        self.ending = asyncio.Event()
        self.checked = asyncio.Event()
        self.over = False
        self.running: dict[asyncio.Task[None], Work] = {}

    @property
    def may_start(self) -> bool:
        """Whether new work may begin: the log was found complete, and the partitions are not being taken away."""
        return self.checked.is_set() and not self.ending.is_set()

    async def drained(self, seconds: float) -> bool:
        """Let no new work begin and wait for what runs; False when it still runs."""
        self.ending.set()
        if self.running:
            await asyncio.wait(set(self.running), timeout=max(0.0, seconds))
        return not self.running

    def end(self) -> None:
        self.ending.set()
        self.checked.set()
        self.over = True


class Work:
    """Records handed to the room together; each is open until it is settled."""

    def __init__(self, assignment: Assignment, records: Sequence[Record], polled_at: float, room: str,
                 settled: Callable[[], None]) -> None:  # fmt: skip
        self.assignment = assignment
        self.records = records
        self.polled_at = polled_at
        self.moved_at = monotonic()
        self._open = {_place(record): record for record in records}
        self._room = room
        self._settled = settled

    @property
    def ending(self) -> asyncio.Event:
        return self.assignment.ending

    def left(self, records: Sequence[Record]) -> tuple[Record, ...]:
        """Return which of these are not settled, in their order."""
        return tuple(record for record in records if _place(record) in self._open)

    def move(self) -> None:
        """Something happens: the watchdog need not worry."""
        self.moved_at = monotonic()

    def settle(self, records: Sequence[Record]) -> None:
        """These are through: committed, and what they announce is durable."""
        self.move()
        for record in records:
            if self._open.pop(_place(record), None) is None:
                continue
            self.assignment.offsets.settled(record.slot, record.offset)
            if self.assignment.queues is not None:
                self.assignment.queues.settled(record)
            _count(self._room, record.topic).inc()
        self._settled()


@cache
def _count(room: str, topic: str) -> Counter:
    """Keep the metric's children: looking one up costs more than counting."""
    return RECORDS.labels(room, topic)


def _place(record: Record) -> Place:
    return record.topic, record.partition, record.offset
