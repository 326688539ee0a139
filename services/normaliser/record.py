"""What one update changes: pure decisions on a tenant's Workset, record by record. Not here: SQL, Kafka, clocks."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from services.domain.announce import inbound_event
from services.domain.delivery import SAW, Happening
from services.domain.events import Event, Nine, account_event
from services.domain.ids import inbound_message_id, phone_of_wa_id
from services.domain.limits import SERVICE_WINDOW
from services.domain.outcome import adopt_statuses, happen, note_double
from services.domain.tenants import Account
from services.domain.workset import (
    BEGINNING,
    AccountStateRow,
    Contact,
    Conversation,
    IdentityKey,
    Message,
    StatusKey,
    StatusRow,
    WamidKey,
    WebhookEventRow,
    Workset,
)
from services.providers.cloud.errors import first_error
from services.providers.cloud.payloads import parse_callback
from services.providers.contract import AccountUpdate, Identity, InboundMessage, StatusUpdate, UnknownUpdate, Update
from services.store.worksets import Keys


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One update on its way into a tenant: whose it is, its record's base, and where its raw bytes lie."""

    account: Account
    base: UUID
    update: Update
    received_at: datetime
    partition: int
    offset: int
    natural_key: tuple[str, ...]


def identity_keys(identity: Identity) -> tuple[IdentityKey, ...]:
    """A user's names, strongest first: the BSUID is for life, a number can change hands."""
    if identity.group_id:
        return (IdentityKey("group", identity.group_id),)
    named = (("bsuid", identity.bsuid), ("wa_id", identity.wa_id), ("parent_bsuid", identity.parent_bsuid))
    return tuple(IdentityKey(kind, value) for kind, value in named if value)


def keys_of(told: Told, keys: Keys) -> None:
    """Add what this update touches to its tenant's keys."""
    account, update = told.account, told.update
    keys.accounts.add(account.id)
    if isinstance(update, InboundMessage):
        wamid = WamidKey(account.id, "in", update.wamid)
        keys.inbound[wamid] = inbound_message_id(account.id, update.wamid)
        presented = identity_keys(update.sender)
        keys.identities.update(presented)
        keys.presented.add(presented)
        if update.reply_to_wamid:
            keys.referenced.add((account.id, update.reply_to_wamid))
    elif isinstance(update, StatusUpdate):
        keys.outbound.add(WamidKey(account.id, "out", update.wamid))
        if update.callback and (ours := parse_callback(update.callback)):
            keys.messages.add(ours[0])


def is_first(work: Workset, told: Told) -> bool:
    """Whether the database shows that this was never recorded: then nothing is stored under its base either."""
    update = told.update
    return isinstance(update, InboundMessage) and WamidKey(told.account.id, "in", update.wamid) in work.new_inbound


def record(work: Workset, told: Told) -> None:
    """Fold one update into the workset; what is there already changes nothing."""
    if isinstance(told.update, InboundMessage):
        record_message(work, told, told.update)
    elif isinstance(told.update, StatusUpdate):
        record_status(work, told, told.update)
    elif isinstance(told.update, AccountUpdate):
        record_account_update(work, told, told.update)
    else:
        record_unknown(work, told, told.update)


def record_message(work: Workset, told: Told, update: InboundMessage) -> None:
    """A user's message becomes one row and one event, however often it comes."""
    account = told.account
    key = WamidKey(account.id, "in", update.wamid)
    if key not in work.new_inbound:
        return
    work.new_inbound.discard(key)
    at = update.timestamp or told.received_at
    phone = phone_of_wa_id(update.sender.wa_id or "")
    presented = identity_keys(update.sender)
    contact, conversation = None, None
    if presented:
        contact = work.contact_for(presented, update.sender.name, update.sender.username)
        conversation = work.open_conversation(account.id, contact, phone)
        _receive(conversation, contact, phone, at, by_user=update.type != "system",
                 counts=update.event_type == "message_received")  # fmt: skip
        work.touch_conversation(conversation)
    message = Message(
        id=inbound_message_id(account.id, update.wamid), conversation_id=conversation.id if conversation else None,
        account_id=account.id, direction="inbound", message_type=update.type, content=update.content,
        status="delivered", base=told.base, message_at=at, detail=update.detail, wamid=update.wamid,
        reply_to=work.references.get((account.id, update.reply_to_wamid or ""), None) or update.reply_to_wamid,
        phone_number=phone, user_id=update.sender.bsuid, delivered_at=at, raw_partition=told.partition,
        raw_offset=told.offset,
    )  # fmt: skip
    work.messages[message.id] = message
    work.new_messages.add(message.id)
    shown = _shown(contact, update)
    work.announce(told.base, inbound_event(update.event_type, account, message, conversation, shown))


