"""Waits with numbers (architecture §2.5): put away, find the next of a queue, claim what is due, give back.

Statements of a tenant's batch, and the functions of the roles that cross tenants (scheduler, notifier). Never commits.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from services.domain.workset import Deferral, QueueNext, Workset
from services.store.arrays import PLACE, Table, after_seconds, as_json, json, of, text, transpose
from services.store.pools import Connection
from services.store.tenancy import Rows, Statement

UNAVAILABLE: Final = "tenant_unavailable"
_ROWS: Final = Table(
    "recado.deferred",
    (
        *of("integer", "tenant_id"),
        *text("reason"),
        after_seconds("due_at"),
        *text("queue", "topic", "key"),
        *of("uuid", "base"),
        *of("integer", "n"),
        *of("bytea", "payload"),
        *json("headers"),
        *text("subject"),
        PLACE,
    ),
)
_PUT: Final = _ROWS.insert(order="x.place")
_DUE_NOW: Final = "UPDATE recado.deferred SET due_at = now() WHERE id = ANY(%b::bigint[])"
_NEXT_OF_MESSAGES: Final = """
SELECT DISTINCT ON (d.queue) d.queue, d.id, d.subject FROM recado.deferred d
WHERE d.tenant_id = (SELECT recado.need_tenant()) AND d.due_at IS NULL AND d.queue IN (
    SELECT m.lane || '|' || m.conversation_id FROM {s}.messages m WHERE m.id = ANY(%b::text[]))
ORDER BY d.queue, d.id"""

# the watermark spares dead index entries at the low end (facts, postgres §6); without one everything is looked at
_CLAIM: Final = b"""
WITH x AS MATERIALIZED (
    SELECT ctid FROM recado.deferred WHERE due_at <= now() AND due_at >= coalesce(%s, '-infinity'::timestamptz)
    ORDER BY due_at, id LIMIT %s FOR UPDATE SKIP LOCKED)
DELETE FROM recado.deferred d WHERE d.ctid = ANY(ARRAY(SELECT ctid FROM x))
RETURNING d.id, d.due_at, d.tenant_id, d.reason, d.topic, d.key, d.base, d.n, d.payload, d.headers"""
# a tenant's waiting records come back in id order, a lot at a time: the next lot when the former is gone
_CLAIM_LOT: Final = """
DELETE FROM recado.deferred d WHERE d.id IN (
    SELECT id FROM recado.deferred WHERE tenant_id = %s AND reason = 'tenant_unavailable' ORDER BY {order} LIMIT %s
    FOR UPDATE SKIP LOCKED)
RETURNING d.id, d.due_at, d.tenant_id, d.reason, d.topic, d.key, d.base, d.n, d.payload, d.headers"""
_CLAIM_NEXT_LOT: Final = _CLAIM_LOT.format(order="id").encode()
# what was given back and came again got a higher id than what waited behind it
_CLAIM_LOT_AGAIN: Final = _CLAIM_LOT.format(order="base = ANY(%b::uuid[]) DESC, id").encode()
_TURN: Final = b"SELECT pg_try_advisory_xact_lock(hashtext('recado.tenant_unavailable'), %s)"
_UNAVAILABLE_TENANTS: Final = b"SELECT DISTINCT tenant_id FROM recado.deferred WHERE reason = 'tenant_unavailable'"
_WAITING: Final = b"SELECT reason, count(*), max(now() - due_at) FROM recado.deferred GROUP BY reason"


class Waiting(NamedTuple):
    """A row that was claimed: it returns to `topic` as record `<base>.<n>`."""

    id: int
    due_at: datetime | None
    tenant: int
    reason: str
    topic: str
    key: str
    base: UUID
    n: int
    payload: bytes
    headers: dict[str, str]


def put_arrays(rows: Sequence[tuple[int, Deferral]]) -> tuple[list[Any], ...]:
    return transpose(
        enumerate(rows),
        lambda i: i[1][0], lambda i: i[1][1].reason, lambda i: i[1][1].due_in_seconds, lambda i: i[1][1].queue,
        lambda i: i[1][1].topic, lambda i: i[1][1].key, lambda i: i[1][1].base, lambda i: i[1][1].n,
        lambda i: i[1][1].payload, lambda i: as_json(i[1][1].headers), lambda i: i[1][1].subject, lambda i: i[0],
    )  # fmt: skip


def next_of_messages(message_ids: Collection[str]) -> list[Statement]:
    """Find what waits first behind each of these messages' queues; conversations are locked already."""
    return [Statement("queue_next", _NEXT_OF_MESSAGES, (sorted(message_ids),))] if message_ids else []


def load(work: Workset, rows: dict[str, Rows]) -> None:
    for queue, row_id, subject in rows.get("queue_next", ()):
        work.queue_next[queue] = QueueNext(row_id, subject)


def write(work: Workset, tenant: int) -> list[Statement]:
    statements = []
    if work.deferrals:
        statements.append(Statement("", _PUT, put_arrays([(tenant, row) for row in work.deferrals])))
    if work.due_now:
        statements.append(Statement("", _DUE_NOW, (sorted(work.due_now),)))
    return statements


async def put(connection: Connection, rows: Sequence[tuple[int, Deferral]]) -> None:
    """Put away rows of any tenants, under a role that crosses tenants."""
    if rows:
        await connection.execute(_PUT.encode(), put_arrays(rows))


async def claim_due(connection: Connection, limit: int, watermark: datetime | None) -> list[Waiting]:
    """Take due rows of all tenants; they are gone when the caller commits, after the broker acknowledged."""
    cursor = await connection.execute(_CLAIM, (watermark, limit), binary=True)
    return sorted((Waiting(*row) for row in await cursor.fetchall()), key=lambda row: row.id)


async def take_turn(connection: Connection, tenant: int) -> bool:
    """Make this transaction the only one that gives back this tenant's lots; False when another one does."""
    cursor = await connection.execute(_TURN, (tenant,))
    row = await cursor.fetchone()
    return bool(row and row[0])


async def claim_lot(connection: Connection, tenant: int, limit: int, first: Collection[UUID] = ()) -> list[Waiting]:
    """Take a lot of a tenant's waiting records, in order. `first`: bases given back before, should they wait again."""
    query = _CLAIM_LOT_AGAIN if first else _CLAIM_NEXT_LOT
    params = (tenant, list(first), limit) if first else (tenant, limit)
    cursor = await connection.execute(query, params, binary=True)
    rows = [Waiting(*row) for row in await cursor.fetchall()]
    return sorted(rows, key=lambda row: (row.base not in first, row.id))


async def unavailable_tenants(connection: Connection) -> set[int]:
    """Tenants with records that wait for their schema; their new records are appended, not tried."""
    cursor = await connection.execute(_UNAVAILABLE_TENANTS)
    return {row[0] for row in await cursor.fetchall()}


async def waiting_by_reason(connection: Connection) -> list[tuple[str, int, float]]:
    """Reason, rows, seconds by which the oldest is overdue."""
    cursor = await connection.execute(_WAITING)
    return [
        (reason, count, max(late.total_seconds(), 0) if late else 0.0)
        for reason, count, late in await cursor.fetchall()
    ]
