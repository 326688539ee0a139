"""What an answer means, and what is done with a push that was here before."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from services.notifier.plan import (
    APPENDED,
    Answer,
    Passed,
    Push,
    Put,
    Step,
    buried_here,
    conclude,
    decide,
    judge,
    read_retry_after,
    try_again,
)
from services.store.deliveries import First, PushKey, Seen

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
MINE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
SCHEDULE = (timedelta(seconds=5), timedelta(seconds=30))
NOTHING = Seen(0, None, None, None)
BEHIND_ME = First(77, OTHER)


def push(n=0, *, returned=False):
    return Push(key=PushKey(7, "end_1", "conv_1", MINE), n=n, returned=returned, kind="message_sent", body=b"{}")


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, "acknowledged"), (201, "acknowledged"), (204, "acknowledged"), (299, "acknowledged"),
        (301, "failed"), (307, "failed"), (400, "failed"), (401, "failed"), (404, "failed"), (408, "failed"),
        (410, "gone"), (422, "failed"), (429, "failed"), (500, "failed"), (503, "failed"), (599, "failed"),
    ],
)  # fmt: skip
def test_a_status_has_one_meaning(status, verdict):
    assert judge(status).verdict == verdict


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7), (" 12 ", 12), ("0", 0), ("999999", 3600), ("Tue, 24 Nov 2026 12:00:30 GMT", 30),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0), ("Tue, 24 Nov 2026 23:00:00 GMT", 3600),
        ("9" * 400, 3600),
    ],
)  # fmt: skip
def test_retry_after_is_honoured_up_to_an_hour(text, seconds):
    assert read_retry_after(text, NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", [None, "", "soon", "-5", "1.5", "Tue, 99 Nov"])
def test_a_retry_after_that_says_nothing_is_none(text):
    assert read_retry_after(text, NOW) is None


@pytest.mark.parametrize(
    ("returned", "n", "seen", "step"),
    [
        pytest.param(False, 0, NOTHING, Step.ATTEMPT, id="a new event goes out"),
        pytest.param(False, 0, Seen(1, "acknowledged", None, None), Step.PASS, id="it was acknowledged"),
        pytest.param(True, 1, Seen(2, "dead", None, None), Step.PASS, id="it was given up"),
        pytest.param(False, 0, Seen(0, None, OTHER, None), Step.APPEND, id="another one heads the queue"),
        pytest.param(True, 0, Seen(0, None, OTHER, None), Step.APPEND, id="even when it was given back"),
        pytest.param(False, 0, Seen(0, None, MINE, None), Step.PASS, id="its own wait is stored"),
        pytest.param(True, 0, Seen(0, None, MINE, None), Step.ATTEMPT, id="its turn, never tried"),
        pytest.param(True, 2, Seen(2, None, MINE, None), Step.ATTEMPT, id="its turn, after two tries"),
        pytest.param(True, 1, Seen(2, None, MINE, None), Step.PASS, id="a stale number"),
        pytest.param(True, 0, NOTHING, Step.ATTEMPT, id="given back by hand"),
    ],
)
def test_what_is_stored_decides_what_is_done(returned, n, seen, step):
    assert decide(push(n, returned=returned), seen) is step


def test_a_failure_waits_at_the_head_by_schedule_with_its_number_counted():
    change = conclude(push(1, returned=True), judge(500), Seen(1, None, MINE, BEHIND_ME), SCHEDULE, 0.0)

    assert change.delivery == (1, "failed", 500, "5xx")
    assert change.deferral is not None
    assert (change.deferral.n, change.deferral.due_in_seconds, change.deferral.queue) == (2, 30.0, "end_1|conv_1")
    assert (change.head, change.due, change.closed) == (None, None, False)


@pytest.mark.parametrize(("jitter", "seconds"), [(-1.0, 4.5), (0.0, 5.0), (1.0, 5.5)])
def test_a_wait_is_spread_by_a_tenth(jitter, seconds):
    change = conclude(push(), judge(500), Seen(0, None, MINE, None), SCHEDULE, jitter)

    assert change.deferral is not None
    assert change.deferral.due_in_seconds == pytest.approx(seconds)


def test_a_longer_retry_after_beats_the_schedule_and_a_shorter_one_does_not():
    for asked, seconds in ((timedelta(minutes=2), 120.0), (timedelta(seconds=1), 5.0)):
        change = conclude(push(), judge(429, asked), Seen(0, None, MINE, None), SCHEDULE, 0.0)
        assert change.deferral is not None
        assert change.deferral.due_in_seconds == seconds


@pytest.mark.parametrize(
    ("answer", "tries", "outcome"),
    [
        (judge(200), 0, "acknowledged"),
        (judge(410), 0, "gone"),
        (judge(500), 2, "dead"),
        (Answer(verdict="failed", detail="timeout"), 2, "dead"),
    ],
)
def test_a_settled_head_makes_the_next_one_due_or_closes_the_queue(answer, tries, outcome):
    followed = conclude(push(tries, returned=True), answer, Seen(tries, None, MINE, BEHIND_ME), SCHEDULE, 0.0)
    alone = conclude(push(tries, returned=True), answer, Seen(tries, None, MINE, None), SCHEDULE, 0.0)

    assert followed.delivery == alone.delivery == (tries, outcome, answer.status, answer.detail)
    assert (followed.head, followed.due, followed.closed) == (OTHER, 77, False)
    assert (alone.head, alone.due, alone.closed) == (None, None, True)
    assert followed.deferral is alone.deferral is None


def test_what_ended_meanwhile_is_not_put_away_again():
    seen = Seen(1, "acknowledged", None, None)

    for result in (judge(500), Put("push_slot", timedelta(seconds=1)), APPENDED, Passed()):
        change = conclude(push(), result, seen, SCHEDULE, 0.0)
        assert change.deferral is None
        assert not change.closed


def test_an_event_that_ended_at_the_head_lets_its_queue_go_on():
    change = conclude(push(1, returned=True), Passed(), Seen(1, "acknowledged", MINE, BEHIND_ME), SCHEDULE, 0.0)

    assert (change.head, change.due) == (OTHER, 77)


def test_behind_a_head_there_is_no_due_time():
    for result in (APPENDED, Put("push_slot", timedelta(seconds=1)), judge(500)):
        change = conclude(push(), result, Seen(0, None, OTHER, None), SCHEDULE, 0.0)
        assert change.deferral is not None
        assert change.deferral.due_in_seconds is None


def test_a_queue_that_closed_meanwhile_is_no_reason_to_wait():
    assert try_again(APPENDED, NOTHING)
    assert conclude(push(), APPENDED, NOTHING, SCHEDULE, 0.0).deferral is None
    assert not try_again(APPENDED, Seen(0, None, OTHER, None))
    assert not try_again(Passed(), NOTHING)


def test_only_the_record_whose_attempt_was_the_last_is_set_aside_again():
    dead = Seen(3, "dead", None, None)

    assert buried_here(push(2, returned=True), dead)
    assert not buried_here(push(1, returned=True), dead)
    assert not buried_here(push(2, returned=True), Seen(3, "acknowledged", None, None))
