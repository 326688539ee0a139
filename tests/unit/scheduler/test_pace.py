"""How fast waits are given back: bounds, lots, and the slow start of a tenant that was away."""

import uuid
from datetime import UTC, datetime, timedelta

from services.scheduler.pace import FIRST_LOT, LOT, OVERLAP, SWEEP_SECONDS, TENANT_LOT, DuePace, TenantPace
from services.store.deferred import Waiting

DUE = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def row(number, due_at=DUE):
    return Waiting(number, due_at, 7, "retry", "wa.send.normal", "k", uuid.UUID(int=number), 1, b"", {})


def rows(*numbers):
    return [row(number) for number in numbers]


def test_the_first_claim_looks_at_everything_and_the_next_ones_from_a_minute_before_the_last():
    pace = DuePace()

    assert pace.bound(0.0) is None
    pace.given_back([row(1, DUE), row(2, DUE + timedelta(seconds=9))], None, 0.0)

    assert pace.bound(1.0) == DUE + timedelta(seconds=9) - OVERLAP


def test_everything_is_looked_at_once_a_minute_and_until_nothing_is_left():
    pace = DuePace()
    pace.given_back(rows(1), None, 0.0)

    assert pace.bound(SWEEP_SECONDS - 1) is not None
    assert pace.bound(SWEEP_SECONDS) is None
    pace.given_back([row(n) for n in range(LOT)], None, SWEEP_SECONDS)
    assert pace.bound(SWEEP_SECONDS + 1) is None


def test_the_bound_never_falls():
    pace = DuePace()
    pace.given_back([row(1, DUE)], None, 0.0)
    pace.given_back([row(1, DUE - timedelta(minutes=5))], DUE, 1.0)

    assert pace.bound(2.0) == DUE - OVERLAP


def test_a_lot_that_could_not_be_produced_is_halved_down_to_one_and_grows_again():
    pace = DuePace()
    for _ in range(20):
        pace.failed()
    assert pace.lot == 1

    pace.given_back(rows(1), None, 0.0)
    assert pace.lot == 2
    for _ in range(20):
        pace.given_back(rows(1), None, 0.0)
    assert pace.lot == LOT


def test_a_tenant_gets_a_few_records_first_and_all_when_those_do_not_come_again():
    pace = TenantPace()

    assert pace.due(0.0)
    assert pace.lot == FIRST_LOT
    pace.given_back(rows(1, 2), 0.0)
    assert not pace.due(1.0)

    assert pace.due(2.0)
    pace.given_back(rows(3, 4), 2.0)
    assert pace.lot == TENANT_LOT
    assert pace.due(2.1)


def test_records_that_come_again_keep_their_place_before_all_others_and_slow_the_tenant_down():
    pace = TenantPace()
    pace.given_back(rows(1, 2), 0.0)

    assert pace.first(2.0) == [uuid.UUID(int=1), uuid.UUID(int=2)]
    pace.given_back(rows(1, 2, 3), 2.0)
    assert pace.lot == FIRST_LOT
    assert not pace.due(3.9)
    assert pace.due(4.0)
    assert pace.first(4.0) == [uuid.UUID(int=n) for n in (1, 2, 3)]


def test_the_pause_of_a_tenant_that_stays_away_grows_to_a_minute():
    pace = TenantPace()
    now, pauses = 0.0, []
    for _ in range(8):
        pace.away(now)
        after = next(seconds for seconds in range(1, 100) if pace.due(now + seconds))
        pauses.append(after)
        now += after

    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]


def test_a_flowing_tenant_is_asked_for_what_came_again_once_a_second():
    pace = TenantPace()
    pace.given_back(rows(1), 0.0)
    assert pace.first(2.0) == [uuid.UUID(int=1)]
    pace.given_back(rows(2), 2.0)

    assert pace.first(2.5) == []
    assert pace.first(3.0) == [uuid.UUID(int=1), uuid.UUID(int=2)]


def test_a_tenant_is_forgotten_when_nothing_of_it_can_come_again():
    pace = TenantPace()
    pace.given_back(rows(1), 0.0)

    assert not pace.idle(60.0)
    assert pace.idle(121.0)