def _receive(
    conversation: Conversation, contact: Contact, phone: str | None, at: datetime, *, by_user: bool, counts: bool
) -> None:
    """What an inbound message does to its conversation: it reopens and opens the window, unless WhatsApp wrote it."""
    conversation.contact_name = contact.name or conversation.contact_name
    conversation.contact_phone = phone or conversation.contact_phone
    if not by_user:
        return
    conversation.last_message_at = max(conversation.last_message_at or at, at)
    conversation.window_expires_at = max(conversation.window_expires_at or at, at + SERVICE_WINDOW)
    conversation.unread_count += counts
    conversation.status = "open"


def _shown(contact: Contact | None, update: InboundMessage) -> dict[str, Any]:
    if contact is None:
        return {}
    return {"id": contact.id, "name": contact.name, "username": contact.username, "user_id": update.sender.bsuid}


def record_status(work: Workset, told: Told, update: StatusUpdate) -> None:
    """A status is kept once for ever; its message, if it is known or named by our callback id, moves on."""
    account = told.account
    key = StatusKey(account.id, update.wamid, update.status, update.participant, update.timestamp or BEGINNING)
    if key in work.known_statuses:
        return
    work.known_statuses.add(key)
    message = _message_of(work, told, update)
    applied = message is None or _apply(work, account, message, update, told.received_at, told.base)
    row = StatusRow(key=key, message_id=message.id if message else None, late=not applied, base=told.base,
                    errors=update.errors or None, pricing=update.pricing)  # fmt: skip
    work.statuses.append(row)
    if message is None:
        work.waiting_statuses.setdefault(WamidKey(account.id, "out", update.wamid), []).append(row)


def _message_of(work: Workset, told: Told, update: StatusUpdate) -> Message | None:
    """Find the message of a status; a callback id links the wamid if the message is this account's own."""
    key = WamidKey(told.account.id, "out", update.wamid)
    link = work.wamids[key]
    if link.message_id:
        return work.messages.get(link.message_id)
    ours = parse_callback(update.callback) if update.callback else None
    message = work.messages.get(ours[0]) if ours else None
    if ours is None or message is None or message.account_id != told.account.id or message.direction != "outbound":
        return None
    link.message_id, link.attempt = message.id, ours[1]
    work.changed_wamids.add(key)
    if SAW.get(update.status) != Happening.SAW_FAILED:
        note_double(work, told.account, message, update.wamid, attempt=ours[1], at=told.received_at, base=told.base)
    message.wamid = message.wamid or update.wamid
    work.touch_message(message)
    adopt_statuses(work, told.account, key, message, base=told.base, at=told.received_at, error_of=first_error)
    return message


def _apply(
    work: Workset, account: Account, message: Message, update: StatusUpdate, received_at: datetime, base: UUID
) -> bool:
    happening = SAW.get(update.status)
    of_another_attempt = message.wamid not in {None, update.wamid}
    if happening is None or (happening == Happening.SAW_FAILED and of_another_attempt):
        return False  # one attempt's failure says nothing of the one that went through
    return happen(
        work, account, message, happening, at=update.timestamp or received_at, base=base,
        error=first_error(update.errors), pricing=update.pricing,
    )  # fmt: skip


def record_account_update(work: Workset, told: Told, update: AccountUpdate) -> None:
    """What Meta says of an account: its state in the cell, and the event that announces it."""
    event = _account_event(told, update.event_type, {"field": update.field, "old": update.old, "new": update.new,
                                                     "raw": update.raw})  # fmt: skip
    work.announce(told.base, event)
    if update.state_field:
        work.account_states[told.account.id, update.state_field] = AccountStateRow(
            account_id=told.account.id, field=update.state_field, value=update.new, at=told.received_at,
            event_id=event.event_id,
        )  # fmt: skip


def record_unknown(work: Workset, told: Told, update: UnknownUpdate) -> None:
    """A kind that we do not know is kept with its raw and announced as such, never guessed."""
    event = _account_event(told, "webhook_event_unknown", {"field": update.field, "raw": update.raw})
    work.announce(told.base, event)
    work.webhook_events.append(
        WebhookEventRow(id=event.event_id, account_id=told.account.id, event_type=update.field, payload=update.raw,
                        raw_partition=told.partition, raw_offset=told.offset)
    )  # fmt: skip


def _account_event(told: Told, event_type: str, extra: dict[str, Any]) -> Event:
    account = told.account
    nine = Nine(account_id=account.id, company_id=account.company_id, business_id=account.business_id,
                conversation_id=None, message_id=None, from_=None, to=account.phone_number, content="",
                type=str(extra["field"]))  # fmt: skip
    natural_key = (account.id, *told.natural_key)
    return account_event(event_type, natural_key=natural_key, at=told.received_at, nine=nine, extra=extra)
