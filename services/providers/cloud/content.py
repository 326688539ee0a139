"""What a user's message and a status say: one reader a type, tables below. Pure and total. Not here: the envelope
(webhook.py), account fields (management.py), what our rooms do about it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from services.domain.delivery import SAW
from services.domain.errors import RecordError
from services.providers.contract import Identity, InboundMessage, StatusUpdate

Json = Mapping[str, Any]
_EARLIEST: Final = 1_230_768_000  # 2009-01-01: older than WhatsApp is no time
_LATEST: Final = 4_102_444_800  # 2100-01-01: later is milliseconds or nonsense


class Reading(NamedTuple):
    """`content` is what a person would read, `detail` the rest under the names of api.md §8."""

    content: str
    detail: dict[str, Any]


def text(value: object) -> str:
    """Return a string as it is and a number as its digits; anything else is no text."""
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else ""


def some(value: object) -> str | None:
    return text(value) or None


def obj(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def moment(value: object) -> datetime | None:
    """Read seconds since 1970, as string or number; None for what is no plausible time."""
    digits = text(value)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):  # noqa: PLR2004 - until the year 2286
        return None
    seconds = int(digits)
    return datetime.fromtimestamp(seconds, UTC) if _EARLIEST <= seconds < _LATEST else None


def read_message(message: Json, contact: Json) -> InboundMessage:
    """Read one element of `messages[]`. Raises RecordError when it has no id: then nothing can name it."""
    wamid = text(message.get("id"))
    if not wamid:
        raise RecordError("unreadable_item", "a message without an id")
    type_ = text(message.get("type")) or "unknown"
    content, detail = _read(type_, message)
    return InboundMessage(
        wamid=wamid,
        timestamp=moment(message.get("timestamp")),
        type=type_,
        content=content,
        sender=_sender(message, contact),
        reply_to_wamid=some(obj(message.get("context")).get("id")),
        detail=detail | _around(message),
        event_type=EVENTS.get(type_, "message_received"),
    )


def read_status(status: Json, contact: Json) -> StatusUpdate:
    """Read one element of `statuses[]`. Raises RecordError when it has no id."""
    wamid = text(status.get("id"))
    if not wamid:
        raise RecordError("unreadable_item", "a status without an id")
    word = text(status.get("status"))
    return StatusUpdate(
        wamid=wamid,
        status=word,
        known=word in SAW,
        timestamp=moment(status.get("timestamp")),
        timestamp_text=text(status.get("timestamp")),
        recipient=_recipient(status, contact),
        participant=participant(status),
        callback=some(status.get("biz_opaque_callback_data")),
        errors=objects(status.get("errors")),
        pricing=obj(status.get("pricing")) or None,
        conversation=obj(status.get("conversation")) or None,
    )


def participant(status: Json) -> str:
    """Who of a group a status is about; empty outside groups."""
    return text(status.get("recipient_participant_user_id")) or text(status.get("recipient_participant_id"))


def _sender(message: Json, contact: Json) -> Identity:
    return _identity(
        contact,
        wa_id=message.get("from"),
        bsuid=message.get("from_user_id"),
        parent=message.get("from_parent_user_id"),
        group=message.get("group_id"),
    )


def _recipient(status: Json, contact: Json) -> Identity:
    to_group = status.get("recipient_type") == "group"
    return _identity(
        contact,
        wa_id=None if to_group else status.get("recipient_id"),
        bsuid=status.get("recipient_user_id"),
        parent=status.get("recipient_parent_user_id"),
        group=status.get("recipient_id") if to_group else None,
    )


def _identity(contact: Json, *, wa_id: object, bsuid: object, parent: object, group: object) -> Identity:
    """The update's own names first; what it leaves out comes from its contact."""
    profile = obj(contact.get("profile"))
    return Identity(
        wa_id=some(wa_id) or some(contact.get("wa_id")),
        bsuid=some(bsuid) or some(contact.get("user_id")),
        parent_bsuid=some(parent) or some(contact.get("parent_user_id")),
        username=some(profile.get("username")),
        name=some(profile.get("name")),
        group_id=some(group),
    )


def _around(message: Json) -> dict[str, Any]:
    """What may stand beside a message of any type."""
    found: dict[str, Any] = {}
    if referral := obj(message.get("referral")):
        found["referral"] = referral
    if errors := objects(message.get("errors")):
        found["errors"] = errors
    if context := _pick(message.get("context"), "forwarded", "frequently_forwarded", "referred_product"):
        found["context"] = context
    return found


def _pick(value: object, *names: str) -> dict[str, Any]:
    source = obj(value)
    return {name: source[name] for name in names if source.get(name) is not None}


def _read(type_: str, message: Json) -> Reading:
    reader = READERS.get(type_)
    return reader(message, type_) if reader else Reading("", {})


def _text(message: Json, type_: str) -> Reading:
    return Reading(text(obj(message.get(type_)).get("body")), {})


def _media(message: Json, type_: str) -> Reading:
    """A reference only: Meta's own url lives five minutes and is left out."""
    part = obj(message.get(type_))
    media = _pick(part, "id", "mime_type", "sha256", "filename", "voice", "animated", "caption")
    return Reading(text(part.get("caption")), {"media": media})


