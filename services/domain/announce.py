"""Which words say what happened to a message: its row and conversation → the event. Pure; sequence is drawn here."""

from datetime import datetime
from typing import Any, Final

import msgspec

from services.domain.delivery import Status
from services.domain.events import Event, Nine, message_event, rfc3339
from services.domain.tenants import Account
from services.domain.workset import Conversation, Message

_OUTCOMES: Final = {Status.SENDING: "repeated", Status.UNKNOWN: "not_repeated"}
"""What the policy made of an unknown outcome; every other state is what was seen."""


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """Until when a status may settle a lost outcome, and by which policy it is decided then."""

    decide_at: datetime
    policy: str


def outbound_event(
    event_type: str,
    account: Account,
    message: Message,
    conversation: Conversation | None,
    at: datetime,
    doubt: Doubt | None = None,
) -> Event:
    """Announce a state of a message that we send. Natural key: the message; of a doubt its attempt, of its end also
    the outcome (what was left unknown may still be seen)."""
    key: tuple[str, ...] = (message.id,)
    extra: dict[str, Any] = {
        "direction": "outbound",
        "status": str(message.status) if event_type != "message_sent" else "sent",
        "at": rfc3339(at),
        "whatsapp_message_id": message.wamid,
        "to_user_id": message.user_id,
        "attempt": message.attempt,
        "metadata": message.metadata,
    }
    if event_type == "message_unknown":
        key = (message.id, str(message.attempt))
        decided = {"decide_at": rfc3339(doubt.decide_at), "policy": doubt.policy} if doubt else {}
        extra |= {"since": rfc3339(at)} | decided
    if event_type == "message_resolved":
        extra["outcome"] = _OUTCOMES.get(message.state, str(message.status))
        key = (message.id, str(message.attempt), extra["outcome"])
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


def doubled_event(
    account: Account, message: Message, conversation: Conversation | None, wamid: str, attempt: int, at: datetime
) -> Event:
    """Two attempts reached WhatsApp. The natural key is the message and the id that came second."""
    nine = Nine(
        account_id=account.id, company_id=account.company_id, business_id=account.business_id,
        conversation_id=message.conversation_id, message_id=message.id, from_=account.phone_number,
        to=message.phone_number, content=message.content, type=message.message_type,
    )  # fmt: skip
    extra = {"direction": "outbound", "status": str(message.status), "at": rfc3339(at), "attempt": attempt,
             "whatsapp_message_id": wamid, "other_whatsapp_message_id": message.wamid,
             "metadata": message.metadata}  # fmt: skip
    sequence = conversation.draw_sequence() if conversation else 0
    return message_event(
        "message_doubled", natural_key=(message.id, wamid), at=at, sequence=sequence, nine=nine, extra=extra
    )


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
