"""What is done with a command: claimed, put off, ended or only answered. Every branch of the decision."""

from datetime import timedelta

import msgspec
import pytest

from services.domain.delivery import Status
from services.domain.events import rfc3339
from services.domain.message import Recipient, TemplateContent, decode_command
from services.domain.policy import Evidence
from services.domain.workset import Contact, IdentityKey, QueueNext, WamidKey
from services.sender.claim import SENDABLE, decide, keys_of
from services.store.worksets import Keys
from tests.unit.domain.things import (
    ACCOUNT,
    BASE,
    IDS,
    MESSAGE_ID,
    NOW,
    PHONE,
    WA_ID,
    a_conversation,
    a_message,
    a_workset,
    an_account,
    announced,
)
from tests.unit.sender.orders import LANE_TOPIC, LEASE_SECONDS, OTHER_BASE, make_room_for, ordered

UNDER_WAY = [Status.SENT, Status.DELIVERED, Status.READ, Status.PLAYED, Status.FAILED, Status.EXPIRED,
             Status.CANCELLED, Status.UNKNOWN]  # fmt: skip
SECOND = timedelta(seconds=1)


def a_room(status=None, **over):
    """A workset with Ana's conversation and, if a state is given, a message of that state in it."""
    conversation = a_conversation(contact="cnt_ana")
    messages = [] if status is None else [a_message(status, conversation, **over)]
    work = a_workset(*messages, conversation=conversation)
    work.contacts["cnt_ana"] = Contact("cnt_ana")
    work.identities[IdentityKey("wa_id", WA_ID)] = "cnt_ana"
    return work, conversation


def decided(work, order):
    make_room_for(work, order)
    return decide(work, order, LEASE_SECONDS)


def nothing_changed(work):
    return not (work.events or work.deferrals or work.new_messages or work.changed_messages)


# a new command


def test_a_new_command_is_claimed_as_its_first_attempt():
    work, conversation = a_room()
    verdict = decided(work, ordered())
    assert verdict.reply is None
    assert (verdict.call.attempt, verdict.call.to) == (1, Recipient(phone=PHONE))
    message = work.messages[MESSAGE_ID]
    assert (message.status, message.attempt, message.lease_seconds) == (Status.SENDING, 1, LEASE_SECONDS)
    assert (message.base, message.conversation_id, message.body_sha256) == (BASE, conversation.id, "hash of the body")
    assert work.new_messages == {MESSAGE_ID}


def test_a_claim_announces_nothing():
    work, _ = a_room()
    decided(work, ordered())
    assert work.events == []


def test_a_first_message_opens_contact_and_conversation():
    work = a_workset()
    decided(work, ordered())
    assert len(work.new_contacts) == len(work.new_conversations) == 1
    (conversation,) = work.conversations.values()
    assert (conversation.contact_phone, conversation.last_message_at) == (PHONE, NOW)


def test_a_command_keeps_what_it_was_given():
    work, _ = a_room()
    template = TemplateContent(name="order", language="es", named={"who": "Ana"})
    decided(work, ordered(template=template, template_id="tpl_1", metadata={"campaign": 1}, reply_to="wamid.X"))
    message = work.messages[MESSAGE_ID]
    assert (message.message_type, message.template_id, message.variables) == ("template", "tpl_1", {"who": "Ana"})
    assert (message.metadata, message.reply_to) == ({"campaign": 1}, "wamid.X")


def test_a_conversation_that_is_named_stands_for_its_contact_s_number():
    work, conversation = a_room()
    verdict = decided(work, ordered(to=Recipient(conversation_id=conversation.id)))
    assert verdict.call.to == Recipient(phone=PHONE)


def test_a_conversation_without_a_number_is_written_to_by_the_user_s_id():
    work, conversation = a_room()
    conversation.contact_phone = None
    work.identities[IdentityKey("bsuid", "EC.1")] = "cnt_ana"
    verdict = decided(work, ordered(to=Recipient(conversation_id=conversation.id)))
    assert verdict.call.to == Recipient(user_id="EC.1")
    assert work.messages[MESSAGE_ID].user_id == "EC.1"


@pytest.mark.parametrize("named", ["conv_unknown", "another account's"])
def test_a_conversation_that_is_not_this_account_s_is_not_found(named):
    work, conversation = a_room()
    conversation.account_id = an_account(2).id
    wanted = conversation.id if named == "another account's" else named
    verdict = decided(work, ordered(to=Recipient(conversation_id=wanted)))
    assert (verdict.call, verdict.reply.problem) == (None, "not_found")


