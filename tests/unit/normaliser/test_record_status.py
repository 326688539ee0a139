"""A status is kept once for ever, and moves the message that it is about."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.delivery import Status
from services.domain.workset import StatusKey, WamidKey, WamidLink
from services.normaliser.record import keys_of, record
from services.providers.cloud.payloads import callback_data
from services.store.worksets import Keys
from tests.unit.domain.things import (
    ACCOUNT,
    IDS,
    MESSAGE_ID,
    NOW,
    a_conversation,
    a_message,
    a_workset,
    an_account,
    announced,
)
from tests.unit.normaliser.updates import WAMID, a_status, a_waiting_status, make_room_for, told

OURS = callback_data(MESSAGE_ID, 1)
KEY = WamidKey(ACCOUNT.id, "out", WAMID)
META_ERROR = {"code": 131047, "title": "Re-engagement message", "error_data": {"details": "More than 24 hours"}}


def sent(status=Status.SENT, *, linked=True, **over):
    """A workset with one message of ours, its wamid linked or not."""
    conversation = a_conversation()
    message = a_message(status, conversation, **({"wamid": WAMID if linked else None} | over))
    work = a_workset(message, conversation=conversation)
    work.wamids[KEY] = WamidLink(message.id, 1) if linked else WamidLink()
    return work, message


def hear(work, *updates, **over):
    for update in updates:
        one = told(update, **over)
        make_room_for(work, one)
        record(work, one)


def test_a_status_moves_its_message_and_is_kept():
    work, message = sent()
    hear(work, a_status("delivered"))
    assert message.status == Status.DELIVERED
    (row,) = work.statuses
    assert (row.key, row.message_id, row.late) == (
        StatusKey(ACCOUNT.id, WAMID, "delivered", "", NOW),
        message.id,
        False,
    )
    assert announced(work) == ["message_delivered"]


def test_a_status_that_is_known_changes_nothing():
    work, message = sent()
    hear(work, a_status("delivered"), a_status("delivered"))
    assert len(work.statuses) == len(work.events) == 1
    assert message.status == Status.DELIVERED


def test_a_status_that_was_stored_before_changes_nothing():
    work, message = sent()
    work.known_statuses.add(StatusKey(ACCOUNT.id, WAMID, "delivered", "", NOW))
    hear(work, a_status("delivered"))
    assert (work.statuses, work.events, message.status) == ([], [], Status.SENT)


def test_the_same_word_at_another_time_is_kept_and_late():
    work, _ = sent()
    hear(work, a_status("delivered"), a_status("delivered", at=NOW + timedelta(seconds=3)))
    assert [row.late for row in work.statuses] == [False, True]
    assert announced(work) == ["message_delivered"]


def test_late_news_is_kept_and_not_announced():
    work, message = sent(Status.READ)
    hear(work, a_status("delivered"))
    assert ([row.late for row in work.statuses], work.events, message.status) == ([True], [], Status.READ)


@pytest.mark.parametrize("word", ["deleted", "warning", "invented"])
def test_a_word_that_we_do_not_know_is_kept_and_not_applied(word):
    work, message = sent()
    hear(work, a_status(word))
    assert ([row.key.status for row in work.statuses], work.events, message.status) == ([word], [], Status.SENT)


def test_a_status_without_a_time_has_the_same_key_each_time():
    work, message = sent()
    hear(work, a_status("delivered", at=None), received_at=NOW)
    hear(work, a_status("delivered", at=None), received_at=NOW + timedelta(days=1))
    assert len(work.statuses) == 1
    assert message.delivered_at == NOW


def test_a_status_before_our_own_answer_finds_its_message_by_the_callback():
    work, message = sent(Status.SENDING, linked=False)
    hear(work, a_status("delivered", callback=OURS))
    assert message.status == Status.DELIVERED
    assert message.wamid == WAMID
    assert work.wamids[KEY] == WamidLink(message.id, 1)
    assert work.changed_wamids == {KEY}
    assert announced(work) == ["message_sent", "message_delivered"]


def test_a_status_settles_what_was_unknown():
    work, message = sent(Status.UNKNOWN, linked=False)
    hear(work, a_status("sent", callback=OURS))
    assert (message.status, announced(work)) == (Status.SENT, ["message_resolved", "message_sent"])


def test_a_second_attempt_that_is_seen_as_well_is_announced_as_doubled():
    work, message = sent(Status.SENT, linked=False, wamid="wamid.first")
    hear(work, a_status("delivered", callback=OURS))
    assert announced(work) == ["message_doubled", "message_delivered"]
    assert message.wamid == "wamid.first"


def test_a_failure_of_one_attempt_says_nothing_of_the_other_that_went_through():
    work, message = sent(Status.SENT, linked=False, wamid="wamid.first")
    hear(work, a_status("failed", callback=OURS))
    assert (message.status, announced(work)) == (Status.SENT, [])
    assert [row.late for row in work.statuses] == [True]


def test_statuses_that_lay_there_before_are_applied_first():
    work, message = sent(Status.SENDING, linked=False)
    work.waiting_statuses[KEY] = [a_waiting_status("sent"), a_waiting_status("read")]
    hear(work, a_status("delivered", callback=OURS))
    assert announced(work) == ["message_sent", "message_read"]
    assert message.status == Status.READ
    assert [row.late for row in work.statuses] == [True]


def test_a_status_that_nobody_can_place_waits_for_its_message():
    work, message = sent(Status.SENDING, linked=False)
    hear(work, a_status("delivered"))
    assert [(row.message_id, row.late) for row in work.statuses] == [(None, False)]
    assert (work.events, message.status) == ([], Status.SENDING)


def test_a_status_of_the_same_batch_that_came_before_the_link_is_applied_too():
    work, message = sent(Status.SENDING, linked=False)
    hear(work, a_status("read"), a_status("sent", callback=OURS))
    assert message.status == Status.READ
    assert announced(work) == ["message_sent", "message_read"]
    assert [row.message_id for row in work.statuses] == [message.id, message.id]


@pytest.mark.parametrize(
    "callback",
    ["a client's own", "r1.msg_x.1", callback_data(IDS.issue(1, 7), 1), "r0." + OURS[3:], OURS + ".1"],
    ids=["a client's own", "no message id", "a message that is not here", "an older program's", "too long"],
)
def test_a_callback_that_is_not_ours_links_nothing(callback):
    work, _ = sent(Status.SENDING, linked=False)
    hear(work, a_status("delivered", callback=callback))
    assert work.wamids[KEY] == WamidLink()
    assert [row.message_id for row in work.statuses] == [None]


def test_a_callback_never_links_another_account_s_message():
    work, message = sent(Status.SENDING, linked=False)
    other = an_account(2, tenant=1)
    hear(work, a_status("delivered", callback=OURS), account=other)
    assert work.wamids[WamidKey(other.id, "out", WAMID)] == WamidLink()
    assert message.status == Status.SENDING


def test_a_callback_never_links_what_a_user_sent():
    work, message = sent(Status.SENDING, linked=False, direction="inbound")
    hear(work, a_status("delivered", callback=OURS))
    assert (work.wamids[KEY], message.status) == (WamidLink(), Status.SENDING)


def test_the_link_of_a_wamid_is_not_moved_by_another_callback():
    work, _ = sent()
    hear(work, a_status("delivered", callback=callback_data(IDS.issue(1, 7), 2)))
    assert work.wamids[KEY] == WamidLink(MESSAGE_ID, 1)


def test_a_failure_is_announced_with_meta_s_reason():
    work, message = sent()
    hear(work, a_status("failed", errors=[META_ERROR]))
    error = msgspec.json.decode(work.events[0][1].value)["data"]["error"]
    assert error == message.error
    assert (error["code"], error["meta_code"], error["details"]) == ("window_closed", 131047, "More than 24 hours")
    assert (error["fault"], error["retryable"]) == ("caller", False)


def test_a_failure_that_waited_has_the_same_words_as_one_that_did_not():
    at_once, message = sent(Status.SENDING, linked=False)
    hear(at_once, a_status("failed", callback=OURS, errors=[META_ERROR]))
    waited, adopted = sent(Status.SENDING, linked=False)
    waited.waiting_statuses[KEY] = [a_waiting_status("failed", errors=[META_ERROR])]
    hear(waited, a_status("sent", callback=OURS))
    assert adopted.error == message.error


def test_pricing_of_a_status_is_kept_with_row_and_message():
    work, message = sent()
    hear(work, a_status("delivered", pricing={"billable": True}))
    assert work.statuses[0].pricing == message.pricing == {"billable": True}


def test_pricing_of_a_status_that_waited_is_kept_too():
    work, message = sent(Status.SENDING, linked=False)
    work.waiting_statuses[KEY] = [a_waiting_status("delivered", pricing={"billable": True})]
    hear(work, a_status("sent", callback=OURS))
    assert message.pricing == {"billable": True}


def test_it_touches_its_wamid_and_the_message_that_its_callback_names():
    keys = Keys()
    keys_of(told(a_status("sent", callback=OURS)), keys)
    assert keys.outbound == {KEY}
    assert keys.messages == {MESSAGE_ID}
    assert keys.inbound == {}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["sent", "delivered", "read", "played", "invented"]), max_size=10), st.booleans())
def test_each_status_leaves_one_row_in_any_order_and_multiplicity(words, linked):
    work, message = sent(Status.SENT if linked else Status.SENDING, linked=linked)
    hear(work, *(a_status(word, callback=OURS) for word in words))
    assert sorted(row.key.status for row in work.statuses) == sorted(set(words))
    assert all(row.message_id == message.id for row in work.statuses)
    assert len(set(announced(work))) == len(announced(work))
