"""Typed ids: how they are written, read and derived. Not here: clocks and random sources (runtime/clock.py)."""

import hashlib
import hmac
import re
import uuid
from base64 import b32encode
from functools import lru_cache
from typing import Final, NamedTuple

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32, as TypeID writes it
SUFFIX_LENGTH: Final = 26  # 128 bits
_OURS: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ALPHABET.encode())
_VALUE_OF: Final = {letter: value for value, letter in enumerate(ALPHABET)}
_MESSAGE_ID: Final = re.compile(rf"msg_[0-7][{ALPHABET}]{{25}}\Z")
_TYPED_ID: Final = re.compile(rf"[a-z]{{3,4}}_[0-7][{ALPHABET}]{{25}}\Z")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}\Z")  # \d would take the digits of other scripts
_PHONE_DECORATION: Final = re.compile(r"[\s\-()]")

RECADO_NAMESPACE: Final = uuid.UUID("0b6c8a52-7f0e-5c1e-9a35-3f6f2c5e7d11")
"""Namespace of every UUIDv5 that Recado derives; changing it would make old names new."""


_NAMESPACE_BYTES: Final = RECADO_NAMESPACE.bytes
_UUID_CLEAR: Final = ~(0xF000 << 64 | 0xC000 << 48) & (1 << 128) - 1
_UUID5_BITS: Final = 5 << 76 | 0x8000 << 48  # version 5, RFC variant
_UUID_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def encode128(number: int) -> str:
    """Write 128 bits as 26 base32 characters."""
    return b32encode(number.to_bytes(20)).translate(_OURS)[-SUFFIX_LENGTH:].decode()


def decode128(text: str) -> int:
    """Read what `encode128` wrote; the caller has checked the syntax."""
    number = 0
    for letter in text:
        number = number << 5 | _VALUE_OF[letter]
    return number


def typed_id(prefix: str, value: uuid.UUID) -> str:
    return f"{prefix}_{encode128(value.int)}"


def is_typed_id(text: str, prefix: str) -> bool:
    return text.startswith(f"{prefix}_") and _TYPED_ID.match(text) is not None


def derived_id(prefix: str, *parts: str) -> str:
    """Derive the id of a thing from its natural key, so that whoever meets it first gives it the same id."""
    digest = hashlib.sha1(_NAMESPACE_BYTES + "\x1f".join((prefix, *parts)).encode(), usedforsecurity=False).digest()
    number = int.from_bytes(digest[:16]) & _UUID_CLEAR | _UUID5_BITS  # what uuid.uuid5 does, without the object
    return f"{prefix}_{encode128(number)}"


def event_id(event_type: str, *natural_key: str) -> uuid.UUID:
    """Name an event after its kind and natural key (each schema's `x-key`)."""
    return uuid.uuid5(RECADO_NAMESPACE, "\x1f".join((event_type, *natural_key)))


class RecordName(NamedTuple):
    """A record's name `<base>.<n>`: the base for life, n raised only by a deferral (architecture §2.1)."""

    base: uuid.UUID
    n: int

    def __str__(self) -> str:
        return f"{self.base}.{self.n}"

    def deferred(self, wait_no: int) -> "RecordName":
        return RecordName(self.base, wait_no)


def parse_record_name(text: str) -> RecordName:
    """Read a `ce_id`; an event's name has no number and counts as 0. Raises ValueError."""
    base, _, number = text.partition(".")
    return RecordName(uuid.UUID(base), int(number) if number else 0)


def item_base(receipt_id: str, path: str) -> uuid.UUID:
    """Name one item of a webhook POST after its receipt and its place in the body."""
    return uuid.uuid5(RECADO_NAMESPACE, f"item\x1f{receipt_id}\x1f{path}")


def item_name(receipt_id: str, path: str) -> str:
    """Write an item's first name, `<item_base>.0`, without making a UUID of it."""
    text = f"item\x1f{receipt_id}\x1f{path}".encode()
    digits = hashlib.sha1(_NAMESPACE_BYTES + text, usedforsecurity=False).hexdigest()
    variant = _UUID_VARIANT[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}.0"


class MessageIds:
    """Message ids that carry their account's number and prove that Recado issued them.

    128 bits: account number (32), key or chance (64), keyed check (32). So an id tells lane and account without a
    store, and a made-up one is refused.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.new(secret, b"message-id", hashlib.sha256).digest()

    def from_key(self, account_no: int, tenant_no: int, route: str, idempotency_key: str) -> str:
        text = f"{tenant_no}\x1f{route}\x1f{idempotency_key}".encode()
        return self.issue(account_no, int.from_bytes(hmac.new(self._key, text, hashlib.sha256).digest()[:8]))

    def issue(self, account_no: int, low64: int) -> str:
        body = account_no.to_bytes(4) + low64.to_bytes(8)
        return f"msg_{encode128(int.from_bytes(body + self._check(body)))}"

    def account_no(self, message_id: str) -> int | None:
        """Return the account's number, or None for an id that was never issued here."""
        if not _MESSAGE_ID.match(message_id):
            return None
        raw = decode128(message_id[4:]).to_bytes(16)
        if not hmac.compare_digest(raw[12:], self._check(raw[:12])):
            return None
        return int.from_bytes(raw[:4])

    def _check(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()[:4]


@lru_cache(maxsize=1024)
def inbound_message_id(account_id: str, wamid: str) -> str:
    """The id of a user's message: derived, so that every delivery of it finds the same row."""
    return derived_id("msg", account_id, "inbound", wamid)


def clean_phone(text: str) -> str | None:
    """Return +E.164, or None. No `+` is no number: Meta would prepend the business's own country code."""
    phone = _PHONE_DECORATION.sub("", text)
    return phone if _E164.match(phone) else None


def phone_of_wa_id(wa_id: str) -> str | None:
    """Return the +E.164 form of Meta's bare digits."""
    return clean_phone(f"+{wa_id}")
