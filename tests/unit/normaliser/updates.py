"""Updates of WhatsApp as the normaliser is told of them. Plain values; not here: Meta's JSON."""

import uuid
from datetime import datetime
from typing import Any

from services.domain.tenants import Account
from services.domain.workset import StatusKey, StatusRow, WamidKey, WamidLink, Workset
from services.normaliser.record import Told, identity_keys
from services.providers.contract import AccountUpdate, Identity, InboundMessage, StatusUpdate, UnknownUpdate, Update
from tests.unit.domain.things import ACCOUNT, NOW, WA_ID

WAMID = "wamid.HBgMNTkzOTg3NjU0MzIxFQIAEhgg"
ANA = Identity(wa_id=WA_ID, bsuid="EC.1349208655302741918", name="Ana", username="ana.ec")


def told(update: Update, account: Account = ACCOUNT, **over: Any) -> Told:
    fields: dict[str, Any] = {
        "account": account,
        "base": uuid.uuid5(uuid.NAMESPACE_URL, repr(update)),
        "update": update,
        "received_at": NOW,
        "partition": 3,
        "offset": 7,
        "natural_key": (repr(update),),
    }
    return Told(**(fields | over))


def a_text(wamid: str = WAMID, **over: Any) -> InboundMessage:
    fields: dict[str, Any] = {
        "wamid": wamid,
        "timestamp": NOW,
        "type": "text",
        "content": "Hola, necesito información",
        "sender": ANA,
        "reply_to_wamid": None,
        "detail": {},
        "event_type": "message_received",
    }
    return InboundMessage(**(fields | over))


def a_status(word: str, wamid: str = WAMID, at: datetime | None = NOW, **over: Any) -> StatusUpdate:
    fields: dict[str, Any] = {
        "wamid": wamid,
        "status": word,
        "known": True,
        "timestamp": at,
        "timestamp_text": str(at),
        "recipient": Identity(wa_id=WA_ID),
        "participant": "",
        "callback": None,
        "errors": [],
        "pricing": None,
        "conversation": None,
    }
    return StatusUpdate(**(fields | over))


def an_account_update(**over: Any) -> AccountUpdate:
    fields: dict[str, Any] = {
        "field": "phone_number_quality_update",
        "event_type": "account_limit_changed",
        "waba_id": "20001",
        "display_phone_number": None,
        "state_field": "messaging_limit",
        "old": "TIER_250",
        "new": "TIER_2K",
        "raw": {"event": "ONBOARDING"},
    }
    return AccountUpdate(**(fields | over))


def an_unknown_update(field: str = "field_of_tomorrow") -> UnknownUpdate:
    return UnknownUpdate(field, {"what": "nobody knows"})


def make_room_for(work: Workset, one: Told) -> None:
    """Do what step 1 and 2 of the transaction do: put in the natural keys that are not there yet."""
    update = one.update
    if isinstance(update, InboundMessage):
        work.new_inbound.add(WamidKey(one.account.id, "in", update.wamid))
        for key in identity_keys(update.sender):
            work.identities.setdefault(key, None)
    elif isinstance(update, StatusUpdate):
        work.wamids.setdefault(WamidKey(one.account.id, "out", update.wamid), WamidLink())


def a_waiting_status(word: str, wamid: str = WAMID, at: datetime = NOW, **over: Any) -> StatusRow:
    """A status that came before anybody knew its message."""
    key = StatusKey(ACCOUNT.id, wamid, word, "", at)
    fields: dict[str, Any] = {
        "key": key,
        "message_id": None,
        "late": False,
        "base": uuid.uuid5(uuid.NAMESPACE_URL, repr(key)),
    }
    return StatusRow(**(fields | over))
