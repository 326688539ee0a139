"""Records as rooms see them: names and headers read from Kafka's, and what is to be written. Not here: sending."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec

from services.domain.events import Event, rfc3339
from services.domain.ids import RECADO_NAMESPACE, RecordName, parse_record_name
from services.streams.topics import TopicName, Topics

Header = tuple[str, bytes]

CE_ID: Final = "ce_id"
CE_TYPE: Final = "ce_type"
CE_SOURCE: Final = "ce_source"
CE_TIME: Final = "ce_time"
TENANT: Final = "tenant"
SOURCE: Final = b"recado"


class Record(msgspec.Struct, frozen=True):
    """What was read. `topic` is the logical name; topic, partition and offset are only a pointer to the raw bytes."""

    topic: TopicName
    partition: int
    offset: int
    key: str
    value: bytes
    headers: dict[str, bytes]
    timestamp_ms: int
    name: RecordName

    def header(self, name: str) -> str | None:
        raw = self.headers.get(name)
        return None if raw is None else raw.decode(errors="replace")

    @property
    def tenant(self) -> int | None:
        """The tenant's number when the writer knew it."""
        text = self.header(TENANT)
        return int(text) if text and text.isdecimal() and len(text) < 10 else None  # noqa: PLR2004 - 32 bits at most

    @property
    def slot(self) -> tuple[TopicName, int]:
        """The partition as the offsets' bookkeeping names it."""
        return self.topic, self.partition


class Outgoing(msgspec.Struct, frozen=True):
    """What is to be written. `partition` is set only where the reader is one partition (replies)."""

    topic: str
    key: str
    value: bytes
    headers: tuple[Header, ...] = ()
    partition: int | None = None


class Consumed(Protocol):
    """What the client hands out; only the fields that are read here."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: int


def headers(name: RecordName | uuid.UUID, kind: str, time: datetime, **extra: str | int) -> tuple[Header, ...]:
    """Build the CloudEvents attributes, then `extra` in the order given."""
    own = ((CE_ID, str(name).encode()), *attributes(kind, rfc3339(time)))
    return own + tuple((key, str(value).encode()) for key, value in extra.items())


def attributes(kind: str, time: str) -> tuple[Header, ...]:
    """Build what stands after CE_ID in records of one kind and moment; `time` is RFC 3339."""
    return (CE_TYPE, kind.encode()), (CE_SOURCE, SOURCE), (CE_TIME, time.encode())


def event_outgoing(event: Event, tenant: int) -> Outgoing:
    """Write an event: the same bytes and headers each time, so that a redo cannot be told from the original."""
    return Outgoing(
        topic=event.topic,
        key=event.key,
        value=event.value,
        headers=headers(event.event_id, event.event_type, event.at, tenant=tenant),
    )


def read(record: Consumed, topics: Topics) -> Record:
    """Read a record of the client; total, because a record that cannot be read must still be set aside by name."""
    found = {name: value for name, value in record.headers if value is not None}
    return Record(
        topic=topics.logical(record.topic),
        partition=record.partition,
        offset=record.offset,
        key=(record.key or b"").decode(errors="replace"),
        value=record.value or b"",
        headers=found,
        timestamp_ms=record.timestamp,
        name=_name(found, record),
    )


def time_of(record: Record) -> datetime:
    """When the record was written, by its writer's clock."""
    return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)


def _name(found: Mapping[str, bytes], record: Consumed) -> RecordName:
    try:
        return parse_record_name(found[CE_ID].decode())
    except (KeyError, ValueError):
        place = f"record\x1f{record.topic}\x1f{record.partition}\x1f{record.offset}"
        return RecordName(uuid.uuid5(RECADO_NAMESPACE, place), 0)
