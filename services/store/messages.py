"""Messages: statements of a batch. A row is inserted whole and updated once per transaction; never commits."""

from collections.abc import Collection
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

from services.domain.workset import BEGINNING, Message, Workset
from services.store.arrays import Column, Table, after_seconds, as_json, json, of, text, transpose
from services.store.tenancy import Rows, Statement

# what a row's life changes
_MOVING: Final = (
    *text("id", "conversation_id", "status", "wamid"),
    *of("integer", "wait_no", "retries", "attempt"),
    *json("error", "pricing"),
    *of("timestamptz", "sent_at", "delivered_at", "read_at", "played_at", "failed_at"),
)
# what it has from its first moment
_FIXED: Final = (
    *text("account_id", "direction", "message_type", "content"),
    *json("detail"),
    *text("reply_to", "phone_number", "user_id", "template_id"),
    *json("variables", "metadata"),
    *text("lane"),
    *of("uuid", "base"),
    *text("body_sha256"),
    *of("timestamptz", "not_before", "not_after", "message_at"),
    *of("bigint", "raw_partition", "raw_offset"),
)
# a claim sets the lease, nothing else touches it
_LEASE: Final = Column(
    "lease_until", "double precision", "coalesce(now() + x.lease_until * interval '1 second', t.lease_until)"
)
_MOVING_ROWS: Final = Table("{s}.messages", (*_MOVING, _LEASE))
_ALL_ROWS: Final = Table("{s}.messages", (*_MOVING, *_FIXED, after_seconds("lease_until")))
_INSERT: Final = _ALL_ROWS.insert(order="id")
# what a user's message has from its first moment; the rest keeps the table's defaults
_INBOUND_ROWS: Final = Table(
    "{s}.messages",
    (
        *text("id", "conversation_id", "status", "wamid"),
        *of("timestamptz", "delivered_at"),
        *text("account_id", "direction", "message_type", "content"),
        *json("detail"),
        *text("reply_to", "phone_number", "user_id"),
        *of("uuid", "base"),
        *of("timestamptz", "message_at"),
        *of("bigint", "raw_partition", "raw_offset"),
    ),
)
_INSERT_INBOUND: Final = _INBOUND_ROWS.insert(order="id")
_said = {column.name for column in _INBOUND_ROWS.columns}
_rest_of: Final = attrgetter(
    "lease_seconds", *(column.name for column in (*_MOVING, *_FIXED) if column.name not in _said)
)
_NO_REST: Final = _rest_of(
    Message(id="", conversation_id=None, account_id="", direction="", message_type="", content="", status="",
            base=UUID(int=0), message_at=BEGINNING)
)  # fmt: skip
_UPDATE: Final = _MOVING_ROWS.update(key=("id",), extra=", updated_at = now()")
_LOADED: Final = ", ".join(f"m.{column.name}" for column in (*_MOVING, *_FIXED))
_LOCK: Final = f"""
SELECT {_LOADED}, m.created_at, coalesce(m.lease_until < now(), true),
    coalesce(extract(epoch FROM m.lease_until - now())::float8, 0)
FROM {{s}}.messages m WHERE m.id = ANY(ARRAY(
    SELECT found.message_id FROM unnest(%b::text[], %b::text[]) AS x(account_id, wamid) CROSS JOIN LATERAL (
        SELECT w.message_id FROM {{s}}.wamids w
        WHERE w.account_id = x.account_id AND w.direction = 'out' AND w.wamid = x.wamid OFFSET 0) AS found
    UNION SELECT unnest(%b::text[])))
ORDER BY m.id FOR UPDATE"""
_FIELDS: Final = (*(column.name for column in (*_MOVING, *_FIXED)), "created_at", "lease_over", "lease_left_seconds")


def lock(*, wamids: tuple[list[str], list[str]], ids: Collection[str]) -> list[Statement]:
    """Lock the outbound messages that wamids or ids name, in id order."""
    if not (wamids[0] or ids):
        return []
    return [Statement("messages", _LOCK, (*wamids, sorted(ids)))]


def load(work: Workset, rows: dict[str, Rows]) -> None:
    for row in rows.get("messages", ()):
        message = Message(**dict(zip(_FIELDS, row, strict=True)))
        work.messages[message.id] = message


def write(work: Workset) -> list[Statement]:
    statements = []
    if work.new_messages:
        rows = [work.messages[message_id] for message_id in sorted(work.new_messages)]
        if all(map(_is_plain, rows)):
            statements.append(Statement("", _INSERT_INBOUND, _inbound(rows)))
        else:
            moving = _moving(rows)
            statements.append(Statement("", _INSERT, moving[:-1] + _fixed(rows) + moving[-1:]))
    if work.changed_messages:
        rows = [work.messages[message_id] for message_id in sorted(work.changed_messages)]
        statements.append(Statement("", _UPDATE, _moving(rows)))
    return statements


def _is_plain(message: Message) -> bool:
    """Whether the narrow insert says all of it: half of the columns are the outbound messages' own."""
    return bool(_rest_of(message) == _NO_REST)


def _inbound(rows: list[Message]) -> tuple[list[Any], ...]:
    return transpose(
        rows,
        attrgetter("id"), attrgetter("conversation_id"), lambda m: str(m.status), attrgetter("wamid"),
        attrgetter("delivered_at"), attrgetter("account_id"), attrgetter("direction"), attrgetter("message_type"),
        attrgetter("content"), lambda m: as_json(m.detail), attrgetter("reply_to"), attrgetter("phone_number"),
        attrgetter("user_id"), attrgetter("base"), attrgetter("message_at"), attrgetter("raw_partition"),
        attrgetter("raw_offset"),
    )  # fmt: skip


def _moving(rows: list[Message]) -> tuple[list[Any], ...]:
    return transpose(
        rows,
        lambda m: m.id, lambda m: m.conversation_id, lambda m: str(m.status), lambda m: m.wamid,
        lambda m: m.wait_no, lambda m: m.retries, lambda m: m.attempt,
        lambda m: as_json(m.error), lambda m: as_json(m.pricing),
        lambda m: m.sent_at, lambda m: m.delivered_at, lambda m: m.read_at, lambda m: m.played_at,
        lambda m: m.failed_at, lambda m: m.lease_seconds,
    )  # fmt: skip


def _fixed(rows: list[Message]) -> tuple[list[Any], ...]:
    return transpose(
        rows,
        lambda m: m.account_id, lambda m: m.direction, lambda m: m.message_type, lambda m: m.content,
        lambda m: as_json(m.detail), lambda m: m.reply_to, lambda m: m.phone_number, lambda m: m.user_id,
        lambda m: m.template_id, lambda m: as_json(m.variables), lambda m: as_json(m.metadata), lambda m: m.lane,
        lambda m: m.base, lambda m: m.body_sha256, lambda m: m.not_before, lambda m: m.not_after,
        lambda m: m.message_at, lambda m: m.raw_partition, lambda m: m.raw_offset,
    )  # fmt: skip
