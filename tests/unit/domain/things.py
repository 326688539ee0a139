"""The things that tests speak of: an account, a command, a message. Plain values with defaults, no checks, no I/O."""

import uuid
from datetime import UTC, datetime
from typing import Any

from services.domain.delivery import Status
from services.domain.ids import MessageIds, derived_id
from services.domain.message import Recipient, SendCommand
from services.domain.tenants import Account
from services.domain.workset import Contact, Conversation, Message, Workset, conversation_id

NOW = datetime(2026, 4, 10, 15, 30, 45, 120_000, tzinfo=UTC)
PHONE = "+593987654321"
WA_ID = "593987654321"
IDS = MessageIds(b"a secret of the tests")
BASE = uuid.UUID("0196202e-7a40-7000-8000-000000000001")
MESSAGE_ID = IDS.issue(1, 42)


def an_account(no: int = 1, **over: Any) -> Account:
    """An account of a tenant that has the same number."""
    fields: dict[str, Any] = {
        "id": derived_id("acc", str(no)),
        "no": no,
        "tenant": no,
        "company_id": f"company_{no}",
        "business_id": "business_789",
        "phone_number": "+14155238886",
        "phone_number_id": f"1000{no}",
        "waba_id": f"2000{no}",
        "app_id": "house",
        "account_type": "cloud_api",
        "status": "active",
        "api_key": "token",
        "registered_at": NOW,
    }
    return Account(**(fields | over))


ACCOUNT = an_account()


def a_command(account: Account = ACCOUNT, **over: Any) -> SendCommand:
    fields: dict[str, Any] = {
        "message_id": MESSAGE_ID,
        "tenant": account.tenant,
        "account_id": account.id,
        "to": Recipient(phone=PHONE),
        "type": "text",
        "content": "Tu pedido salió",
        "body_sha256": "hash of the body",
        "accepted_at": NOW,
    }
    return SendCommand(**(fields | over))


def a_conversation(account: Account = ACCOUNT, contact: str = "cnt_of_the_tests", **over: Any) -> Conversation:
    fields: dict[str, Any] = {
        "id": conversation_id(account.id, contact),
        "account_id": account.id,
        "contact_id": contact,
        "contact_phone": PHONE,
        "queues": {},
    }
    return Conversation(**(fields | over))


def a_message(status: Status, conversation: Conversation | None, account: Account = ACCOUNT, **over: Any) -> Message:
    """An outbound message as its row would be loaded."""
    fields: dict[str, Any] = {
        "id": MESSAGE_ID,
        "conversation_id": conversation.id if conversation else None,
        "account_id": account.id,
        "direction": "outbound",
        "message_type": "text",
        "content": "Tu pedido salió",
        "status": status,
        "base": BASE,
        "message_at": NOW,
        "phone_number": PHONE,
        "lane": "normal",
        "body_sha256": "hash of the body",
        "attempt": 0 if status in {Status.QUEUED, Status.WAITING} else 1,
        "created_at": NOW,
    }
    return Message(**(fields | over))


def a_workset(*messages: Message, conversation: Conversation | None = None) -> Workset:
    """A workset as the store would have loaded it: nothing changed yet."""
    work = Workset()
    work.now = NOW
    if conversation:
        work.conversations[conversation.id] = conversation
        work.contacts[conversation.contact_id] = Contact(conversation.contact_id)
    work.messages.update({message.id: message for message in messages})
    return work


def announced(work: Workset) -> list[str]:
    return [event.event_type for _, event in work.events]
