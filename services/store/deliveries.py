"""What became of pushes: results (insert-only), and the queues that keep a conversation's order at an endpoint.

A queue's row is open while the outcome of its head is not stored; appending to it, taking from it and closing it lock
that row (architecture §2.5). Statements of the role recado_notifier. Never commits; decides nothing.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from services.domain.workset import Deferral, queue_of
from services.store import deferred
from services.store.arrays import PLACE, Table, of, text, transpose
from services.store.pools import Connection

ROLE: Final = "recado_notifier"


class PushKey(NamedTuple):
    """One event at one endpoint; `conversation` is the key under which order holds there."""

    tenant: int
    endpoint: str
    conversation: str
    event_id: UUID

    @property
    def queue(self) -> str:
        return queue_of(self.endpoint, self.conversation)


class First(NamedTuple):
    """The row that waits first behind a queue's head."""

    row_id: int
    event_id: UUID


class Seen(NamedTuple):
    """What is stored of a push: its tries, how it ended if it did, and its queue if that is open."""

    tries: int
    ended: str | None
    head: UUID | None
    first: First | None


class Delivery(NamedTuple):
    """One try and its outcome: acknowledged, failed, dead or gone."""

    n: int
    outcome: str
    http_status: int | None
    detail: str | None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written of one push. `head` and `due`: the queue's new head and its row; or it is closed."""

    key: PushKey
    delivery: Delivery | None = None
    deferral: Deferral | None = None
    head: UUID | None = None
    due: int | None = None
    closed: bool = False


_KEYS: Final = Table(
    "recado.delivery_queues",
    (*of("integer", "tenant_id"), *text("endpoint_id", "conversation"), *of("uuid", "head_event_id")),
)
_SAME_QUEUE: Final = "q.tenant_id = x.tenant_id AND q.endpoint_id = x.endpoint_id AND q.conversation = x.conversation"
_QUEUE_ORDER: Final = "x.tenant_id, x.endpoint_id, x.conversation"
# the update changes nothing: it locks the row that is there
_OPEN: Final = _KEYS.insert(
    order=_QUEUE_ORDER,
    conflict="(tenant_id, endpoint_id, conversation) DO UPDATE SET head_event_id = delivery_queues.head_event_id",
).encode()
_LOCK: Final = f"""
SELECT FROM recado.delivery_queues q JOIN {_KEYS.source()} ON {_SAME_QUEUE}
ORDER BY q.tenant_id, q.endpoint_id, q.conversation FOR UPDATE OF q""".encode()
_LOOK: Final = f"""
SELECT d.tries, d.ended, q.head_event_id, f.id, f.base
FROM unnest(%b::integer[], %b::text[], %b::text[], %b::uuid[]) WITH ORDINALITY
    AS x(tenant_id, endpoint_id, conversation, event_id, place)
CROSS JOIN LATERAL (
    SELECT count(*)::integer AS tries, min(outcome) FILTER (WHERE outcome <> 'failed') AS ended FROM recado.deliveries d
    WHERE d.tenant_id = x.tenant_id AND d.endpoint_id = x.endpoint_id AND d.event_id = x.event_id) d
LEFT JOIN recado.delivery_queues q ON {_SAME_QUEUE}
LEFT JOIN LATERAL (
    SELECT id, base FROM recado.deferred f
    WHERE f.tenant_id = q.tenant_id AND f.queue = q.endpoint_id || '|' || q.conversation AND f.due_at IS NULL
    ORDER BY f.id LIMIT 1) f ON true
ORDER BY x.place""".encode()
_TRIED: Final = (
    Table(
        "recado.deliveries",
        (
            *of("integer", "tenant_id"),
            *text("endpoint_id"),
            *of("uuid", "event_id"),
            *of("integer", "n"),
            *text("outcome"),
            *of("integer", "http_status"),
            *text("detail"),
            PLACE,
        ),
    )
    .insert(order="x.tenant_id, x.endpoint_id, x.event_id", conflict="DO NOTHING")
    .encode()
)
_HEADS: Final = _KEYS.update(key=("tenant_id", "endpoint_id", "conversation")).encode()
_CLOSE: Final = f"DELETE FROM recado.delivery_queues q USING {_KEYS.source()} WHERE {_SAME_QUEUE}".encode()
_DUE: Final = b"UPDATE recado.deferred SET due_at = now() WHERE id = ANY(%b::bigint[])"


async def look(connection: Connection, keys: Sequence[PushKey]) -> list[Seen]:
    """Tell what is stored of each push, in the order asked."""
    cursor = await connection.execute(_LOOK, _arrays([(key, key.event_id) for key in keys]), binary=True)
    return [
        Seen(tries, ended, head, First(row_id, base) if row_id else None)
        for tries, ended, head, row_id, base in await cursor.fetchall()
    ]


async def lock(connection: Connection, keys: Sequence[PushKey], opening: Sequence[PushKey]) -> list[Seen]:
    """Lock the queues of these pushes, those of `opening` made if they are not there; then look, in one round trip."""
    async with connection.pipeline():
        if opening:
            await connection.execute(_OPEN, _arrays([(key, key.event_id) for key in opening]))
        await connection.execute(_LOCK, _arrays([(key, key.event_id) for key in keys]))
        return await look(connection, keys)


async def write(connection: Connection, changes: Sequence[Change]) -> None:
    """Write what was decided under the lock, in one round trip."""
    tried = [(change.key, change.delivery) for change in changes if change.delivery]
    heads = [(change.key, change.head) for change in changes if change.head]
    closed = [(change.key, change.key.event_id) for change in changes if change.closed]
    due = [change.due for change in changes if change.due]
    async with connection.pipeline():
        if tried:
            await connection.execute(_TRIED, _tried_arrays(tried))
        await deferred.put(connection, [(change.key.tenant, change.deferral) for change in changes if change.deferral])
        if heads:
            await connection.execute(_HEADS, _arrays(heads))
        if closed:
            await connection.execute(_CLOSE, _arrays(closed))
        if due:
            await connection.execute(_DUE, (due,))


def _arrays(rows: Sequence[tuple[PushKey, UUID]]) -> tuple[list[Any], ...]:
    return transpose(
        rows, lambda r: r[0].tenant, lambda r: r[0].endpoint, lambda r: r[0].conversation, lambda r: r[1]
    )  # fmt: skip


def _tried_arrays(rows: Sequence[tuple[PushKey, Delivery]]) -> tuple[list[Any], ...]:
    return transpose(
        enumerate(rows),
        lambda i: i[1][0].tenant, lambda i: i[1][0].endpoint, lambda i: i[1][0].event_id, lambda i: i[1][1].n,
        lambda i: i[1][1].outcome, lambda i: i[1][1].http_status, lambda i: i[1][1].detail, lambda i: i[0],
    )  # fmt: skip
