"""What is announced: the envelope of the plan (§3.3) with its nine keys, as exact bytes. Not here: Kafka, SQL."""

import uuid
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from services.domain.ids import event_id

SCHEMA_VERSION: Final = 1
MESSAGE_TOPIC: Final = "wa.event.message"
ACCOUNT_TOPIC: Final = "wa.event.account"
_ENCODE: Final = msgspec.json.Encoder().encode


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One announcement; `value` are the bytes that every occurrence of it has, on Kafka and at every endpoint."""

    event_id: uuid.UUID
    event_type: str
    topic: str
    key: str
    at: datetime
    value: bytes
    sequence: int = 0
    conversation_id: str | None = None
    message_id: str | None = None
    account_id: str | None = None


@lru_cache(maxsize=1024)  # WhatsApp's times are whole seconds, and a batch shares few of them
def rfc3339(moment: datetime) -> str:
    """Write a moment as the API shows it: UTC, milliseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


class Nine(msgspec.Struct, frozen=True, kw_only=True):
    """The plan's nine keys: always present; `from`/`to` are +E.164 or null."""

    account_id: str
    company_id: str
    business_id: str
    conversation_id: str | None
    message_id: str | None
    from_: str | None = msgspec.field(name="from")
    to: str | None
    content: str
    type: str


def message_event(event_type: str, *, natural_key: tuple[str, ...], at: datetime, sequence: int, nine: Nine,
                  extra: dict[str, Any]) -> Event:  # fmt: skip
    """Announce something of a message, in its conversation's order."""
    name = event_id(event_type, *natural_key)
    data = msgspec.to_builtins(nine) | extra
    return Event(event_id=name, event_type=event_type, topic=MESSAGE_TOPIC,
                 key=nine.conversation_id or nine.account_id, at=at,
                 value=_envelope(name, event_type, at, sequence, data), sequence=sequence,
                 conversation_id=nine.conversation_id, message_id=nine.message_id,
                 account_id=nine.account_id)  # fmt: skip


def account_event(event_type: str, *, natural_key: tuple[str, ...], at: datetime, nine: Nine,
                  extra: dict[str, Any]) -> Event:  # fmt: skip
    """Announce something that Meta said of an account; it belongs to no conversation."""
    name = event_id(event_type, *natural_key)
    data = msgspec.to_builtins(nine) | extra
    return Event(event_id=name, event_type=event_type, topic=ACCOUNT_TOPIC, key=nine.account_id, at=at,
                 value=_envelope(name, event_type, at, 0, data), account_id=nine.account_id)  # fmt: skip


def _envelope(name: uuid.UUID, event_type: str, at: datetime, sequence: int, data: dict[str, Any]) -> bytes:
    return _ENCODE({"event_id": str(name), "event_type": event_type, "timestamp": rfc3339(at), "sequence": sequence,
                    "schema_version": SCHEMA_VERSION, "data": data})  # fmt: skip
