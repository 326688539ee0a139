"""What the outcome of a call means for its message. Every branch."""

from datetime import timedelta

import pytest

from services.domain.delivery import Happening, Status
from services.domain.events import rfc3339
from services.domain.outcome import happen
from services.domain.retry import RetryPolicy
from services.domain.workset import IdentityKey, QueueNext, WamidKey, WamidLink
from services.providers.cloud.errors import first_error
from services.providers.contract import NotSent, Refused, Sent, Unknown
from services.sender.settle import keys_of, settle
from services.store.worksets import Keys
from tests.unit.domain.things import (
    ACCOUNT,
    BASE,
    IDS,
    MESSAGE_ID,
    NOW,
    WA_ID,
    a_conversation,
    a_message,
    a_workset,
    announced,
)
from tests.unit.normaliser.updates import a_waiting_status
from tests.unit.sender.orders import answered, ordered

POLICY = RetryPolicy(base=timedelta(seconds=5), limit=5)
WAMID = "wamid.HBgMNTkzOTg3NjU0MzIxFQIAERgS"
KEY = WamidKey(ACCOUNT.id, "out", WAMID)
SENT = Sent(WAMID)
NOT_SENT = NotSent(reason="throttled")
META = {"code": 131047, "details": "More than 24 hours"}
REFUSED = Refused(code="window_closed", title="Too late", detail="More than 24 hours", fault="caller", meta=META)


def a_claimed(status=Status.SENDING, **over):
    conversation = a_conversation()
    message = a_message(status, conversation, **over)
    work = a_workset(message, conversation=conversation)
    work.wamids[KEY] = WamidLink()
    return work, message, conversation


def settled(work, outcome, *, attempt=1, late=False, order=None):
    return settle(work, answered(outcome, attempt=attempt, order=order), POLICY, late=late)


# WhatsApp gave an id


def test_an_id_makes_it_sent_and_links_the_wamid():
    work, message, _ = a_claimed()
    row = settled(work, SENT)
    assert (message.status, message.wamid, message.sent_at) == (Status.SENT, WAMID, NOW)
    assert (work.wamids[KEY], work.changed_wamids) == (WamidLink(MESSAGE_ID, 1), {KEY})
    assert announced(work) == ["message_sent"]
    assert (row.outcome, row.wamid, row.attempt) == ("sent", WAMID, 1)


def test_statuses_that_came_before_the_answer_are_applied_with_it():
    work, message, _ = a_claimed()
    work.waiting_statuses[KEY] = [a_waiting_status("sent", WAMID), a_waiting_status("delivered", WAMID)]
    settled(work, SENT)
    assert message.status == Status.DELIVERED
    assert announced(work) == ["message_sent", "message_delivered"]


def test_a_status_of_an_unknown_word_that_waited_is_not_applied():
    work, message, _ = a_claimed()
    work.waiting_statuses[KEY] = [a_waiting_status("invented", WAMID)]
    settled(work, SENT)
    assert (message.status, announced(work)) == (Status.SENT, ["message_sent"])


def test_a_failure_that_waited_is_said_in_the_same_words_as_one_that_did_not():
    errors = [{"code": 131047, "title": "Re-engagement message", "error_data": {"details": "More than 24 hours"}}]
    work, message, _ = a_claimed()
    work.waiting_statuses[KEY] = [a_waiting_status("failed", WAMID, errors=errors)]
    settled(work, SENT)
    assert announced(work) == ["message_sent", "message_failed"]
    assert message.error == first_error(errors)


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.READ])
def test_after_a_status_the_answer_only_completes_its_attempt(status):
    work, message, _ = a_claimed(status, wamid=WAMID)
    work.wamids[KEY] = WamidLink(MESSAGE_ID, 1)
    row = settled(work, SENT)
    assert (message.status, work.events, work.changed_wamids) == (status, [], set())
    assert (row.outcome, row.wamid) == ("sent", WAMID)


def test_an_answer_settles_what_an_expired_lease_made_unknown():
    work, message, _ = a_claimed(Status.UNKNOWN)
    settled(work, SENT)
    assert (message.status, announced(work)) == (Status.SENT, ["message_resolved", "message_sent"])


def test_an_earlier_attempt_s_answer_does_not_take_the_later_one_s_wamid():
    work, message, _ = a_claimed(attempt=2, wamid="wamid.second")
    settled(work, SENT, attempt=1)
    assert message.wamid == "wamid.second"
    assert work.wamids[KEY] == WamidLink(MESSAGE_ID, 1)
    assert announced(work)[0] == "message_doubled"


