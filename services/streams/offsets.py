"""Which offsets may be committed: the lowest contiguous settled one of each partition. Pure, one object a grant."""

from collections import deque
from collections.abc import Mapping

from services.streams.topics import TopicName

Slot = tuple[TopicName, int]


class Offsets:
    """Bookkeeping of one grant of partitions. Offsets come in order and may have gaps."""

    def __init__(self) -> None:
        self._partitions: dict[Slot, _Partition] = {}
        self._moved: set[Slot] = set()

    def starts(self, slot: Slot, offset: int) -> None:
        """Reading begins here; nothing below it is ever committed under this grant."""
        self._partitions[slot] = _Partition(offset)

    def fetched(self, slot: Slot, offset: int) -> None:
        self._partitions[slot].open.append(offset)

    def settled(self, slot: Slot, offset: int) -> None:
        if self._partitions[slot].settle(offset):
            self._moved.add(slot)

    def committable(self) -> dict[Slot, int]:
        """Return the next offset to read of each partition that moved since it was committed."""
        return {slot: self._partitions[slot].next for slot in self._moved}

    def committed(self, offsets: Mapping[Slot, int]) -> None:
        """Take note of a commit that succeeded; never below it again, even if the log is re-read from further back."""
        for slot, offset in offsets.items():
            partition = self._partitions[slot]
            partition.committed = max(partition.committed, offset)
            if partition.next <= partition.committed:
                self._moved.discard(slot)

    def open(self, topic: TopicName) -> int:
        """Count the records of a topic that a commit does not cover yet."""
        return sum(len(partition.open) for (name, _), partition in self._partitions.items() if name == topic)

    def position(self, slot: Slot) -> int:
        """Return the next offset that would be read if everything settled were committed."""
        return self._partitions[slot].next


class _Partition:
    __slots__ = ("_done", "committed", "next", "open")

    def __init__(self, start: int) -> None:
        self.open: deque[int] = deque()
        self._done: set[int] = set()
        self.next = start
        self.committed = start

    def settle(self, offset: int) -> bool:
        """Return whether something new may be committed."""
        self._done.add(offset)
        before = self.next
        while self.open and self.open[0] in self._done:
            first = self.open.popleft()
            self._done.discard(first)
            self.next = max(self.next, first + 1)
        return self.next > max(before, self.committed)
