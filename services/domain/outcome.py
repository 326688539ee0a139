"""What follows when something happens to an outbound message: state, times, announcements, the queue behind it. Pure.

Both rooms that learn of outcomes, sender and normaliser, go through `happen`; so the one that comes second finds the
news late, and the one that comes first announces it (architecture §2.3).
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from services.domain.announce import Doubt, doubled_event, outbound_event
from services.domain.delivery import SAW, SETTLED, Happening, Status, advance
from services.domain.tenants import Account
from services.domain.workset import BEGINNING, Message, WamidKey, Workset, queue_of

_TIME_FIELD: Final = {
    "message_sent": "sent_at",
    "message_delivered": "delivered_at",
    "message_read": "read_at",
    "message_played": "played_at",
    "message_failed": "failed_at",
}


def happen(
    work: Workset,
    account: Account,
    message: Message,
    happening: Happening,
    *,
    at: datetime,
    base: UUID,
    error: dict[str, Any] | None = None,
    pricing: dict[str, Any] | None = None,
    doubt: Doubt | None = None,
) -> bool:
    """Apply a happening under the message's lock; False when it was late and changed nothing.

    `doubt` says, when the outcome is lost, until when and how it will be decided.
    """
    move = advance(message.state, happening)
    if move is None:
        return False
    conversation = work.conversations.get(message.conversation_id or "")
    message.error = error if move.status == Status.FAILED else message.error
    message.pricing = pricing or message.pricing
    message.status = move.status
    for event_type in move.announce:
        if field := _TIME_FIELD.get(event_type):
            setattr(message, field, at)
        work.announce(base, outbound_event(event_type, account, message, conversation, at, doubt))
    work.touch_message(message)
    if conversation and move.announce:
        work.touch_conversation(conversation)
    if message.state in SETTLED:
        release_queue(work, message)
    return True


def adopt_statuses(
    work: Workset,
    account: Account,
    key: WamidKey,
    message: Message,
    *,
    base: UUID,
    at: datetime,
    error_of: Callable[[Any], dict[str, Any] | None],
) -> None:
    """Apply the statuses that lay under a wamid before it was linked, oldest first; `at` stands in for no time."""
    for row in work.waiting_statuses.get(key, ()):
        if happening := SAW.get(row.key.status):
            moment = at if row.key.at == BEGINNING else row.key.at
            happen(work, account, message, happening, at=moment, base=base, error=error_of(row.errors),
                   pricing=row.pricing)  # fmt: skip
    work.statuses = [
        msgspec.structs.replace(row, message_id=message.id)
        if row.message_id is None and (row.key.account_id, row.key.wamid) == (key.account_id, key.wamid)
        else row
        for row in work.statuses
    ]


def note_double(
    work: Workset, account: Account, message: Message, wamid: str, *, attempt: int, at: datetime, base: UUID
) -> None:
    """A second id for one message: two attempts reached WhatsApp, which must be said."""
    if message.wamid in {None, wamid}:
        return
    conversation = work.conversations.get(message.conversation_id or "")
    work.announce(base, doubled_event(account, message, conversation, wamid, attempt, at))
    if conversation:
        work.touch_conversation(conversation)


def release_queue(work: Workset, message: Message) -> None:
    """If the settled message was its queue's head, set the next one due; the transaction that settles does both."""
    conversation = work.conversations.get(message.conversation_id or "")
    if conversation is None or message.lane is None or conversation.queues.get(message.lane) != message.id:
        return
    following = work.queue_next.pop(queue_of(message.lane, conversation.id), None)
    if following:
        work.due_now.append(following.row_id)
        conversation.queues = conversation.queues | {message.lane: following.subject}
    else:
        conversation.queues = {lane: head for lane, head in conversation.queues.items() if lane != message.lane}
    work.touch_conversation(conversation)
