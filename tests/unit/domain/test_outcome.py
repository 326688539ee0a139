"""What follows when something happens to a message: times, error, announcement, the queue behind it."""

from datetime import timedelta

import msgspec
import pytest

from services.domain.delivery import Happening, IllegalMoveError, Status
from services.domain.outcome import happen, release_queue
from services.domain.workset import QueueNext
from tests.unit.domain.things import ACCOUNT, BASE, NOW, a_conversation, a_message, a_workset

ERROR = {"code": "whatsapp_rejected", "fault": "whatsapp", "retryable": False}
LATER = NOW + timedelta(seconds=7)


def waiting_behind(message_id, conversation, *followers):
    """The head of an open queue and, as the store loads it, the first of those who wait behind it."""
    conversation.queues = {"normal": message_id}
    work = a_workset(conversation=conversation)
    if followers:
        work.queue_next[f"normal|{conversation.id}"] = followers[0]
    return work


@pytest.mark.parametrize(
    ("status", "happening", "field"),
    [
        (Status.SENDING, Happening.ANSWERED, "sent_at"),
        (Status.SENT, Happening.SAW_DELIVERED, "delivered_at"),
        (Status.SENT, Happening.SAW_READ, "read_at"),
        (Status.READ, Happening.SAW_PLAYED, "played_at"),
        (Status.SENT, Happening.SAW_FAILED, "failed_at"),
    ],
)
def test_a_move_is_dated_by_the_moment_of_its_news(status, happening, field):
    conversation = a_conversation()
    message = a_message(status, conversation)
    happen(a_workset(message, conversation=conversation), ACCOUNT, message, happening, at=LATER, base=BASE)
    assert getattr(message, field) == LATER


def test_what_a_status_implies_is_dated_too():
    conversation = a_conversation()
    message = a_message(Status.SENDING, conversation)
    happen(a_workset(message, conversation=conversation), ACCOUNT, message, Happening.SAW_READ, at=LATER, base=BASE)
    assert (message.sent_at, message.delivered_at, message.read_at) == (LATER, None, LATER)


def test_late_news_changes_nothing_at_all():
    conversation = a_conversation()
    message = a_message(Status.READ, conversation)
    work = a_workset(message, conversation=conversation)
    before = msgspec.to_builtins(message)
    assert not happen(work, ACCOUNT, message, Happening.SAW_DELIVERED, at=LATER, base=BASE, pricing={"billable": True})
    assert msgspec.to_builtins(message) == before
    assert (work.events, work.changed_messages, work.changed_conversations) == ([], set(), set())


def test_a_failure_keeps_its_error_and_a_later_delivery_leaves_it_there():
    conversation = a_conversation()
    message = a_message(Status.SENT, conversation)
    work = a_workset(message, conversation=conversation)
    happen(work, ACCOUNT, message, Happening.SAW_FAILED, at=NOW, base=BASE, error=ERROR)
    happen(work, ACCOUNT, message, Happening.SAW_DELIVERED, at=LATER, base=BASE)
    assert (message.status, message.error) == (Status.DELIVERED, ERROR)


def test_pricing_is_kept_from_the_status_that_brings_it():
    conversation = a_conversation()
    message = a_message(Status.SENT, conversation)
    work = a_workset(message, conversation=conversation)
    happen(work, ACCOUNT, message, Happening.SAW_DELIVERED, at=NOW, base=BASE, pricing={"billable": True})
    happen(work, ACCOUNT, message, Happening.SAW_READ, at=NOW, base=BASE)
    assert message.pricing == {"billable": True}


def test_what_is_announced_stands_under_the_record_that_brought_the_news():
    conversation = a_conversation()
    message = a_message(Status.SENDING, conversation)
    work = a_workset(message, conversation=conversation)
    happen(work, ACCOUNT, message, Happening.SAW_DELIVERED, at=NOW, base=BASE)
    assert [base for base, _ in work.events] == [BASE, BASE]


def test_row_and_conversation_are_written_once_and_only_when_they_are_not_new():
    conversation = a_conversation()
    message = a_message(Status.SENDING, conversation)
    work = a_workset(message, conversation=conversation)
    happen(work, ACCOUNT, message, Happening.SAW_DELIVERED, at=NOW, base=BASE)
    assert (work.changed_messages, work.changed_conversations) == ({message.id}, {conversation.id})
    work.changed_messages.clear()
    work.new_messages.add(message.id)
    happen(work, ACCOUNT, message, Happening.SAW_READ, at=NOW, base=BASE)
    assert work.changed_messages == set()


def test_what_can_never_happen_is_an_error_and_not_swallowed():
    message = a_message(Status.SENT, None)
    with pytest.raises(IllegalMoveError):
        happen(a_workset(message), ACCOUNT, message, Happening.CLAIMED, at=NOW, base=BASE)


def test_outside_of_a_conversation_sequence_is_zero():
    message = a_message(Status.SENDING, None)
    work = a_workset(message)
    happen(work, ACCOUNT, message, Happening.ANSWERED, at=NOW, base=BASE)
    assert [event.sequence for _, event in work.events] == [0]


@pytest.mark.parametrize(
    "happening",
    [Happening.ANSWERED, Happening.REFUSED, Happening.LOST, Happening.SAW_DELIVERED],
    ids=str,
)
def test_whatever_settles_the_head_sets_the_next_one_due(happening):
    conversation = a_conversation()
    message = a_message(Status.SENDING, conversation)
    work = waiting_behind(message.id, conversation, QueueNext(17, "msg_next"))
    work.messages[message.id] = message
    happen(work, ACCOUNT, message, happening, at=NOW, base=BASE)
    assert work.due_now == [17]
    assert conversation.queues == {"normal": "msg_next"}


def test_a_queue_that_nobody_waits_in_is_closed():
    conversation = a_conversation()
    message = a_message(Status.SENDING, conversation)
    work = waiting_behind(message.id, conversation)
    happen(work, ACCOUNT, message, Happening.ANSWERED, at=NOW, base=BASE)
    assert (conversation.queues, work.due_now) == ({}, [])
    assert work.changed_conversations == {conversation.id}


def test_the_queues_of_other_lanes_stay_as_they_are():
    conversation = a_conversation()
    message = a_message(Status.SENT, conversation)
    work = waiting_behind(message.id, conversation, QueueNext(17, "msg_next"))
    conversation.queues |= {"bulk": "msg_bulk"}
    release_queue(work, message)
    assert conversation.queues == {"normal": "msg_next", "bulk": "msg_bulk"}


def test_who_is_not_the_head_releases_nobody():
    conversation = a_conversation()
    message = a_message(Status.SENT, conversation)
    work = waiting_behind("msg_somebody_else", conversation, QueueNext(17, "msg_next"))
    release_queue(work, message)
    assert (conversation.queues, work.due_now) == ({"normal": "msg_somebody_else"}, [])


def test_a_head_that_waits_again_keeps_the_queue():
    conversation = a_conversation()
    message = a_message(Status.SENDING, conversation)
    work = waiting_behind(message.id, conversation, QueueNext(17, "msg_next"))
    happen(work, ACCOUNT, message, Happening.DEFERRED, at=NOW, base=BASE)
    assert (conversation.queues, work.due_now) == ({"normal": message.id}, [])
