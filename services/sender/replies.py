"""What a waiting request is told: the message's present outcome. Pure."""

from services.domain.delivery import Status
from services.domain.errors import PROBLEMS
from services.domain.events import rfc3339
from services.domain.replies import Reply
from services.domain.workset import Message

_SENT_AND_BEYOND = frozenset({Status.SENT, Status.DELIVERED, Status.READ, Status.PLAYED})


def present_state(message: Message, *, replay: bool = False, whatsapp_status: str | None = None) -> Reply:
    """A message that got WhatsApp's id answers `sent`, whatever came later: 201 always says so."""
    sent = message.state in _SENT_AND_BEYOND
    error = message.error if message.state == Status.FAILED else None
    return Reply(
        message_id=message.id,
        status="sent" if sent else str(message.status),
        whatsapp_message_id=message.wamid,
        whatsapp_status=whatsapp_status if sent else None,
        sent_at=rfc3339(message.sent_at) if message.sent_at else None,
        conversation_id=message.conversation_id,
        error=error,
        problem=error["code"] if error and "meta" not in error and error["code"] in PROBLEMS else None,
        replay=replay,
    )
