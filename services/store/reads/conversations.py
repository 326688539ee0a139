"""What the API shows of conversations: one, or those of some accounts, page by page. Rows as plain dictionaries."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from services.store.tables import contact_identities, contacts, conversations, messages

Row = dict[str, Any]
Place = tuple[datetime | None, str]
"""Where a page ended: last_message_at and id of its last row."""

_identities: Final = (
    select(func.jsonb_object_agg(contact_identities.c.kind, contact_identities.c.value))
    .where(contact_identities.c.contact_id == conversations.c.contact_id)
    .scalar_subquery()
    .label("identities")
)
_last: Final = (
    select(messages.c.id, messages.c.direction, messages.c.message_type, messages.c.content)
    .where(messages.c.conversation_id == conversations.c.id)
    .order_by(messages.c.message_at.desc(), messages.c.id.desc())
    .limit(1)
    .lateral("last")
)
_SHOWN: Final = (
    select(
        conversations.c.id, conversations.c.account_id, conversations.c.contact_id, conversations.c.contact_phone,
        conversations.c.contact_name, conversations.c.status, conversations.c.last_message_at,
        conversations.c.window_expires_at, conversations.c.unread_count, conversations.c.metadata,
        conversations.c.created_at, conversations.c.updated_at, contacts.c.username, _identities,
        _last.c.id.label("last_id"), _last.c.direction.label("last_direction"),
        _last.c.message_type.label("last_type"), _last.c.content.label("last_content"),
    )
    .select_from(conversations)
    .join(contacts, contacts.c.id == conversations.c.contact_id, isouter=True)
    .join(_last, true(), isouter=True)
)  # fmt: skip


class ConversationFilter(NamedTuple):
    accounts: Sequence[str] | None = None
    statuses: Sequence[str] | None = None
    contact_phone: str | None = None


async def conversation(connection: AsyncConnection, conversation_id: str) -> Row | None:
    found = (await connection.execute(_SHOWN.where(conversations.c.id == conversation_id))).mappings().first()
    return dict(found) if found else None


async def conversation_list(
    connection: AsyncConnection, wanted: ConversationFilter, *, newest_first: bool, after: Place | None, limit: int
) -> list[Row]:
    """Return up to `limit` conversations by their last message; those that have none yet count as newest."""
    query = _SHOWN
    if wanted.accounts is not None:
        query = query.where(conversations.c.account_id.in_(wanted.accounts))
    if wanted.statuses is not None:
        query = query.where(conversations.c.status.in_(wanted.statuses))
    if wanted.contact_phone is not None:
        query = query.where(conversations.c.contact_phone == wanted.contact_phone)
    page = _page(query, after, newest_first=newest_first).limit(limit)
    return [dict(row) for row in (await connection.execute(page)).mappings()]


def _page(query: Select[Any], after: Place | None, *, newest_first: bool) -> Select[Any]:
    """PostgreSQL puts NULL first when descending and last when ascending, which is the order wanted here."""
    at, name = conversations.c.last_message_at, conversations.c.id
    query = query.order_by(at.desc(), name) if newest_first else query.order_by(at, name.desc())
    return query if after is None else query.where(*(_older(*after) if newest_first else _newer(*after)))


def _older(at: datetime | None, name: str) -> tuple[ColumnElement[bool], ...]:
    last, own = conversations.c.last_message_at, conversations.c.id
    if at is None:
        return (or_(last.is_not(None), own > name),)
    return (last <= at, or_(last < at, own > name))  # the first half lets the index find the place


def _newer(at: datetime | None, name: str) -> tuple[ColumnElement[bool], ...]:
    last, own = conversations.c.last_message_at, conversations.c.id
    if at is None:
        return (last.is_(None), own < name)
    return (or_(last.is_(None), last > at, (last == at) & (own < name)),)