def _location(message: Json, type_: str) -> Reading:
    part = obj(message.get(type_))
    location = _pick(part, "latitude", "longitude", "name", "address", "url")
    return Reading(text(part.get("name")) or text(part.get("address")), {"location": location})


def _contacts(message: Json, type_: str) -> Reading:
    cards = objects(message.get(type_))
    names = (text(obj(card.get("name")).get("formatted_name")) for card in cards)
    return Reading(", ".join(name for name in names if name), {"contacts": cards})


def _reaction(message: Json, type_: str) -> Reading:
    """A removal has no emoji or an empty one (facts §1.7)."""
    part = obj(message.get(type_))
    emoji = text(part.get("emoji"))
    return Reading(emoji, {"reaction": {"emoji": emoji, "target": text(part.get("message_id"))}})


def _interactive(message: Json, type_: str) -> Reading:
    part = obj(message.get(type_))
    kind = text(part.get("type"))
    reply = obj(part.get(kind))
    if kind in ("button_reply", "list_reply"):
        answer = _pick(reply, "id", "title", "description")
        return Reading(text(reply.get("title")), {"interactive": {"type": kind, **answer}})
    if kind == "nfm_reply":  # response_json is a string that may hold anything: handed on as it is
        answer = _pick(reply, "name") | {"response": text(reply.get("response_json"))}
        return Reading(text(reply.get("body")), {"interactive": {"type": kind, **answer}})
    if kind == "call_permission_reply":
        answer = _pick(reply, "response", "response_source", "expiration_timestamp", "is_permanent")
        return Reading(text(reply.get("response")), {"interactive": {"type": kind, **answer}})
    return Reading(text(reply.get("title")), {"interactive": {"type": kind, "raw": part}})


def _button(message: Json, type_: str) -> Reading:
    part = obj(message.get(type_))
    return Reading(text(part.get("text")), {"button": _pick(part, "payload", "text")})


def _order(message: Json, type_: str) -> Reading:
    part = obj(message.get(type_))
    return Reading(text(part.get("text")), {"order": part})


def _system(message: Json, type_: str) -> Reading:
    """Who somebody was and is now. Older webhooks name the new number alone: then the old one is the sender's."""
    part = obj(message.get(type_))
    kind = text(part.get("type"))
    old = {
        "wa_id": some(message.get("from")),
        "user_id": some(part.get("previous_user_id")),
        "parent_user_id": some(part.get("previous_parent_user_id")),
    }
    new = {
        "wa_id": some(part.get("wa_id")) or some(part.get("new_wa_id")),
        "user_id": some(part.get("user_id")),
        "parent_user_id": some(part.get("parent_user_id")),
    }
    system = {"type": kind, "kind": IDENTITY_CHANGES.get(kind, "unknown"), "old": old, "new": new}
    if identity := obj(message.get("identity")) or obj(part.get("identity")):
        system["identity"] = identity
    return Reading(text(part.get("body")), {"system": system})


def _edit(message: Json, type_: str) -> Reading:
    part = obj(message.get(type_))
    inner = obj(part.get("message"))
    inner_type = text(inner.get("type"))
    content, detail = _read(inner_type, inner) if inner_type not in EVENTS else Reading("", {})
    edit = {"original_wamid": text(part.get("original_message_id")), "type": inner_type}
    return Reading(content, {**detail, "edit": edit})


def _revoke(message: Json, type_: str) -> Reading:
    original = text(obj(message.get(type_)).get("original_message_id"))
    return Reading("", {"revoke": {"original_wamid": original}})


def _unsupported(message: Json, type_: str) -> Reading:
    kind = text(obj(message.get(type_)).get("type")) or "unknown"
    return Reading("", {"unsupported": {"type": kind}})


READERS: Final[Mapping[str, Callable[[Json, str], Reading]]] = MappingProxyType(
    {  # facts §1.7; a type that is not here is kept with its name and an empty content
        "text": _text,
        "image": _media,
        "video": _media,
        "document": _media,
        "audio": _media,
        "voice": _media,  # only in old webhooks; now audio with voice: true
        "sticker": _media,
        "location": _location,
        "contacts": _contacts,
        "reaction": _reaction,
        "interactive": _interactive,
        "button": _button,
        "order": _order,
        "system": _system,
        "edit": _edit,
        "revoke": _revoke,
        "unsupported": _unsupported,
        "unknown": _unsupported,  # the older name of unsupported
    }
)

EVENTS: Final[Mapping[str, str]] = MappingProxyType(
    {  # every other type is message_received
        "reaction": "reaction_received",
        "edit": "message_edited",
        "revoke": "message_revoked",
        "system": "contact_identity_changed",
    }
)

IDENTITY_CHANGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "user_changed_number": "phone",
        "user_changed_user_id": "user_id",  # 2026
        "customer_changed_number": "phone",  # the older name
        "customer_identity_changed": "identity_key",  # a new device: the same names, another key
    }
)
