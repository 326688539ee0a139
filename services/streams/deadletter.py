"""Dead letters: how a record is set aside and given back as it was, and the limit that stops a room instead of emptying
a topic into them. Not here: reading the dead letters (letters.py), what becomes of them (the replay room)."""

from datetime import datetime
from typing import Final

import msgspec

from services.domain.errors import RecordError
from services.domain.events import rfc3339
from services.domain.ids import RecordName, derived_id
from services.streams.batch import Dead
from services.streams.codec import CE_ID, TENANT, Header, Outgoing, Record, time_of
from services.streams.topics import TopicName, dead_topic

BUG: Final = "bug"
WINDOW_SECONDS: Final = 60.0
DETAIL_LENGTH: Final = 500
ID_PREFIX: Final = "dead"
_TENANT_FOUND: Final = "tenant_found"  # the room named the tenant, the record did not
_ADDED: Final = frozenset(
    {"reason", "detail", "room", "from_topic", "from_partition", "from_offset", "at", _TENANT_FOUND}
)
_NOBODY_WAITS: Final = "reply_to"  # as after a deferral


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a record that was set aside, without a word of its content.

    A redo may set the same record aside twice: both letters have the same id, made of its name and where it was read.
    """

    id: str
    room: str
    reason: str
    detail: str
    at: datetime
    tenant: int | None
    name: RecordName
    topic: str
    """Where the record was read, and where a redrive puts it."""


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
    if dead.tenant is not None and TENANT not in kept:
        added |= {TENANT: str(dead.tenant), _TENANT_FOUND: "1"}
    headers: list[Header] = [(CE_ID, str(record.name).encode())]
    headers += [(name, value) for name, value in kept.items() if name not in added]
    headers += [(name, value.encode()) for name, value in added.items()]
    return Outgoing(topic=dead_topic(room), key=record.key, value=record.value, headers=tuple(headers))


def letter_of(record: Record) -> Letter:
    """Read what a dead letter says of itself; total, as whatever lies there must be listed."""
    said = {name: record.header(name) or "" for name in _ADDED}
    place = (said["from_topic"], said["from_partition"], said["from_offset"])
    return Letter(
        id=derived_id(ID_PREFIX, said["room"], str(record.name), *place), room=said["room"], reason=said["reason"],
        detail=said["detail"], at=_moment(said["at"]) or time_of(record), tenant=record.tenant, name=record.name,
        topic=said["from_topic"],
    )  # fmt: skip


def restored(record: Record) -> Outgoing:
    """Return the record as it was read before it was set aside: same name, key, value and headers.

    Raises RecordError when the letter does not say where it came from.
    """
    topic = record.header("from_topic")
    if topic not in set(TopicName):
        raise RecordError("unreadable", "the letter names no topic that it came from")
    dropped = _ADDED | {_NOBODY_WAITS, CE_ID} | ({TENANT} if _TENANT_FOUND in record.headers else set())
    kept = tuple((name, value) for name, value in record.headers.items() if name not in dropped)
    return Outgoing(TopicName(topic), record.key, record.value, ((CE_ID, str(record.name).encode()), *kept))


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


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
