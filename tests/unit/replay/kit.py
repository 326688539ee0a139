"""Dead letters for this folder's tests, as they are read from their topics."""

import uuid
from datetime import timedelta

from services.domain.ids import RecordName
from services.domain.message import encode_command
from services.streams.batch import Dead
from services.streams.codec import Record
from services.streams.deadletter import dead_letter, letter_of
from services.streams.letters import Found
from services.streams.topics import TopicName
from tests.unit.domain.things import BASE, NOW, a_command


def found(value=b"{}", *, topic=TopicName.RAW, room="normaliser", reason="bug", tenant=None, base=BASE, n=0, age=0,
          **headers) -> Found:  # fmt: skip
    """A letter set aside `age` hours ago."""
    name = RecordName(base, n)
    kept = {key: text.encode() for key, text in headers.items()}
    record = Record(topic, 0, base.int % 1000, "k", value, kept, 0, name)
    written = dead_letter(Dead(record, reason, "", tenant), room, NOW - timedelta(hours=age))
    lying = Record(TopicName(written.topic), 0, 0, written.key, written.value, dict(written.headers), 0, name)
    return Found(letter_of(lying), lying)


def dead_command(command=None, **more) -> Found:
    value = encode_command(command or a_command())
    return found(value, topic=TopicName.SEND_NORMAL, room="sender", **more)


def number(n: int) -> uuid.UUID:
    return uuid.UUID(int=n)