# what an answer teaches of its recipient


def test_the_digits_by_which_whatsapp_knows_a_number_become_the_contact_s():
    work, _, conversation = a_claimed()
    settled(work, Sent(WAMID, wa_id="5939876543210"))
    key = IdentityKey("wa_id", "5939876543210")
    assert (work.identities[key], work.linked) == (conversation.contact_id, {key})


def test_digits_that_are_known_teach_nothing():
    work, _, _ = a_claimed()
    settled(work, Sent(WAMID, wa_id=WA_ID))
    assert work.linked == set()


def test_the_user_id_of_an_answer_becomes_the_contact_s_first():
    work, _, conversation = a_claimed()
    settled(work, Sent(WAMID, user_id="EC.1"))
    assert work.identities[IdentityKey("bsuid", "EC.1")] == conversation.contact_id


def test_a_name_that_is_somebody_else_s_stays_where_it_is():
    work, _, _ = a_claimed()
    work.identities[IdentityKey("bsuid", "EC.1")] = "cnt_somebody_else"
    settled(work, Sent(WAMID, user_id="EC.1"))
    assert (work.identities[IdentityKey("bsuid", "EC.1")], work.linked) == ("cnt_somebody_else", set())


def test_a_contact_never_gets_a_second_user_id():
    """The number has changed hands: whoever answers to it now is another user."""
    work, _, conversation = a_claimed()
    work.identities[IdentityKey("bsuid", "EC.1")] = conversation.contact_id
    settled(work, Sent(WAMID, user_id="EC.2"))
    assert work.identities.get(IdentityKey("bsuid", "EC.2")) is None


# WhatsApp refused


def test_a_refusal_fails_the_message_with_the_catalogue_s_words():
    work, message, _ = a_claimed()
    row = settled(work, REFUSED)
    assert (message.status, message.failed_at, announced(work)) == (Status.FAILED, NOW, ["message_failed"])
    assert message.error is not None
    assert {name: message.error[name] for name in ("code", "title", "details", "meta_code", "retryable", "fault")} == {
        "code": "window_closed", "title": "Too late", "details": "More than 24 hours", "meta_code": 131047,
        "retryable": False, "fault": "caller",
    }  # fmt: skip
    assert (row.outcome, row.code, row.detail) == ("refused", "window_closed", META)


def test_a_refusal_releases_the_queue():
    work, _, conversation = a_claimed()
    conversation.queues = {"normal": MESSAGE_ID}
    work.queue_next[f"normal|{conversation.id}"] = QueueNext(17, "msg_next")
    settled(work, REFUSED)
    assert (work.due_now, conversation.queues) == ([17], {"normal": "msg_next"})


@pytest.mark.parametrize("outcome", [REFUSED, Unknown("timeout"), NOT_SENT], ids=["refused", "unknown", "not sent"])
@pytest.mark.parametrize("status", [Status.SENT, Status.DELIVERED, Status.FAILED])
def test_whatever_else_the_call_says_after_a_status_changes_nothing(outcome, status):
    work, message, _ = a_claimed(status)
    settled(work, outcome)
    assert (message.status, work.events, work.deferrals) == (status, [], [])


@pytest.mark.parametrize("outcome", [REFUSED, Unknown("timeout"), NOT_SENT], ids=["refused", "unknown", "not sent"])
def test_the_outcome_of_another_attempt_is_only_noted(outcome):
    work, message, _ = a_claimed(attempt=2)
    row = settled(work, outcome, attempt=1)
    assert (message.status, work.events, work.deferrals) == (Status.SENDING, [], [])
    assert row.attempt == 1


# known not sent


@pytest.mark.parametrize(("retries", "seconds"), [(0, 5), (1, 10), (2, 20), (3, 40), (4, 80)])
def test_known_not_sent_waits_ever_longer(retries, seconds):
    work, message, _ = a_claimed(retries=retries, wait_no=retries)
    row = settled(work, NOT_SENT)
    (wait,) = work.deferrals
    assert (message.status, message.retries, message.wait_no) == (Status.WAITING, retries + 1, retries + 1)
    assert (wait.reason, wait.due_in_seconds, wait.n) == ("retry", seconds, retries + 1)
    assert (work.events, row.outcome, row.code) == ([], "not_sent", "throttled")


