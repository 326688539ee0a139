"""What a record announced: stored with its effects, read back under the batch's bases (architecture §2.1)."""

from collections.abc import Collection
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
_INSERT: Final = _ROWS.insert(order="x.place", conflict="(event_id) DO NOTHING")
_READ: Final = """
SELECT event_id, event_type, topic, key, at, value, sequence, conversation_id, message_id, account_id
FROM {s}.events WHERE base = ANY(%b::uuid[]) ORDER BY id"""


def store_and_read_back(work: Workset, bases: Collection[UUID]) -> list[Statement]:
    """Insert what this batch announces, then read exactly what is stored under its bases."""
    statements = []
    if work.events:
        arrays = transpose(
            enumerate(work.events),
            lambda i: i[1][1].event_id, lambda i: i[1][0], lambda i: i[1][1].event_type, lambda i: i[1][1].topic,
            lambda i: i[1][1].key, lambda i: i[1][1].conversation_id, lambda i: i[1][1].message_id,
            lambda i: i[1][1].account_id, lambda i: i[1][1].sequence, lambda i: i[1][1].at, lambda i: i[1][1].value,
            lambda i: i[0],
        )  # fmt: skip
        statements.append(Statement("", _INSERT, arrays))
    statements.append(Statement("events", _READ, (list(bases),)))
    return statements


def read(rows: dict[str, Rows]) -> list[Event]:
    return [
        Event(event_id=event_id, event_type=event_type, topic=topic, key=key, at=at, value=bytes(value),
              sequence=sequence, conversation_id=conversation_id, message_id=message_id, account_id=account_id)
        for event_id, event_type, topic, key, at, value, sequence, conversation_id, message_id, account_id
        in rows.get("events", ())
    ]  # fmt: skip
