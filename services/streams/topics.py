"""Topics: what schemas/topics/*.yaml says, as typed values, and the one place where a topic's name is typed.

Not here: creating or checking topics (admin.py, probe.py).
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

FOLDER: Final = Path(__file__).parents[2] / "schemas" / "topics"


class TopicName(StrEnum):
    """Logical names, without prefix; a test holds them against the files."""

    RAW = "wa.webhook.raw"
    SEND_URGENT = "wa.send.urgent"
    SEND_NORMAL = "wa.send.normal"
    SEND_BULK = "wa.send.bulk"
    EVENT_MESSAGE = "wa.event.message"
    EVENT_ACCOUNT = "wa.event.account"
    NOTIFY_DUE = "wa.notify.due"
    REPLY = "wa.reply"
    DEAD_NORMALISER = "wa.dead.normaliser"
    DEAD_SENDER = "wa.dead.sender"
    DEAD_NOTIFIER = "wa.dead.notifier"


LANE_TOPICS: Final[Mapping[str, TopicName]] = {
    "urgent": TopicName.SEND_URGENT,
    "normal": TopicName.SEND_NORMAL,
    "bulk": TopicName.SEND_BULK,
}
REPLICAS: Final[Mapping[str, int]] = {"local": 1, "production": 3}
IN_SYNC: Final[Mapping[str, int]] = {"local": 1, "production": 2}


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file. `max_message_bytes` is the broker's limit for a batch, `max_record_bytes` ours for one record."""

    name: str
    purpose: str
    key: str
    partitions: dict[str, int]
    retention_hours: int
    cleanup: str
    max_message_bytes: int
    max_record_bytes: int
    producers: list[str]
    consumers: list[str]
    schema: str


def lane_topic(lane: str) -> TopicName:
    return LANE_TOPICS[lane]


def dead_topic(room: str) -> TopicName:
    return TopicName(f"wa.dead.{room}")


class Topics:
    """The topics of one run: prefix and profile applied."""

    def __init__(self, prefix: str, profile: str) -> None:
        self._prefix = prefix
        self._profile = profile
        self._topics = _read()
        self._full = {name: prefix + name for name in self._topics}
        self._logical = {full: TopicName(name) for name, full in self._full.items()}

    def full(self, name: str) -> str:
        """Return the name on the broker."""
        return self._full[name]

    def logical(self, full: str) -> TopicName:
        return self._logical[full]

    def group(self, room: str) -> str:
        """Return a consumer group's name on the broker; the prefix keeps runs apart here too."""
        return self._prefix + room

    def partitions(self, name: str) -> int:
        return self._topics[name].partitions[self._profile]

    def replicas(self) -> int:
        return REPLICAS[self._profile]

    def in_sync(self) -> int:
        return IN_SYNC[self._profile]

    def topic(self, name: str) -> Topic:
        return self._topics[name]

    def all(self) -> Sequence[Topic]:
        return tuple(self._topics.values())


@cache
def _read() -> dict[str, Topic]:
    import yaml  # noqa: PLC0415 - 15 ms and 2 MiB that only the reading of these files needs

    found = (msgspec.convert(yaml.safe_load(path.read_text()), Topic) for path in sorted(FOLDER.glob("*.yaml")))
    return {topic.name: topic for topic in found}
