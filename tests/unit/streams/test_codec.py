"""Reading is total; writing an event gives the same bytes each time."""

import uuid
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.events import Event
from services.domain.ids import RecordName
from services.streams.codec import event_outgoing, headers, read
from services.streams.topics import TopicName, Topics

TOPICS = Topics("p.", "local")
AT = datetime(2026, 11, 24, 6, 30, 0, 123456, UTC)


class Fetched(NamedTuple):
    """What the client hands out, as far as it is read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: int


def consumed(key=b"k", value=b"v", found=()):
    return Fetched("p.wa.webhook.raw", 2, 9, key, value, tuple(found), 1_700_000_000_000)


def test_a_record_is_read_with_its_logical_topic_and_its_name():
    name = RecordName(uuid.UUID(int=5), 3)
    record = read(consumed(found=[("ce_id", str(name).encode()), ("tenant", b"12")]), TOPICS)
    assert (record.topic, record.slot, record.offset) == (TopicName.RAW, (TopicName.RAW, 2), 9)
    assert (record.name, record.tenant, record.key, record.value) == (name, 12, "k", b"v")


@pytest.mark.parametrize(
    "ce_id", [None, b"", b"garbage", b"\xff", b"00000000-0000-0000-0000-000000000005.x"],
    ids=["none", "empty", "garbage", "no text", "number unreadable"],
)  # fmt: skip
def test_a_record_without_a_readable_name_is_named_after_its_place(ce_id):
    found = [] if ce_id is None else [("ce_id", ce_id)]
    assert read(consumed(found=found), TOPICS).name == read(consumed(value=b"other"), TOPICS).name


@given(
    key=st.none() | st.binary(max_size=40),
    value=st.none() | st.binary(max_size=40),
    found=st.lists(
        st.tuples(st.sampled_from(["ce_id", "tenant", "x"]), st.none() | st.binary(max_size=60)), max_size=4
    ),
)
def test_any_record_can_be_read(key, value, found):
    record = read(consumed(key, value, found), TOPICS)
    assert record.value == (value or b"")
    assert record.tenant is None or record.tenant >= 0


def test_an_event_travels_with_its_id_kind_time_and_tenant_and_always_alike():
    event = Event(event_id=uuid.UUID(int=1), event_type="message_sent", topic=TopicName.EVENT_MESSAGE, key="conv",
                  at=AT, value=b"{}")  # fmt: skip
    sent = event_outgoing(event, 4)
    assert sent == event_outgoing(event, 4)
    assert (sent.topic, sent.key, sent.value) == (TopicName.EVENT_MESSAGE, "conv", b"{}")
    assert sent.headers == (
        ("ce_id", b"00000000-0000-0000-0000-000000000001"),
        ("ce_type", b"message_sent"),
        ("ce_source", b"recado"),
        ("ce_time", b"2026-11-24T06:30:00.123Z"),
        ("tenant", b"4"),
    )


def test_extra_headers_follow_in_the_order_given():
    made = headers(RecordName(uuid.UUID(int=1), 2), "send", AT, reply_to="1/a/b", attempt=2)
    assert made[0] == ("ce_id", b"00000000-0000-0000-0000-000000000001.2")
    assert made[4:] == (("reply_to", b"1/a/b"), ("attempt", b"2"))