def test_after_the_last_wait_it_fails():
    work, message, _ = a_claimed(retries=5)
    settled(work, NOT_SENT)
    assert (message.status, announced(work), work.deferrals) == (Status.FAILED, ["message_failed"], [])
    assert message.error is not None
    assert (message.error["retryable"], message.error["fault"]) == (True, "whatsapp")


@pytest.mark.parametrize(("retry_after", "seconds"), [(3600.0, 3600.0), (1.0, 5.0)])
def test_meta_s_own_wait_is_kept_if_it_is_the_longer_one(retry_after, seconds):
    work, _, _ = a_claimed()
    settled(work, NotSent(reason="throttled", retry_after_seconds=retry_after))
    assert work.deferrals[0].due_in_seconds == seconds


def test_who_waits_for_a_retry_heads_its_conversation_s_queue():
    work, _, conversation = a_claimed()
    settled(work, NOT_SENT)
    assert conversation.queues == {"normal": MESSAGE_ID}
    assert work.deferrals[0].queue == f"normal|{conversation.id}"
    assert work.changed_conversations == {conversation.id}


def test_the_first_that_was_not_sent_stays_the_head_and_a_later_one_waits_behind_it():
    work, first, conversation = a_claimed()
    second = a_message(Status.SENDING, conversation, id=IDS.issue(1, 43))
    work.messages[second.id] = second
    settled(work, NOT_SENT)
    settled(work, NOT_SENT, order=ordered(message_id=second.id))
    assert conversation.queues == {"normal": first.id}
    assert [(wait.subject, wait.due_in_seconds) for wait in work.deferrals] == [(first.id, 5.0), (second.id, None)]


def test_the_same_outcome_told_twice_waits_once():
    work, message, _ = a_claimed()
    settled(work, NOT_SENT)
    settled(work, NOT_SENT)
    assert (len(work.deferrals), message.retries) == (1, 1)


# nobody knows


def test_a_lost_answer_is_unknown_and_announced_and_asks_again_when_its_window_ends():
    work, message, _ = a_claimed()
    row = settled(work, Unknown("timeout"))
    assert (message.status, announced(work)) == (Status.UNKNOWN, ["message_unknown"])
    (wait,) = work.deferrals
    assert (wait.reason, wait.due_in_seconds, wait.queue, wait.n) == ("reconcile", 90.0, None, message.wait_no)
    assert wait.headers == {"decide_at": rfc3339(NOW + timedelta(seconds=90))}
    assert (row.outcome, row.code) == ("unknown", "timeout")


def test_a_status_that_comes_after_a_lost_answer_settles_it():
    work, message, _ = a_claimed()
    settled(work, Unknown("timeout"))
    happen(work, ACCOUNT, message, Happening.SAW_DELIVERED, at=NOW, base=BASE)
    assert announced(work) == ["message_unknown", "message_resolved", "message_sent", "message_delivered"]


def test_unknown_holds_nobody_up():
    work, _, conversation = a_claimed()
    conversation.queues = {"normal": MESSAGE_ID}
    settled(work, Unknown("timeout"))
    assert conversation.queues == {}


# when the claim is over, somebody must publish what is stored


def test_what_is_stored_after_the_lease_comes_back_at_once_to_be_published():
    work, message, _ = a_claimed(wait_no=2)
    settled(work, SENT, late=True)
    (wait,) = work.deferrals
    assert (wait.reason, wait.due_in_seconds, wait.queue) == ("republish", 0.0, None)
    assert (wait.base, wait.n) == (message.base, 2)


def test_where_nothing_was_announced_nothing_comes_back():
    work, _, _ = a_claimed(Status.DELIVERED, wamid=WAMID)
    work.wamids[KEY] = WamidLink(MESSAGE_ID, 1)
    settled(work, SENT, late=True)
    assert work.deferrals == []


# what is locked


def test_an_outcome_locks_its_message_and_an_id_its_wamid():
    keys = Keys()
    keys_of(answered(SENT), keys)
    assert (keys.messages, keys.outbound) == ({MESSAGE_ID}, {KEY})


def test_an_outcome_without_an_id_locks_no_wamid():
    keys = Keys()
    keys_of(answered(REFUSED), keys)
    assert (keys.messages, keys.outbound) == ({MESSAGE_ID}, set())
