"""Webhook bodies of tests/payloads/cloud and the way from body to update. Not here: expectations."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from services.providers.cloud.webhook import Item, RawItem, interpret, raw_record, read_record, split

T = TypeVar("T")
FOLDER = Path(__file__).parents[3] / "payloads" / "cloud"
RECEIVED_AT = datetime(2026, 11, 24, 10, tzinfo=UTC)


def body_of(name: str) -> bytes:
    return (FOLDER / f"{name}.json").read_bytes()


def record_of(item: Item) -> bytes:
    return raw_record(item, app="house", body_sha256="ab" * 32, received_at="2026-11-24T10:00:00.000Z")


def items_in(body: bytes) -> list[RawItem]:
    """Carry a body through the raw topic, as ingress writes and the normaliser reads it."""
    return [read_record(record_of(item)) for item in split(body)]


def items_of(name: str) -> list[RawItem]:
    return items_in(body_of(name))


def item_of(name: str) -> RawItem:
    (item,) = items_of(name)
    return item


def read_as(kind: type[T], item: RawItem) -> T:
    """Interpret an item that can only be of this kind."""
    update = interpret(item)
    assert isinstance(update, kind)
    return update
