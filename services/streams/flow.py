"""Which records may be worked on now, where work is slow: per key in order, per topic up to a cap. No clock, no I/O.

A key's next record becomes startable when the former is settled; a slow record holds back its own key and, elsewhere,
the commit (offsets.py), and nothing else.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.streams.codec import Record
from services.streams.topics import TopicName

Place = tuple[int, int]  # partition, offset


class Capacity(Protocol):
    """How much work a room can begin: connections, as a rule. Slots are taken before the handler is called."""

    def free(self, *, urgent: bool) -> int: ...

    def take(self, slots: int) -> None: ...

    def release(self, slots: int) -> None: ...

    def watch(self, freed: Callable[[], None]) -> None:
        """Have `freed` called after each release."""


class Slots:
    """A fixed number of slots, the last `reserved` of them for the urgent lane alone."""

    def __init__(self, total: int, reserved: int = 0) -> None:
        self._total = total
        self._reserved = reserved
        self._taken = 0
        self._freed: Callable[[], None] | None = None

    def free(self, *, urgent: bool) -> int:
        left = self._total - self._taken
        return max(0, left if urgent else left - self._reserved)

    def take(self, slots: int) -> None:
        self._taken += slots

    def release(self, slots: int) -> None:
        self._taken -= slots
        if self._freed is not None:
            self._freed()

    def watch(self, freed: Callable[[], None]) -> None:
        self._freed = freed


@dataclass(frozen=True, slots=True)
class Flow:
    """How a room flows: its key, its capacity, records per chunk, and records held per topic before polling pauses."""

    key_of: Callable[[Record], str]
    capacity: Capacity
    chunk: int = 32
    in_flight: int = 2000


class Grant:
    """Slots taken for one call of the handler; what the room did not release itself goes back at the end."""

    def __init__(self, capacity: Capacity | None, slots: int) -> None:
        self._capacity = capacity
        self._slots = slots
        if capacity is not None:
            capacity.take(slots)

    def release(self, slots: int = 1) -> None:
        slots = min(slots, self._slots)
        self._slots -= slots
        if self._capacity is not None and slots:
            self._capacity.release(slots)

    def close(self) -> None:
        self.release(self._slots)


@dataclass(frozen=True, slots=True)
class Queued:
    """A record that waits for its key, and when it was fetched (monotonic seconds)."""

    record: Record
    polled_at: float


class Queues:
    """The queues of one assignment, topic by topic, key by key."""

    def __init__(self, topics: Sequence[TopicName], key_of: Callable[[Record], str]) -> None:
        self._key_of = key_of
        self._lanes = {topic: _Lane() for topic in topics}

    def add(self, record: Record, polled_at: float) -> None:
        self._lanes[record.topic].add(self._key_of(record), Queued(record, polled_at))

    def ready(self, topic: TopicName) -> int:
        """Count the keys of which a record may begin."""
        return len(self._lanes[topic].ready)

    def held(self, topic: TopicName) -> int:
        """Count the records that wait or are being worked on."""
        return self._lanes[topic].held

    def take(self, topic: TopicName, most: int) -> list[Queued]:
        """Take the first record of up to `most` keys; those keys stand still until it is settled."""
        return self._lanes[topic].take(most)

    def settled(self, record: Record) -> None:
        self._lanes[record.topic].settled((record.partition, record.offset))


class _Lane:
    def __init__(self) -> None:
        self.held = 0
        self.ready: deque[str] = deque()
        self._waiting: dict[str, deque[Queued]] = {}
        self._running: dict[Place, str] = {}

    def add(self, key: str, queued: Queued) -> None:
        self.held += 1
        queue = self._waiting.get(key)
        if queue is None:
            self._waiting[key] = deque((queued,))
            self.ready.append(key)
            return
        queue.append(queued)

    def take(self, most: int) -> list[Queued]:
        taken = []
        for _ in range(min(most, len(self.ready))):
            key = self.ready.popleft()
            queued = self._waiting[key].popleft()
            self._running[queued.record.partition, queued.record.offset] = key
            taken.append(queued)
        return taken

    def settled(self, place: Place) -> None:
        key = self._running.pop(place, None)
        if key is None:
            return
        self.held -= 1
        if self._waiting[key]:
            self.ready.append(key)
        else:
            del self._waiting[key]
