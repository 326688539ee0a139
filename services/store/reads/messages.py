"""What the API shows of messages: one, its timeline, and a conversation's, page by page. Rows as plain dictionaries."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.store.tables import events, message_statuses, messages, wamids

Row = dict[str, Any]
Place = tuple[datetime | None, str]
"""Where a page ended: message_at and id of its last row."""

_SHOWN: Final = (
    messages.c.id, messages.c.conversation_id, messages.c.account_id, messages.c.direction, messages.c.message_type,
    messages.c.content, messages.c.detail, messages.c.status, messages.c.wamid, messages.c.reply_to,
    messages.c.phone_number, messages.c.user_id, messages.c.template_id, messages.c.variables, messages.c.metadata,
    messages.c.lane, messages.c.error, messages.c.pricing, messages.c.message_at, messages.c.sent_at,
    messages.c.delivered_at, messages.c.read_at, messages.c.played_at, messages.c.failed_at, messages.c.created_at,
    messages.c.updated_at,
)  # fmt: skip


class MessageFilter(NamedTuple):
    direction: str | None = None
    type: str | None = None
    status: str | None = None


async def message(connection: AsyncConnection, message_id: str) -> Row | None:
    found = (await connection.execute(select(*_SHOWN).where(messages.c.id == message_id))).mappings().first()
    return dict(found) if found else None


async def of_conversation(
    connection: AsyncConnection, conversation_id: str, wanted: MessageFilter, *, newest_first: bool,
    after: Place | None, limit: int,
) -> list[Row]:  # fmt: skip
    """Return up to `limit` messages in the order of (message_at, id): stable while new ones arrive."""
    query = select(*_SHOWN).where(messages.c.conversation_id == conversation_id)
    for column, value in (
        (messages.c.direction, wanted.direction), (messages.c.message_type, wanted.type),
        (messages.c.status, wanted.status),
    ):  # fmt: skip
        if value is not None:
            query = query.where(column == value)
    return await _rows(connection, _page(query, after, newest_first=newest_first).limit(limit))


def _page(query: Select[Any], after: Place | None, *, newest_first: bool) -> Select[Any]:
    at, name = messages.c.message_at, messages.c.id
    query = query.order_by(at.desc(), name.desc()) if newest_first else query.order_by(at, name)
    if after is None or after[0] is None:
        return query
    # the comparison with the time alone lets the index find the place
    if newest_first:
        return query.where(at <= after[0], or_(at < after[0], name < after[1]))
    return query.where(at >= after[0], or_(at > after[0], name > after[1]))


async def announced(connection: AsyncConnection, message_id: str) -> list[Row]:
    """Return what was announced of a message, in order."""
    query = (
        select(events.c.event_id, events.c.event_type, events.c.at, events.c.sequence)
        .where(events.c.message_id == message_id)
        .order_by(events.c.id)
    )
    return await _rows(connection, query)


async def statuses(connection: AsyncConnection, message_id: str) -> list[Row]:
    """Return every status that WhatsApp reported of a message, late ones too, with the attempt that it speaks of."""
    query = (
        select(
            message_statuses.c.status, message_statuses.c.status_at, message_statuses.c.late,
            message_statuses.c.participant, wamids.c.attempt,
        )
        .join_from(message_statuses, wamids, and_(
            wamids.c.account_id == message_statuses.c.account_id, wamids.c.wamid == message_statuses.c.wamid,
            wamids.c.direction == "out",
        ), isouter=True)
        .where(message_statuses.c.message_id == message_id)
        .order_by(message_statuses.c.status_at, message_statuses.c.recorded_at)
    )  # fmt: skip
    return await _rows(connection, query)


async def _rows(connection: AsyncConnection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in (await connection.execute(query)).mappings()]
