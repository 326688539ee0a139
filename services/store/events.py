"""What a record announced: stored with its effects, read back under the bases of a redo (architecture §2.1)."""

from collections.abc import Collection
from operator import attrgetter
from typing import Final
from uuid import UUID

from services.domain.events import Event
from services.domain.workset import Workset
from services.store.arrays import PLACE, Table, of, text, transpose
from services.store.tenancy import Rows, Statement

_ROWS: Final = Table(
    "{s}.events",
    (
        *of("uuid", "event_id", "base"),
        *text("event_type", "topic", "key", "conversation_id", "message_id", "account_id"),
        *of("bigint", "sequence"),
        *of("timestamptz", "at"),
        *of("bytea", "value"),
        PLACE,
    ),
)
_FIELDS: Final = [attrgetter(name) for name in _ROWS.fields() if name not in {"base", PLACE.name}]
_INSERT: Final = _ROWS.insert(order="x.place", conflict="(event_id) DO NOTHING", returning="event_id")
_READ: Final = """
SELECT base, event_id, event_type, topic, key, at, value, sequence, conversation_id, message_id, account_id
FROM {s}.events WHERE base = ANY(%b::uuid[]) ORDER BY id"""


def store_and_read_back(work: Workset, bases: Collection[UUID]) -> list[Statement]:
    """Insert what this batch announces; read what is stored under those bases that may have been here before."""
    statements = []
    if work.events:
        bases_of, rows = [base for base, _ in work.events], [event for _, event in work.events]
        ids, *others = transpose(rows, *_FIELDS)
        arrays = (ids, bases_of, *others, list(range(len(rows))))
        statements.append(Statement("stored", _INSERT, arrays))
    if bases:
        statements.append(Statement("events", _READ, (list(bases),)))
    return statements


def read(work: Workset, rows: dict[str, Rows]) -> list[tuple[UUID, Event]]:
    """Return what is stored, each with its base, in its order: what was there before under the bases asked for, then
    what is new now. That is not read back: its bytes are the ones just inserted."""
    new = {event_id for (event_id,) in rows.get("stored", ())}
    before = [
        (base, Event(event_id=event_id, event_type=event_type, topic=topic, key=key, at=at, value=bytes(value),
                     sequence=sequence, conversation_id=conversation_id, message_id=message_id, account_id=account_id))
        for base, event_id, event_type, topic, key, at, value, sequence, conversation_id, message_id, account_id
        in rows.get("events", ()) if event_id not in new
    ]  # fmt: skip
    inserted: dict[UUID, tuple[UUID, Event]] = {}
    for base, event in work.events:
        if event.event_id in new:
            inserted.setdefault(event.event_id, (base, event))  # of two with one name the first was stored
    return [*before, *inserted.values()]
