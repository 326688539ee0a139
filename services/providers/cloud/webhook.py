"""Meta's webhook envelope: a signed body → items → records of wa.webhook.raw → updates. Pure. The hot half (split,
raw_record) reads no more than routing needs; readers of content stand in content.py and management.py.

Unknown fields survive because an item is re-emitted as the bytes it came in. A body that msgspec refuses for a lone
surrogate or invalid UTF-8 is read again by the standard json (architecture §5); what that refuses too is unreadable.
"""

from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal

import msgspec

from services.domain.errors import RecordError
from services.providers.cloud.content import obj, participant, read_message, read_status, some, text
from services.providers.cloud.hygiene import NUL, deeper_than, repaired, without_nul
from services.providers.cloud.management import read_account_update, read_error
from services.providers.contract import Update

Kind = Literal["message", "status", "error", "change"]
_Names = tuple[str, str, str, bool]  # phone, BSUID, group, is a system message
OBJECT: Final = "whatsapp_business_account"
DEPTH_LIMIT: Final = 100  # Meta's deepest is about 12; the rooms behind may recurse in Python
_TIME_DIGITS: Final = 16  # more are no time, and could be a number that PostgreSQL cannot hold
_NULL: Final = msgspec.Raw(b"null")


class UnreadableBodyError(RecordError):
    """The body is no webhook: it becomes one record with its raw bytes and is dead-lettered."""

    def __init__(self, detail: str) -> None:
        super().__init__("unreadable", detail)


class Item(msgspec.Struct, frozen=True):
    """One update of a body with what belongs to it. `key` keeps a user's messages and statuses in one partition."""

    kind: Kind
    path: str
    entry_id: str
    entry_time: int | None
    field: str
    number: str
    user: str
    key: str
    metadata: msgspec.Raw
    contact: msgspec.Raw
    update: msgspec.Raw


class _Change(msgspec.Struct):
    field: str = ""
    value: msgspec.Raw = _NULL


class _Entry(msgspec.Struct):
    changes: list[_Change]
    id: str | int = ""
    time: int | float | str | None = None


class _Body(msgspec.Struct):
    object: str
    entry: list[_Entry]


class _Metadata(msgspec.Struct):
    phone_number_id: str = ""


class _Head(msgspec.Struct):
    metadata: msgspec.Raw = _NULL


class _Value(msgspec.Struct, forbid_unknown_fields=True):
    """What stands under `messages`; one of any other shape is read by _LooseValue."""

    messaging_product: msgspec.Raw = _NULL
    metadata: msgspec.Raw = _NULL
    contacts: list[msgspec.Raw] | None = None
    messages: list[msgspec.Raw] | None = None
    statuses: list[msgspec.Raw] | None = None
    errors: list[msgspec.Raw] | None = None


class _LooseValue(_Value, forbid_unknown_fields=False):
    pass


class _Who(msgspec.Struct):
    """The parts of messages[], statuses[] and contacts[] that tell whom they are about."""

    from_: str | None = msgspec.field(default=None, name="from")
    from_user_id: str | None = None
    group_id: str | None = None
    recipient_id: str | None = None
    recipient_user_id: str | None = None
    recipient_type: str | None = None
    type: str | None = None
    wa_id: str | None = None
    user_id: str | None = None


class RawItem(msgspec.Struct, frozen=True):
    """A record of wa.webhook.raw as the normaliser reads it; the JSON parts are plain values without NUL."""

    kind: str
    path: str
    entry_id: str
    entry_time: int | None
    field: str
    metadata: Any
    contact: Any
    update: Any
    app: str
    body_sha256: str
    received_at: datetime

    @property
    def number(self) -> str:
        return text(obj(self.metadata).get("phone_number_id"))


class _Record(msgspec.Struct, frozen=True):
    kind: str
    path: str
    entry_id: str
    entry_time: int | None
    field: str
    metadata: msgspec.Raw
    contact: msgspec.Raw
    update: msgspec.Raw
    app: str
    body_sha256: str
    received_at: str


