"""Records for unit tests of streams."""

import uuid

from services.domain.ids import RecordName
from services.streams.codec import Record
from services.streams.topics import TopicName

BASE = uuid.UUID(int=7)


def read(topic=TopicName.RAW, partition=0, offset=0, key="k", headers=None) -> Record:
    return Record(topic, partition, offset, key, b"v", headers or {}, 1_700_000_000_000, RecordName(BASE, 0))