def test_a_command_whose_conversation_is_not_there_is_settled_and_not_dropped_in_silence():
    work, _ = a_room()
    decided(work, ordered(to=Recipient(conversation_id="conv_unknown")))
    assert work.messages[MESSAGE_ID].status == Status.FAILED
    assert announced(work) == ["message_failed"]


@pytest.mark.parametrize(
    ("reply_to", "context"),
    [(None, None), ("wamid.theirs", "wamid.theirs"), (IDS.issue(1, 7), "wamid.quoted")],
    ids=["none", "WhatsApp's id as it is", "our id as WhatsApp knows it"],
)
def test_what_is_quoted_is_named_as_whatsapp_knows_it(reply_to, context):
    work, conversation = a_room()
    quoted = a_message(Status.DELIVERED, conversation, id=IDS.issue(1, 7), wamid="wamid.quoted")
    work.messages[quoted.id] = quoted
    assert decided(work, ordered(reply_to=reply_to)).call.context_wamid == context


# a command that was here before


@pytest.mark.parametrize("status", UNDER_WAY)
def test_the_redo_of_a_settled_message_is_told_its_state(status):
    work, _ = a_room(status, wamid="wamid.A", wait_no=1 if status == Status.UNKNOWN else 0)
    verdict = decided(work, ordered())
    assert verdict.call is None
    assert verdict.reply.status in {str(status), "sent"}
    assert not verdict.reply.replay
    assert nothing_changed(work)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.WAITING])
def test_a_wait_that_returns_with_its_number_is_claimed(status):
    work, _ = a_room(status, wait_no=2, attempt=1)
    verdict = decided(work, ordered(n=2))
    assert verdict.call.attempt == 2
    assert work.messages[MESSAGE_ID].status == Status.SENDING
    assert work.changed_messages == {MESSAGE_ID}


@pytest.mark.parametrize("status", [*UNDER_WAY, Status.WAITING, Status.SENDING])
def test_a_lower_number_is_stale_and_has_no_effect(status):
    work, _ = a_room(status, wait_no=2)
    verdict = decided(work, ordered(n=1))
    assert (verdict.call, verdict.reply.replay) == (None, False)
    assert nothing_changed(work)


@pytest.mark.parametrize("status", [*UNDER_WAY, Status.WAITING, Status.SENDING, Status.QUEUED])
def test_a_second_post_with_the_same_key_is_a_replay(status):
    work, _ = a_room(status)
    verdict = decided(work, ordered(base=OTHER_BASE))
    assert (verdict.call, verdict.reply.replay, verdict.reply.problem) == (None, True, None)
    assert nothing_changed(work)


def test_both_posts_in_one_batch_make_one_call():
    work, _ = a_room()
    verdicts = [decided(work, ordered()), decided(work, ordered(base=OTHER_BASE))]
    assert [verdict.call is not None for verdict in verdicts] == [True, False]
    assert verdicts[1].reply.replay


def test_another_body_under_the_same_key_is_refused_and_announced():
    work, _ = a_room(Status.SENT)
    verdict = decided(work, ordered(base=OTHER_BASE, body_sha256="another hash"))
    assert (verdict.call, verdict.reply.problem) == (None, "idempotency_mismatch")
    assert [(base, event.event_type) for base, event in work.events] == [(OTHER_BASE, "idempotency_mismatch")]
    assert work.messages[MESSAGE_ID].status == Status.SENT


def test_the_redo_of_a_mismatch_has_the_same_event():
    names = set()
    for _ in range(2):
        work, _ = a_room(Status.SENT)
        decided(work, ordered(base=OTHER_BASE, body_sha256="another hash"))
        names.add(work.events[0][1].event_id)
    assert len(names) == 1


@pytest.mark.parametrize(
    ("age", "problem"),
    [(timedelta(days=7), None), (timedelta(days=7) + SECOND, "idempotency_key_spent")],
    ids=["seven days old", "older"],
)
def test_a_key_is_spent_after_seven_days(age, problem):
    work, _ = a_room(Status.READ, created_at=NOW - age)
    assert decided(work, ordered(base=OTHER_BASE)).reply.problem == problem


def test_the_record_that_made_the_message_is_never_told_that_its_key_is_spent():
    work, _ = a_room(Status.WAITING, created_at=NOW - timedelta(days=30), wait_no=1)
    assert decided(work, ordered(n=1)).call is not None


# what stands in the way


