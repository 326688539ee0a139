"""Which records of a batch still wait for a push of theirs, and which are set aside when they are through. No I/O."""

from collections.abc import Sequence
from typing import Final

from services.notifier.settle import Stored, Task
from services.streams.batch import Batch, Dead, Handled
from services.streams.codec import Record

UNDELIVERABLE: Final = "undeliverable"


class Tally:
    """A record is through when the outcomes of all its pushes are stored."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._left: dict[int, int] = {}
        for task in tasks:
            self._left[id(task.record)] = self._left.get(id(task.record), 0) + 1
        self._dead: dict[int, Dead] = {}

    def without_push(self, batch: Batch, dead: Sequence[Dead]) -> Handled:
        """Records that go nowhere: nobody listens, or they cannot be read."""
        through = tuple(record for record in batch.records if id(record) not in self._left)
        batch.release(len(through))
        return Handled(through, dead=dead)

    def bury(self, task: Task) -> None:
        key = task.push.key
        self._dead[id(task.record)] = Dead(task.record, UNDELIVERABLE, f"endpoint {key.endpoint}", tenant=key.tenant)

    def settled(self, stored: Sequence[Stored]) -> Handled:
        through: list[Record] = []
        for one in stored:
            if one.again:
                continue
            if one.buried:
                self.bury(one.task)
            record = one.task.record
            self._left[id(record)] -= 1
            if not self._left[id(record)]:
                through.append(record)
        dead = [self._dead[id(record)] for record in through if id(record) in self._dead]
        return Handled(tuple(through), dead=dead)