_read_body: Final = msgspec.json.Decoder(_Body).decode
_read_head: Final = msgspec.json.Decoder(_Head).decode
_read_value: Final = msgspec.json.Decoder(_Value).decode
_read_loose_value: Final = msgspec.json.Decoder(_LooseValue).decode
_read_parts: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_who: Final = msgspec.json.Decoder(_Who).decode
_read_metadata: Final = msgspec.json.Decoder(_Metadata).decode
_read_any: Final = msgspec.json.Decoder().decode
_read_raw_item: Final = msgspec.json.Decoder(RawItem).decode
_encode: Final = msgspec.json.Encoder().encode
_encode_canonical: Final = msgspec.json.Encoder(order="deterministic").encode
_ARRAYS: Final[tuple[tuple[Kind, str], ...]] = (("message", "messages"), ("status", "statuses"))


def split(body: bytes) -> list[Item]:
    """Take a body apart: one item per message, status and error, one per change of any other kind.

    Raises UnreadableBodyError for what is no JSON, no webhook of WhatsApp, or nested deeper than DEPTH_LIMIT.
    """
    try:
        return _split_or_repair(body)
    except msgspec.ValidationError as wrong_shape:
        raise UnreadableBodyError(f"not a webhook of WhatsApp: {wrong_shape}") from None
    except RecursionError:
        raise UnreadableBodyError(f"nested deeper than {DEPTH_LIMIT}") from None
    except ValueError:  # msgspec's errors and UnicodeDecodeError among them
        raise UnreadableBodyError("not JSON") from None


def raw_record(item: Item, *, app: str, body_sha256: str, received_at: str) -> bytes:
    """Write the value of the item's record; `received_at` is RFC 3339, UTC."""
    return _encode(
        _Record(
            item.kind, item.path, item.entry_id, item.entry_time, item.field, item.metadata, item.contact, item.update,
            app, body_sha256, received_at,
        )
    )  # fmt: skip


def read_record(value: bytes) -> RawItem:
    """Read what `raw_record` wrote and remove NUL, which PostgreSQL cannot hold. Raises RecordError."""
    try:
        item = _read_raw_item(value)
    except (ValueError, RecursionError) as refusal:
        raise RecordError("unreadable_item", f"no record of an item ({type(refusal).__name__})") from None
    if NUL not in value:
        return item
    return RawItem(**{name: without_nul(getattr(item, name)) for name in RawItem.__struct_fields__})


def interpret(item: RawItem) -> Update:
    """Say what an item means. Raises RecordError only for a message or status that has no id."""
    contact = obj(item.contact)
    if item.kind == "message":
        return read_message(obj(item.update), contact)
    if item.kind == "status":
        return read_status(obj(item.update), contact)
    if item.kind == "error":
        return read_error(item.entry_id, obj(item.metadata), item.update)
    return read_account_update(item.field, item.entry_id, item.update)


def natural_key(item: RawItem) -> tuple[str, ...]:
    """Name the update itself, so that a second delivery of it has the same key. Raises RecordError as `interpret`."""
    update = obj(item.update)
    if item.kind in ("message", "status"):
        wamid = text(update.get("id"))
        if not wamid:
            raise RecordError("unreadable_item", f"a {item.kind} without an id")
        if item.kind == "message":
            return (wamid,)
        return wamid, text(update.get("status")), participant(update), text(update.get("timestamp"))
    time = "" if item.entry_time is None else str(item.entry_time)
    return item.field, item.entry_id, time, sha256(_encode_canonical(item.update)).hexdigest()


def _split_or_repair(body: bytes) -> list[Item]:
    try:
        return _split(body)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _split(repaired(body))


def _split(body: bytes) -> list[Item]:
    if not body.isascii():
        body.decode()  # msgspec does not look into strings that it skips
    root = _read_body(body)
    if root.object != OBJECT:
        raise UnreadableBodyError("the object is not whatsapp_business_account")
    items: list[Item] = []
    for number, entry in enumerate(root.entry):
        entry_id, time = text(entry.id), _seconds(entry.time)
        for place, change in enumerate(entry.changes):
            items += _items_of(change, f"/entry/{number}/changes/{place}", entry_id, time)
    if body.count(b"{") + body.count(b"[") > DEPTH_LIMIT:
        _refuse_depth(items)
    return items


