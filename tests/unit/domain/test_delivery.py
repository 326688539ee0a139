"""The table of message states: total, and what it says in words."""

from itertools import product

import pytest

from services.domain.delivery import (
    ENDED,
    ILLEGAL,
    LATE,
    MOVES,
    SAW,
    SETTLED,
    Happening,
    IllegalMoveError,
    Status,
    advance,
)

PAIRS = list(product(Status, Happening))
PROGRESS = [Status.SENT, Status.DELIVERED, Status.READ, Status.PLAYED]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_every_pair_is_a_move_or_late_or_illegal_and_only_one_of_them(pair):
    assert [pair in MOVES, pair in LATE, pair in ILLEGAL].count(True) == 1


def test_the_table_names_no_pair_that_does_not_exist():
    assert set(MOVES) | LATE | ILLEGAL == set(PAIRS)


@pytest.mark.parametrize("pair", sorted(MOVES))
def test_a_move_is_returned(pair):
    assert advance(*pair) == MOVES[pair]


@pytest.mark.parametrize("pair", sorted(LATE))
def test_late_news_is_none(pair):
    assert advance(*pair) is None


@pytest.mark.parametrize("pair", sorted(ILLEGAL))
def test_an_illegal_move_is_an_error_that_names_both(pair):
    with pytest.raises(IllegalMoveError, match=rf"{pair[1]}.*{pair[0]}"):
        advance(*pair)


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("happening", SAW.values())
def test_no_status_webhook_is_illegal_for_any_state(status, happening):
    assert (status, happening) not in ILLEGAL


@pytest.mark.parametrize("pair", [pair for pair in MOVES if pair[0] in PROGRESS and MOVES[pair].status in PROGRESS])
def test_a_message_that_was_sent_only_goes_forward(pair):
    assert PROGRESS.index(MOVES[pair].status) > PROGRESS.index(pair[0])


@pytest.mark.parametrize("pair", [pair for pair in MOVES if pair[0] in PROGRESS])
def test_a_message_that_was_sent_never_waits_again(pair):
    assert MOVES[pair].status in {*PROGRESS, Status.FAILED}


def test_a_failure_is_believed_until_a_device_has_the_message():
    believed = {state for state in PROGRESS if (state, Happening.SAW_FAILED) in MOVES}
    assert believed == {Status.SENT}


@pytest.mark.parametrize(
    ("status", "happening", "announcements"),
    [
        (Status.SENDING, Happening.ANSWERED, ("message_sent",)),
        (Status.SENDING, Happening.SAW_SENT, ("message_sent",)),
        (Status.SENDING, Happening.SAW_DELIVERED, ("message_sent", "message_delivered")),
        (Status.UNKNOWN, Happening.SAW_READ, ("message_resolved", "message_sent", "message_read")),
        (Status.UNKNOWN, Happening.ANSWERED, ("message_resolved", "message_sent")),
        (Status.UNKNOWN, Happening.SAW_FAILED, ("message_resolved", "message_failed")),
        (Status.UNKNOWN, Happening.REPEATED, ("message_resolved",)),
        (Status.UNKNOWN, Happening.LEFT, ("message_resolved",)),
        (Status.WAITING, Happening.SAW_PLAYED, ("message_sent", "message_played")),
        (Status.CANCELLED, Happening.SAW_DELIVERED, ("message_sent", "message_delivered")),
        (Status.SENT, Happening.SAW_DELIVERED, ("message_delivered",)),
        (Status.SENT, Happening.SAW_READ, ("message_read",)),
        (Status.FAILED, Happening.SAW_DELIVERED, ("message_delivered",)),
        (Status.SENDING, Happening.SAW_FAILED, ("message_failed",)),
        (Status.SENDING, Happening.REFUSED, ("message_failed",)),
        (Status.SENDING, Happening.LOST, ("message_unknown",)),
        (Status.QUEUED, Happening.EXPIRED, ("message_expired",)),
        (Status.WAITING, Happening.CANCELLED, ("message_cancelled",)),
        (Status.QUEUED, Happening.CLAIMED, ()),
        (Status.SENDING, Happening.DEFERRED, ()),
    ],
)
def test_a_move_announces_what_it_implies_in_order(status, happening, announcements):
    assert MOVES[status, happening].announce == announcements


@pytest.mark.parametrize("status", sorted(SETTLED | ENDED))
def test_what_is_settled_can_be_claimed_no_more(status):
    assert (status, Happening.CLAIMED) in ILLEGAL


def test_only_what_has_not_left_is_unsettled():
    assert frozenset(Status) - SETTLED == {Status.QUEUED, Status.SENDING, Status.WAITING}


def test_every_word_of_meta_that_is_applied_has_its_own_happening():
    assert sorted(SAW) == ["delivered", "failed", "played", "read", "sent"]
    assert len(set(SAW.values())) == len(SAW)
