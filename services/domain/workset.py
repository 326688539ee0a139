"""What one batch works on in one tenant: the locked rows as plain values, and which of them changed. Pure.

The store fills a Workset under locks (architecture §2.2, step 2), the domain folds records into it (3), the store
writes each changed row once (4). Not here: what a record means, SQL.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from services.domain.delivery import Status
from services.domain.events import Event
from services.domain.ids import derived_id

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for the time of a status that names none, so that its natural key is the same at every delivery."""


class IdentityKey(NamedTuple):
    """One way to name a user: kind is wa_id (digits), bsuid, parent_bsuid or group."""

    kind: str
    value: str


class WamidKey(NamedTuple):
    account_id: str
    direction: str
    wamid: str


class StatusKey(NamedTuple):
    account_id: str
    wamid: str
    status: str
    participant: str
    at: datetime


class Contact(msgspec.Struct):
    id: str
    name: str | None = None
    username: str | None = None


class Conversation(msgspec.Struct):
    """`queues`: lane → the message at the head of an open queue; later ones of that lane wait behind it (§2.5)."""

    id: str
    account_id: str
    contact_id: str
    contact_phone: str | None = None
    contact_name: str | None = None
    status: str = "open"
    last_message_at: datetime | None = None
    window_expires_at: datetime | None = None
    unread_count: int = 0
    last_sequence: int = 0
    queues: dict[str, str] = {}

    def draw_sequence(self) -> int:
        self.last_sequence += 1
        return self.last_sequence


class Message(msgspec.Struct, kw_only=True):
    id: str
    conversation_id: str | None
    account_id: str
    direction: str
    message_type: str
    content: str
    status: str
    base: UUID
    message_at: datetime
    detail: dict[str, Any] = {}
    wamid: str | None = None
    reply_to: str | None = None
    phone_number: str | None = None
    user_id: str | None = None
    template_id: str | None = None
    variables: Any = None
    metadata: dict[str, Any] = {}
    lane: str | None = None
    wait_no: int = 0
    retries: int = 0
    attempt: int = 0
    lease_seconds: float | None = None
    """Set by a claim: the row's lease becomes the database's now() plus this."""
    lease_over: bool = False
    lease_left_seconds: float = 0.0
    body_sha256: str | None = None
    error: dict[str, Any] | None = None
    pricing: dict[str, Any] | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    played_at: datetime | None = None
    failed_at: datetime | None = None
    created_at: datetime | None = None
    raw_partition: int | None = None
    raw_offset: int | None = None

    @property
    def state(self) -> Status:
        return Status(self.status)


class WamidLink(msgspec.Struct):
    message_id: str | None = None
    attempt: int | None = None


class StatusRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the append-only statuses."""

    key: StatusKey
    message_id: str | None
    late: bool
    base: UUID
    errors: Any = None
    pricing: Any = None


class AccountStateRow(msgspec.Struct, frozen=True, kw_only=True):
    account_id: str
    field: str
    value: Any
    at: datetime
    event_id: UUID


class WebhookEventRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    account_id: str | None
    event_type: str
    payload: Any
    raw_partition: int
    raw_offset: int


class Deferral(msgspec.Struct, frozen=True, kw_only=True):
    """One wait: `due_in_seconds` None means behind a queue's head."""

    reason: str
    due_in_seconds: float | None
    queue: str | None
    topic: str
    key: str
    base: UUID
    n: int
    payload: bytes
    headers: dict[str, str] = {}
    subject: str | None = None


class QueueNext(NamedTuple):
    """The row that waits first behind a head."""

    row_id: int
    subject: str


