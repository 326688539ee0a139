"""Dead letters, the stop limit, the breaker, waits, the loop's pause and the watchdog's verdicts: all given times."""

from datetime import UTC, datetime

import pytest
from aiokafka import TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from services.streams.backoff import Backoff
from services.streams.batch import Dead
from services.streams.breaker import Breaker
from services.streams.checks import Log, refuse_lost_ranges, refuse_torn_lanes
from services.streams.client import ASSIGNORS, check_assignors
from services.streams.deadletter import StopLimit, dead_letter
from services.streams.errors import DoubtError, LostRangeError, RoomStoppedError, StartUpError
from services.streams.intake import pause_seconds
from services.streams.topics import TopicName
from services.streams.watchdog import Signs, judge, remedy
from tests.unit.streams.kit import BASE, read

AT = datetime(2026, 11, 24, tzinfo=UTC)


def test_a_dead_letter_keeps_what_was_there_and_adds_where_and_why():
    record = read(partition=3, offset=8, headers={"ce_id": b"broken", "ce_type": b"t", "reason": b"an older one"})
    letter = dead_letter(Dead(record, "wrong_app", "d" * 900, 5), "normaliser", AT)
    assert (letter.topic, letter.key, letter.value) == (TopicName.DEAD_NORMALISER, "k", b"v")
    assert dict(letter.headers) == {
        "ce_id": f"{BASE}.0".encode(), "ce_type": b"t", "reason": b"wrong_app", "detail": b"d" * 500,
        "room": b"normaliser", "from_topic": b"wa.webhook.raw", "from_partition": b"3", "from_offset": b"8",
        "at": b"2026-11-24T00:00:00.000Z", "tenant": b"5",
        "tenant_found": b"1",
    }  # fmt: skip
    assert len(dict(letter.headers)) == len(letter.headers)


@pytest.mark.parametrize(
    ("letters", "reached"),
    [
        ([("bug", 1, 0), ("bug", 2, 1), ("bug", 3, 2)], True),
        ([("bug", 1, 0), ("bug", 1, 1), ("bug", 1, 2)], False),
        ([("bug", None, 0), ("bug", None, 1), ("bug", None, 2)], False),
        ([("unknown_number", 1, 0), ("unknown_number", 2, 1), ("unknown_number", 3, 2)], False),
        ([("bug", 1, 0), ("bug", 2, 30), ("bug", 3, 60)], False),
        ([("bug", 1, 0), ("bug", 2, 30), ("bug", 3, 59)], True),
    ],
    ids=["three tenants", "one tenant", "nobody's", "quarantine", "the first is a minute old", "just within a minute"],
)
def test_only_bugs_of_several_tenants_within_a_minute_stop_a_room(letters, reached):
    limit = StopLimit(3)
    assert [limit.reached(Dead(read(), reason, "", tenant), at) for reason, tenant, at in letters][-1] is reached


def test_the_breaker_opens_after_deadlines_in_a_row_and_probes_once_a_second():
    breaker = Breaker(limit=3)
    for at in (0.0, 1.0, 2.0):
        assert breaker.allows(at)
        breaker.failed(at)
    assert [breaker.allows(at) for at in (2.5, 3.0, 3.5, 4.0)] == [False, True, False, True]
    breaker.succeeded()
    assert breaker.allows(4.1)


def test_a_success_between_failures_keeps_the_breaker_shut():
    breaker = Breaker(limit=2)
    for at in range(5):
        breaker.failed(at)
        breaker.succeeded()
    assert not breaker.is_open


def test_waits_double_up_to_a_limit_and_are_spread():
    backoff = Backoff(0.2, 5.0)
    waits = [backoff.next() for _ in range(8)]
    for wait, limit in zip(waits, [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0], strict=True):
        assert limit / 2 <= wait <= limit
    backoff.reset()
    assert backoff.next() <= 0.2


@pytest.mark.parametrize(
    ("records", "pause"), [(0, 0.0), (1, 0.0198), (50, 0.01), (100, 0.0), (130, 0.0)],
    ids=["waited already", "one", "half", "full", "more than full"],
)  # fmt: skip
def test_the_pause_before_a_poll_is_long_after_a_small_batch_and_none_after_a_full_one(records, pause):
    assert pause_seconds(records, 100) == pytest.approx(pause)


@pytest.mark.parametrize(
    ("committed", "first", "end", "lost"),
    [(None, 5, 9, False), (5, 5, 9, False), (9, 5, 9, False), (4, 5, 9, True), (10, 5, 9, True), (0, 0, 0, False)],
    ids=["nothing read yet", "at the beginning", "at the end", "before the beginning", "beyond the end", "empty"],
)
def test_a_committed_offset_outside_the_log_is_a_lost_range(committed, first, end, lost):
    tp = TopicPartition("t", 0)
    log = Log({tp: committed}, {tp: first}, {tp: end})
    assert bool(log.lost()) is lost
    if lost:
        with pytest.raises(LostRangeError, match="reset the group's offsets"):
            refuse_lost_ranges(log.lost(), "sender")


def test_lanes_must_lie_together():
    together = [TopicPartition(topic, n) for topic in ("u", "n") for n in (1, 4)]
    refuse_torn_lanes(together, ["u", "n"])
    with pytest.raises(RoomStoppedError, match=r"n \[1\]"):
        refuse_torn_lanes(together[:-1], ["u", "n"])


def test_exactly_one_assignor_and_that_is_range():
    check_assignors(ASSIGNORS)
    for wrong in ((), (*ASSIGNORS, *ASSIGNORS), (RoundRobinPartitionAssignor,)):
        with pytest.raises(StartUpError, match="range"):
            check_assignors(wrong)


@pytest.mark.parametrize(
    ("signs", "state", "cure"),
    [
        (Signs(1, 1, 30), "ok", None),
        (Signs(70, 1, 1), "down", None),
        (Signs(1, 70, 1), "down", None),
        (Signs(1, 1, 70), "down", None),
        (Signs(1, 130, 1), "down", DoubtError),
        (Signs(130, 1, 1), "down", DoubtError),
        (Signs(1, 1, 130), "down", None),
        (Signs(1, 1, 301), "down", RoomStoppedError),
    ],
    ids=["well", "loop stands", "nothing fetched", "work stands", "fetching dead", "loop dead", "slow", "hung"],
)
def test_the_watchdog_says_not_ready_then_builds_anew_then_ends_the_room(signs, state, cure):
    assert judge(signs)[0] == state
    assert (type(remedy(signs)) if remedy(signs) else None) is cure
