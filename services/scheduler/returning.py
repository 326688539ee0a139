"""A row that waited, as the record that comes back; and what cannot come back. Pure. Not here: when (loop.py)."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from services.domain.ids import RecordName
from services.domain.workset import Deferral
from services.store.deferred import UNAVAILABLE, Waiting
from services.streams.codec import CE_ID, CE_SOURCE, CE_TIME, CE_TYPE, TENANT, Outgoing, headers

RETURNED: Final = "returned"
STUCK_WAIT: Final = timedelta(hours=1)
_OURS: Final = frozenset({CE_ID, CE_SOURCE, CE_TIME, CE_TYPE, TENANT, RETURNED})


class Sorted(NamedTuple):
    """Records to produce, and rows that no topic takes: they stay, and somebody must look."""

    outgoing: list[Outgoing]
    stuck: list[Waiting]


def sort_out(rows: Sequence[Waiting], now: datetime, topics: Collection[str]) -> Sorted:
    """Turn rows into records. A row for a topic that does not exist must not hold up the others for ever."""
    return Sorted(
        [record_of(row, now) for row in rows if row.topic in topics], [row for row in rows if row.topic not in topics]
    )


def record_of(row: Waiting, now: datetime) -> Outgoing:
    """Give the record its name of this wait, `<base>.<n>`; headers that the row kept go with it."""
    kept = {name: value for name, value in row.headers.items() if name not in _OURS}
    why = {RETURNED: row.reason} if row.reason == UNAVAILABLE else {}
    kind = row.headers.get(CE_TYPE, RETURNED)
    name = RecordName(row.base, row.n)
    return Outgoing(row.topic, row.key, row.payload, headers(name, kind, now, tenant=row.tenant, **kept, **why))


def put_back(row: Waiting, reason: str, wait: timedelta) -> tuple[int, Deferral]:
    return row.tenant, Deferral(
        reason=reason, due_in_seconds=wait.total_seconds(), queue=None, topic=row.topic, key=row.key, base=row.base,
        n=row.n, payload=row.payload, headers=row.headers,
    )  # fmt: skip