class Workset:
    """One tenant's rows of one batch. Dictionaries are the locked truth; the sets say what step 4 has to write."""

    def __init__(self) -> None:
        self.identities: dict[IdentityKey, str | None] = {}
        self.contacts: dict[str, Contact] = {}
        self.conversations: dict[str, Conversation] = {}
        self.messages: dict[str, Message] = {}
        self.wamids: dict[WamidKey, WamidLink] = {}
        self.new_inbound: set[WamidKey] = set()
        self.known_statuses: set[StatusKey] = set()
        self.waiting_statuses: dict[WamidKey, list[StatusRow]] = {}
        self.queue_next: dict[str, QueueNext] = {}
        self.now: datetime | None = None
        self.references: dict[tuple[str, str], str | None] = {}
        # what changed
        self.linked: set[IdentityKey] = set()
        self.new_contacts: set[str] = set()
        self.changed_contacts: set[str] = set()
        self.new_conversations: set[str] = set()
        self.changed_conversations: set[str] = set()
        self.new_messages: set[str] = set()
        self.changed_messages: set[str] = set()
        self.changed_wamids: set[WamidKey] = set()
        self.statuses: list[StatusRow] = []
        self.account_states: dict[tuple[str, str], AccountStateRow] = {}
        self.webhook_events: list[WebhookEventRow] = []
        self.deferrals: list[Deferral] = []
        self.due_now: list[int] = []
        self.events: list[tuple[UUID, Event]] = []

    def announce(self, base: UUID, event: Event) -> None:
        self.events.append((base, event))

    def conversation_of(self, account_id: str, contact_id: str) -> Conversation | None:
        return self.conversations.get(conversation_id(account_id, contact_id))

    def open_conversation(self, account_id: str, contact: Contact, phone: str | None) -> Conversation:
        """Return the one conversation of account and contact, made here when there is none."""
        found = self.conversation_of(account_id, contact.id)
        if found:
            return found
        made = Conversation(
            conversation_id(account_id, contact.id), account_id, contact.id, phone, contact.name, queues={}
        )
        self.conversations[made.id] = made
        self.new_conversations.add(made.id)
        return made

    def touch_conversation(self, conversation: Conversation) -> None:
        if conversation.id not in self.new_conversations:
            self.changed_conversations.add(conversation.id)

    def touch_message(self, message: Message) -> None:
        if message.id not in self.new_messages:
            self.changed_messages.add(message.id)

    def contact_for(self, presented: tuple[IdentityKey, ...], name: str | None, username: str | None) -> Contact:
        """Find or make the contact that the identities name, strongest first, and link what is new.

        An identity that belongs to another contact already stays there unless the strongest one is new to us: then the
        number has changed hands and follows its new owner. Two contacts are never fused on conflicting identities.
        """
        owners = [self.identities.get(key) for key in presented]
        owner = owners[0] or self._weaker_owner(presented, owners)
        contact = self.contacts[owner] if owner else self._new_contact(presented[0])
        for key, belongs_to in zip(presented, owners, strict=True):
            if belongs_to is None or (owner is None and belongs_to != contact.id):
                self.identities[key] = contact.id
                self.linked.add(key)
        self._rename(contact, name, username)
        return contact

    def _weaker_owner(self, presented: tuple[IdentityKey, ...], owners: list[str | None]) -> str | None:
        """A known number speaks for a new BSUID only while its contact has no other BSUID."""
        for owner in owners[1:]:
            if owner is None:
                continue
            if not self.has_name(owner, presented[0].kind):
                return owner
        return None

    def has_name(self, contact_id: str, kind: str) -> bool:
        return any(key.kind == kind for key, of in self.identities.items() if of == contact_id)

    def _new_contact(self, strongest: IdentityKey) -> Contact:
        contact = Contact(derived_id("cnt", strongest.kind, strongest.value))
        self.contacts[contact.id] = contact
        self.new_contacts.add(contact.id)
        return contact

    def _rename(self, contact: Contact, name: str | None, username: str | None) -> None:
        if (name and name != contact.name) or (username and username != contact.username):
            contact.name, contact.username = name or contact.name, username or contact.username
            if contact.id not in self.new_contacts:
                self.changed_contacts.add(contact.id)


def queue_of(lane: str, conversation: str) -> str:
    """Name a queue: a lane, or an endpoint, and a conversation."""
    return f"{lane}|{conversation}"


@lru_cache(maxsize=16384)
def conversation_id(account_id: str, contact_id: str) -> str:
    return derived_id("conv", account_id, contact_id)
