"""Dead letters: how a record is set aside, and the limit that stops a room instead of emptying a topic into them."""

from datetime import datetime
from typing import Final

from services.domain.events import rfc3339
from services.streams.batch import Dead
from services.streams.codec import CE_ID, TENANT, Header, Outgoing
from services.streams.topics import dead_topic

BUG: Final = "bug"
WINDOW_SECONDS: Final = 60.0
DETAIL_LENGTH: Final = 500


def dead_letter(dead: Dead, room: str, at: datetime) -> Outgoing:
    """Keep key, value, headers and name; add why, and where it was read."""
    record = dead.record
    kept = {name: value for name, value in record.headers.items() if name != CE_ID}
    added: dict[str, str] = {
        "reason": dead.reason,
        "detail": dead.detail[:DETAIL_LENGTH],
        "room": room,
        "from_topic": record.topic,
        "from_partition": str(record.partition),
        "from_offset": str(record.offset),
        "at": rfc3339(at),
    }
    if dead.tenant is not None:
        added[TENANT] = str(dead.tenant)
    headers: list[Header] = [(CE_ID, str(record.name).encode())]
    headers += [(name, value) for name, value in kept.items() if name not in added]
    headers += [(name, value.encode()) for name, value in added.items()]
    return Outgoing(topic=dead_topic(room), key=record.key, value=record.value, headers=tuple(headers))


class StopLimit:
    """Distinct tenants hit by a bug within a minute: a bad deploy, and never one sender's garbage."""

    def __init__(self, tenants: int, window_seconds: float = WINDOW_SECONDS) -> None:
        self._tenants = tenants
        self._window_seconds = window_seconds
        self._last: dict[int, float] = {}

    def reached(self, dead: Dead, now: float) -> bool:
        """Take note of a dead letter that is about to be written (monotonic seconds); True: stop instead."""
        if dead.reason != BUG or dead.tenant is None:
            return False
        self._last[dead.tenant] = now
        self._last = {tenant: at for tenant, at in self._last.items() if now - at < self._window_seconds}
        return len(self._last) >= self._tenants
