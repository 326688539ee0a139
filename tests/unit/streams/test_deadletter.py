"""A record that was set aside comes back as it was, and says of itself nothing private."""

import uuid
from datetime import UTC, datetime

import pytest

from services.domain.errors import RecordError
from services.domain.ids import RecordName, is_typed_id
from services.streams.batch import Dead
from services.streams.codec import Record
from services.streams.deadletter import dead_letter, letter_of, restored
from services.streams.topics import TopicName

AT = datetime(2026, 11, 24, tzinfo=UTC)
NAME = RecordName(uuid.UUID(int=7), 3)


def a_record(topic=TopicName.SEND_NORMAL, offset=8, **headers):
    given = {"ce_id": str(NAME).encode(), "ce_type": b"t"} | {name: text.encode() for name, text in headers.items()}
    return Record(topic, 2, offset, "acc_1#0", b'{"caf\xc3\xa9": 1}', given, 1_700_000_000_000, NAME)


def set_aside(record, reason="bug", tenant=None, room="sender", offset=0):
    """The dead letter as it is read back from its topic."""
    written = dead_letter(Dead(record, reason, "why", tenant), room, AT)
    return Record(TopicName(written.topic), 0, offset, written.key, written.value, dict(written.headers), 0, NAME)


@pytest.mark.parametrize("tenant", [None, 5])
@pytest.mark.parametrize("headers", [{}, {"tenant": "5", "traceparent": "00-a-b-01"}, {"replay": "1"}],
                         ids=["bare", "of a tenant", "replayed"])  # fmt: skip
def test_a_restored_record_has_its_topic_name_key_value_and_headers(headers, tenant):
    record = a_record(**headers)
    back = restored(set_aside(record, tenant=tenant))
    assert (back.topic, back.key, back.value, back.partition) == (record.topic, record.key, record.value, None)
    assert dict(back.headers) == record.headers


def test_nobody_waits_for_a_restored_command_any_more():
    assert "reply_to" not in dict(restored(set_aside(a_record(reply_to="1.a.2"))).headers)


def test_a_letter_that_does_not_say_where_it_came_from_cannot_be_restored():
    with pytest.raises(RecordError):
        restored(a_record(TopicName.DEAD_SENDER))


def test_a_letter_says_what_happened():
    letter = letter_of(set_aside(a_record(), "wrong_app", tenant=5, room="normaliser"))
    assert (letter.room, letter.reason, letter.detail, letter.at, letter.tenant, letter.name, letter.topic) == (
        "normaliser", "wrong_app", "why", AT, 5, NAME, TopicName.SEND_NORMAL,
    )  # fmt: skip
    assert is_typed_id(letter.id, "dead")


def test_a_redo_that_sets_a_record_aside_again_makes_the_same_letter():
    assert letter_of(set_aside(a_record(), offset=0)).id == letter_of(set_aside(a_record(), offset=1)).id


def test_a_record_that_is_set_aside_again_after_a_redrive_is_another_letter():
    assert letter_of(set_aside(a_record(offset=8))).id != letter_of(set_aside(a_record(offset=9))).id


def test_whatever_lies_among_the_dead_letters_is_listed():
    letter = letter_of(a_record(TopicName.DEAD_SENDER))
    assert (letter.room, letter.reason, letter.topic, letter.at.year) == ("", "", "", 2023)
