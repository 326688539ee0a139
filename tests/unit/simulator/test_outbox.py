"""How long a webhook waits before it is posted again."""

from services.simulator.outbox import wait_before


def test_waits_double_up_to_ten_seconds():
    assert [wait_before(attempt) for attempt in range(1, 8)] == [0, 0.5, 1, 2, 4, 8, 10]


def test_the_last_attempt_of_all_waits_no_longer():
    assert wait_before(200) == 10