def test_an_expired_command_ends_without_a_call():
    work, _ = a_room()
    verdict = decided(work, ordered(not_after=NOW))
    assert (verdict.call, verdict.reply.status) == (None, "expired")
    assert announced(work) == ["message_expired"]


def test_a_command_may_go_until_the_moment_before():
    work, _ = a_room()
    assert decided(work, ordered(not_after=NOW + SECOND)).call is not None


def test_a_waiting_message_expires_and_releases_its_queue():
    work, conversation = a_room(Status.WAITING, wait_no=1, not_after=NOW - SECOND)
    conversation.queues = {"normal": MESSAGE_ID}
    work.queue_next[f"normal|{conversation.id}"] = QueueNext(17, "msg_next")
    decided(work, ordered(n=1))
    assert announced(work) == ["message_expired"]
    assert work.due_now == [17]


@pytest.mark.parametrize("status", ["paused", "disabled", "error"])
def test_an_account_that_may_not_send_refuses(status):
    account = an_account(status=status)
    work, _ = a_room()
    verdict = decided(work, ordered(account=account))
    assert (verdict.call, verdict.reply.status) == (None, "failed")
    assert verdict.reply.error["code"] == "account_paused"
    assert announced(work) == ["message_failed"]


@pytest.mark.parametrize("status", sorted(SENDABLE))
def test_an_account_that_may_send_does(status):
    work, _ = a_room()
    assert decided(work, ordered(account=an_account(status=status))).call is not None


def test_expiry_is_told_before_the_account_s_pause():
    work, _ = a_room()
    decided(work, ordered(account=an_account(status="paused"), not_after=NOW))
    assert announced(work) == ["message_expired"]


def test_a_schedule_puts_off_and_holds_nobody_up():
    work, conversation = a_room()
    verdict = decided(work, ordered(not_before=NOW + timedelta(minutes=2)))
    (wait,) = work.deferrals
    assert (wait.reason, wait.due_in_seconds, wait.queue, wait.n) == ("not_before", 120.0, None, 1)
    assert verdict.reply.status == "waiting"
    assert conversation.queues == {}


def test_a_schedule_that_has_come_is_no_obstacle():
    work, _ = a_room()
    assert decided(work, ordered(not_before=NOW)).call is not None


def test_behind_an_open_queue_s_head_everybody_waits():
    work, conversation = a_room()
    conversation.queues = {"normal": "msg_head"}
    decided(work, ordered())
    (wait,) = work.deferrals
    assert (wait.reason, wait.due_in_seconds, wait.queue) == ("behind_head", None, f"normal|{conversation.id}")
    assert work.messages[MESSAGE_ID].status == Status.WAITING


def test_the_head_itself_goes_through():
    work, conversation = a_room(Status.WAITING, wait_no=1)
    conversation.queues = {"normal": MESSAGE_ID}
    assert decided(work, ordered(n=1)).call is not None


def test_another_lane_s_queue_holds_up_nobody():
    work, conversation = a_room()
    conversation.queues = {"bulk": "msg_head"}
    assert decided(work, ordered()).call is not None


def test_a_wait_returns_the_command_under_the_next_number():
    work, conversation = a_room()
    conversation.queues = {"normal": "msg_head"}
    order = ordered(metadata={"a": 1})
    decided(work, order)
    (wait,) = work.deferrals
    assert (wait.topic, wait.key, wait.base, wait.n) == (LANE_TOPIC, order.key, BASE, 1)
    assert (wait.subject, decode_command(wait.payload)) == (MESSAGE_ID, order.command)
    assert work.messages[MESSAGE_ID].wait_no == 1


def test_a_second_wait_raises_the_number_again():
    work, conversation = a_room(Status.WAITING, wait_no=3)
    conversation.queues = {"normal": "msg_head"}
    decided(work, ordered(n=3))
    assert (work.deferrals[0].n, work.messages[MESSAGE_ID].wait_no) == (4, 4)


# a claim of somebody else


def test_under_a_live_lease_the_record_waits_for_its_end():
    work, _ = a_room(Status.SENDING, lease_over=False, lease_left_seconds=12.0)
    verdict = decided(work, ordered())
    (wait,) = work.deferrals
    assert (wait.reason, wait.queue, wait.n) == ("lease", None, 1)
    assert wait.due_in_seconds == pytest.approx(12.1)
    assert verdict.reply.status == "sending"
    assert (work.messages[MESSAGE_ID].wait_no, work.changed_messages) == (1, {MESSAGE_ID})