def _items_of(change: _Change, path: str, entry_id: str, time: int | None) -> list[Item]:
    field = change.field
    value, keep_whole = _value(change.value, field)
    metadata = value.metadata
    number = _phone_number_id(metadata)
    prefix = f"{number}|" if number else f"waba:{entry_id}"
    contacts = [(_names(raw), raw) for raw in value.contacts or ()]
    items: list[Item] = []
    for kind, name in _ARRAYS:
        for place, raw in enumerate(getattr(value, name) or ()):
            user, contact = _belongs(_names(raw), contacts)
            where = f"{path}/{name}/{place}"
            key = prefix + user if number else prefix
            items.append(Item(kind, where, entry_id, time, field, number, user, key, metadata, contact, raw))
    for place, raw in enumerate(value.errors or ()):
        where = f"{path}/errors/{place}"
        items.append(Item("error", where, entry_id, time, field, number, "", prefix, metadata, _NULL, raw))
    if keep_whole or not items:
        items.append(Item("change", path, entry_id, time, field, number, "", prefix, metadata, _NULL, change.value))
    return items


def _belongs(names: _Names, contacts: list[tuple[_Names, msgspec.Raw]]) -> tuple[str, msgspec.Raw]:
    """Say whom an update is about (the group, else the BSUID, else the wa_id) and which contact is his.

    By user_id, by wa_id, else the only contact if nothing speaks against it. A system message has no contact, so the
    one beside it is its own only when a name says so (facts §1.7).
    """
    phone, bsuid, group, system = names
    for (phone_there, bsuid_there, _, _), raw in contacts:
        if bsuid == bsuid_there if bsuid and bsuid_there else phone and phone == phone_there:
            return group or bsuid or bsuid_there or phone, raw
    if len(contacts) == 1 and not (system or group):
        (phone_there, bsuid_there, _, _), raw = contacts[0]
        if not (bsuid and bsuid_there) and not (phone and phone_there):
            return bsuid or bsuid_there or phone or phone_there, raw
    return group or bsuid or phone, _NULL


def _value(raw: msgspec.Raw, field: str) -> tuple[_Value, bool]:
    """Read a value, and say whether it must be kept whole as well: it is of another kind or shape, or it has an array
    that is not known here."""
    if field != "messages":
        return _Value(metadata=_metadata(raw)), True
    try:
        return _read_value(raw), False
    except msgspec.ValidationError:
        pass
    try:
        value = _read_loose_value(raw)
    except msgspec.ValidationError:
        return _Value(metadata=_metadata(raw)), True
    parts = _read_parts(raw)
    strangers = parts.keys() - set(_Value.__struct_fields__)
    return value, any(bytes(parts[name]).startswith(b"[") for name in strangers)


def _metadata(raw: msgspec.Raw) -> msgspec.Raw:
    try:
        return _read_head(raw).metadata
    except msgspec.ValidationError:
        return _NULL


def _names(raw: msgspec.Raw) -> _Names:
    """Read a user's names from an update or a contact; empty where there is none."""
    try:
        who = _read_who(raw)
    except msgspec.ValidationError:  # a field of another type, an element that is no object: rare, so read slowly
        found = obj(_read_any(raw))
        who = _Who(**{name: some(found.get(name.rstrip("_"))) for name in _Who.__struct_fields__})
    phone = who.from_ or who.recipient_id or who.wa_id or ""
    bsuid = who.from_user_id or who.recipient_user_id or who.user_id or ""
    group = who.group_id or (phone if who.recipient_type == "group" else "")
    return phone, bsuid, group, who.type == "system"


def _phone_number_id(metadata: msgspec.Raw) -> str:
    try:
        return _read_metadata(metadata).phone_number_id
    except msgspec.ValidationError:  # absent, or of another type
        return text(obj(_read_any(metadata)).get("phone_number_id"))


def _seconds(time: float | str | None) -> int | None:
    if isinstance(time, str):
        time = int(time) if time.isascii() and time.isdigit() and len(time) < _TIME_DIGITS else None
    return int(time) if time is not None and abs(time) < 10**_TIME_DIGITS else None


def _refuse_depth(items: list[Item]) -> None:
    for item in items:
        if any(deeper_than(DEPTH_LIMIT, bytes(part)) for part in (item.update, item.contact, item.metadata)):
            raise UnreadableBodyError(f"nested deeper than {DEPTH_LIMIT}")
