"""A row that waited comes back as the record that its room knows."""

import uuid
from datetime import UTC, datetime
from typing import Any

from services.scheduler.returning import record_of, sort_out
from services.store.deferred import Waiting

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
BASE = uuid.UUID(int=5)


def waiting(**changes):
    known: dict[str, Any] = {
        "id": 9, "due_at": NOW, "tenant": 7, "reason": "push_retry", "topic": "wa.notify.due", "key": "end_1|conv_1",
        "base": BASE, "n": 3, "payload": b"{}", "headers": {},
    }  # fmt: skip
    return Waiting(**(known | changes))


def test_it_bears_its_base_and_the_number_of_its_wait():
    record = record_of(waiting(), NOW)

    assert (record.topic, record.key, record.value) == ("wa.notify.due", "end_1|conv_1", b"{}")
    assert dict(record.headers) == {
        "ce_id": f"{BASE}.3".encode(), "ce_type": b"returned", "ce_source": b"recado",
        "ce_time": b"2026-11-24T12:00:00.000Z", "tenant": b"7",
    }  # fmt: skip


def test_headers_that_the_row_kept_go_with_it_and_its_type_is_the_old_one():
    record = record_of(waiting(headers={"endpoint": "end_1", "tenant": "7", "ce_type": "message_sent"}), NOW)

    assert len(record.headers) == 6
    assert dict(record.headers)["endpoint"] == b"end_1"
    assert dict(record.headers)["ce_type"] == b"message_sent"


def test_what_waited_for_its_tenant_says_so_and_nothing_else_does():
    back = dict(record_of(waiting(reason="tenant_unavailable"), NOW).headers)

    assert back["returned"] == b"tenant_unavailable"
    assert "returned" not in dict(record_of(waiting(headers={"returned": "forged"}), NOW).headers)


def test_a_row_for_no_topic_does_not_hold_up_the_others():
    good, stray = waiting(id=1), waiting(id=2, topic="wa.no.such")

    sorted_out = sort_out([good, stray], NOW, {"wa.notify.due"})

    assert [record.key for record in sorted_out.outgoing] == [good.key]
    assert sorted_out.stuck == [stray]
