"""Which words say what happened to a message: its row and conversation → the event. Pure; sequence is drawn here."""

from datetime import datetime
from typing import Any

from services.domain.events import Event, Nine, message_event, rfc3339
from services.domain.tenants import Account
from services.domain.workset import Conversation, Message


def outbound_event(
    event_type: str, account: Account, message: Message, conversation: Conversation | None, at: datetime
) -> Event:
    """Announce a state of a message that we send. Natural key: the message; of message_unknown its attempt too."""
    key = (message.id, str(message.attempt)) if event_type == "message_unknown" else (message.id,)
    extra: dict[str, Any] = {
        "direction": "outbound",
        "status": str(message.status) if event_type != "message_sent" else "sent",
        "at": rfc3339(at),
        "whatsapp_message_id": message.wamid,
        "to_user_id": message.user_id,
        "attempt": message.attempt,
        "metadata": message.metadata,
    }
    if event_type == "message_failed":
        extra["error"] = message.error
    if message.pricing and event_type != "message_failed":
        extra["pricing"] = message.pricing
    nine = Nine(
        account_id=account.id, company_id=account.company_id, business_id=account.business_id,
        conversation_id=message.conversation_id, message_id=message.id, from_=account.phone_number,
        to=message.phone_number, content=message.content, type=message.message_type,
    )  # fmt: skip
    sequence = conversation.draw_sequence() if conversation else 0
    return message_event(event_type, natural_key=key, at=at, sequence=sequence, nine=nine, extra=extra)


def inbound_event(
    event_type: str,
    account: Account,
    message: Message,
    conversation: Conversation | None,
    contact: dict[str, Any],
) -> Event:
    """Announce what a user sent. The natural key is WhatsApp's id within the account."""
    extra: dict[str, Any] = {
        "direction": "inbound",
        "whatsapp_message_id": message.wamid,
        "timestamp_whatsapp": rfc3339(message.message_at),
        "from_user_id": message.user_id,
        "contact": contact,
        "reply_to": message.reply_to,
        "window_expires_at": rfc3339(conversation.window_expires_at)
        if conversation and conversation.window_expires_at
        else None,
        "metadata": {},
    } | message.detail
    nine = Nine(
        account_id=account.id, company_id=account.company_id, business_id=account.business_id,
        conversation_id=message.conversation_id, message_id=message.id, from_=message.phone_number,
        to=account.phone_number, content=message.content, type=message.message_type,
    )  # fmt: skip
    sequence = conversation.draw_sequence() if conversation else 0
    return message_event(
        event_type, natural_key=(account.id, message.wamid or message.id), at=message.message_at, sequence=sequence,
        nine=nine, extra=extra,
    )  # fmt: skip
