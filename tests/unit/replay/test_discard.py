"""A discarded command's message is cancelled, once, and only if it is this record's to cancel."""

import pytest

from services.domain.delivery import Status
from services.domain.tenants import Phonebook
from services.replay.discard import DeadCommand, dead_command, discard
from tests.unit.domain.things import ACCOUNT, MESSAGE_ID, NOW, a_conversation, a_message, a_workset, announced
from tests.unit.replay import kit


def book_of(*accounts):
    book = Phonebook()
    for account in accounts:
        book.learn_account(account, deleted=False)
    return book


def a_dead_command(**more) -> DeadCommand:
    dead = dead_command(kit.dead_command(**more).record, book_of(ACCOUNT))
    assert dead is not None
    return dead


def test_a_command_without_a_row_leaves_a_cancelled_one_that_says_so():
    work = a_workset()
    assert discard(work, a_dead_command(), NOW)
    assert (work.messages[MESSAGE_ID].status, work.new_messages) == (Status.CANCELLED, {MESSAGE_ID})
    assert announced(work) == ["message_cancelled"]


@pytest.mark.parametrize("status", [Status.QUEUED, Status.WAITING])
def test_a_message_that_waits_is_cancelled_in_its_conversation_and_lets_the_next_go_on(status):
    talk = a_conversation(queues={"normal": MESSAGE_ID})
    work = a_workset(a_message(status, talk), conversation=talk)
    assert discard(work, a_dead_command(), NOW)
    assert (announced(work), talk.last_sequence, talk.queues) == (["message_cancelled"], 1, {})


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.QUEUED, Status.WAITING}))
def test_a_message_that_is_on_its_way_or_settled_stays_as_it_is(status):
    work = a_workset(a_message(status, None))
    assert not discard(work, a_dead_command(), NOW)
    assert (work.messages[MESSAGE_ID].status, announced(work)) == (status, [])


def test_a_second_request_with_the_same_key_does_not_cancel_the_first_one_s_message():
    work = a_workset(a_message(Status.QUEUED, None))
    assert not discard(work, a_dead_command(base=kit.number(9)), NOW)


def test_a_message_that_went_on_to_a_later_wait_stays():
    work = a_workset(a_message(Status.WAITING, None, wait_no=2))
    assert not discard(work, a_dead_command(n=1), NOW)


def test_discarding_twice_cancels_once():
    work = a_workset()
    assert [discard(work, a_dead_command(), NOW) for _ in range(2)] == [True, False]
    assert announced(work) == ["message_cancelled"]


@pytest.mark.parametrize(
    "letter",
    [kit.found(), kit.dead_command()._replace(record=kit.found(b"no command").record)],
    ids=["a webhook", "unreadable"],
)
def test_what_is_no_command_has_no_message(letter):
    assert dead_command(letter.record, book_of(ACCOUNT)) is None


def test_a_command_of_an_account_that_nobody_knows_has_nobody_to_tell():
    assert dead_command(kit.dead_command().record, Phonebook()) is None
