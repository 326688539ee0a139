"""When to try again: arithmetic on given values."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.retry import RetryPolicy, scheduled_wait

SEND = RetryPolicy(base=timedelta(seconds=5), limit=5)
SCHEDULE = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 300))


def test_waits_double_five_times_and_then_it_is_enough():
    waits = [SEND.wait(n) for n in range(7)]
    assert waits == [*(timedelta(seconds=s) for s in (5, 10, 20, 40, 80)), None, None]


def test_a_policy_without_waits_gives_up_at_once():
    assert RetryPolicy(base=timedelta(seconds=5), limit=0).wait(0) is None


@pytest.mark.parametrize(("tries", "seconds"), [(1, 5), (2, 30), (3, 300)])
def test_the_published_schedule_is_followed(tries, seconds):
    assert scheduled_wait(SCHEDULE, tries, jitter=0) == timedelta(seconds=seconds)


@pytest.mark.parametrize("tries", [4, 5, 100])
def test_the_schedule_ends(tries):
    assert scheduled_wait(SCHEDULE, tries, jitter=0) is None


@given(st.integers(1, 3), st.floats(-1, 1))
def test_jitter_spreads_by_a_tenth_at_most(tries, jitter):
    wait = scheduled_wait(SCHEDULE, tries, jitter)
    assert wait is not None
    assert abs(wait - SCHEDULE[tries - 1]) <= SCHEDULE[tries - 1] * 0.1 + timedelta(microseconds=1)


@pytest.mark.parametrize(("jitter", "seconds"), [(1, 5.5), (-1, 4.5)])
def test_jitter_reaches_both_ends(jitter, seconds):
    assert scheduled_wait(SCHEDULE, 1, jitter) == timedelta(seconds=seconds)
