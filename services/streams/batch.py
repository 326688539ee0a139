"""What passes between the loop and a room: a batch of records, and what is settled by it. Not here: the loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from services.streams.codec import Outgoing, Record
from services.streams.flow import Grant

MISSING_GRANT = Grant(None, 0)


@dataclass(frozen=True, slots=True)
class Dead:
    """A record to set aside. `detail` never holds text of a message; `tenant` is None when nobody knows it."""

    record: Record
    reason: str
    detail: str = ""
    tenant: int | None = None


@dataclass(frozen=True, slots=True)
class Handled:
    """What has happened to `records`: committed to the database, still to be announced.

    Events and dead letters are durable before the records count as settled; a reply may be lost.
    """

    records: tuple[Record, ...]
    events: Sequence[Outgoing] = ()
    replies: Sequence[Outgoing] = ()
    dead: Sequence[Dead] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Records to handle now. `polled_at` (monotonic seconds) is when the oldest of them was fetched.

    `ending` is set when the partitions are being taken away or the process stops: begin nothing new, and leave what
    was not begun unsettled; whoever reads next will find it.
    """

    records: tuple[Record, ...]
    polled_at: float = 0.0
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    grant: Grant = MISSING_GRANT

    def release(self, slots: int = 1) -> None:
        """Give back slots of the room's capacity before the batch is through (a call that has ended)."""
        self.grant.release(slots)


Handler = Callable[[Batch], AsyncIterator[Handled]]