def test_when_the_lease_is_over_the_outcome_is_unknown_and_nothing_is_sent_again():
    work, _ = a_room(Status.SENDING, lease_over=True, wait_no=1)
    verdict = decided(work, ordered(n=1))
    assert (verdict.call, verdict.reply.status) == (None, "unknown")
    assert announced(work) == ["message_unknown"]
    assert msgspec.json.decode(work.events[0][1].value)["data"]["attempt"] == 1


def asking(*, n, decide_at=NOW, complete=True, **over):
    return msgspec.structs.replace(ordered(n=n, **over), evidence=Evidence(decide_at=decide_at, complete=complete))


def test_an_unknown_outcome_is_asked_about_again_while_evidence_may_come():
    work, _ = a_room(Status.UNKNOWN, wait_no=1)
    work.now = NOW
    verdict = decided(work, asking(n=1, complete=False))
    (wait,) = work.deferrals
    assert (wait.reason, wait.n, wait.queue, wait.due_in_seconds) == ("reconcile", 2, None, 5.0)
    assert wait.headers == {"decide_at": rfc3339(NOW)}
    assert (verdict.call, verdict.reply.status, announced(work)) == (None, "unknown", [])


def test_at_least_once_sends_an_unknown_outcome_again_as_its_next_attempt():
    work, _ = a_room(Status.UNKNOWN, wait_no=1, attempt=1)
    work.now = NOW
    verdict = decided(work, asking(n=1, outcome_policy="at_least_once"))
    assert (verdict.call.attempt, work.messages[MESSAGE_ID].status) == (2, Status.SENDING)
    assert announced(work) == ["message_resolved"]
    told = msgspec.json.decode(work.events[0][1].value)["data"]
    assert (told["outcome"], told["attempt"]) == ("repeated", 1)


@pytest.mark.parametrize(
    ("over", "account"),
    [
        ({"outcome_policy": "at_most_once"}, ACCOUNT),
        ({"outcome_policy": "at_least_once"}, an_account(status="disabled")),
    ],
    ids=["at most once", "an account that sends no more"],
)
def test_what_must_not_be_sent_again_stays_unknown_and_is_said_to_be(over, account):
    work, _ = a_room(Status.UNKNOWN, wait_no=1, attempt=1)
    work.now = NOW
    verdict = decided(work, asking(n=1, account=account, **over))
    assert (verdict.call, work.messages[MESSAGE_ID].status, work.deferrals) == (None, Status.UNKNOWN, [])
    assert msgspec.json.decode(work.events[0][1].value)["data"]["outcome"] == "not_repeated"


def test_an_older_wait_of_an_unknown_outcome_has_no_effect():
    work, _ = a_room(Status.UNKNOWN, wait_no=2)
    work.now = NOW
    assert decided(work, asking(n=1, outcome_policy="at_least_once")).call is None
    assert nothing_changed(work)


def test_what_became_unknown_releases_its_queue():
    work, conversation = a_room(Status.SENDING, lease_over=True)
    conversation.queues = {"normal": MESSAGE_ID}
    decided(work, ordered())
    assert conversation.queues == {}


def test_a_claim_keeps_the_lease_that_another_transaction_reads():
    work, _ = a_room(Status.SENDING, lease_over=False, lease_left_seconds=12.0)
    decided(work, ordered())
    assert work.messages[MESSAGE_ID].lease_seconds is None


# what is locked


def test_a_command_locks_its_message_recipient_and_what_it_quotes():
    keys = Keys()
    keys_of(ordered(reply_to=IDS.issue(1, 7)), keys)
    assert keys.messages == {MESSAGE_ID, IDS.issue(1, 7)}
    assert keys.identities == {IdentityKey("wa_id", WA_ID)}
    assert (keys.accounts, keys.clock) == ({ACCOUNT.id}, True)


@pytest.mark.parametrize(
    ("recipient", "identities", "conversations"),
    [
        (Recipient(user_id="EC.1"), {IdentityKey("bsuid", "EC.1")}, set()),
        (Recipient(group_id="g"), {IdentityKey("group", "g")}, set()),
        (Recipient(conversation_id="conv_1"), set(), {"conv_1"}),
    ],
)
def test_each_way_to_name_a_recipient_locks_its_own(recipient, identities, conversations):
    keys = Keys()
    keys_of(ordered(to=recipient), keys)
    assert (keys.identities, keys.conversations) == (identities, conversations)


def test_a_quoted_wamid_locks_nothing():
    keys = Keys()
    keys_of(ordered(reply_to="wamid.X"), keys)
    assert keys.messages == {MESSAGE_ID}
    assert keys.outbound == set[WamidKey]()
