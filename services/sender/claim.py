"""What is to be done with a command: claim it, let it wait, end it, or only answer. Pure decisions on a Workset.

Not here: the call (handle.py), what its outcome means (settle.py), SQL.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from services.domain.announce import Doubt
from services.domain.delivery import Happening, Status
from services.domain.events import Event, Nine, message_event, rfc3339
from services.domain.ids import RecordName
from services.domain.limits import IDEMPOTENCY_LIFE, RECONCILE_WINDOW
from services.domain.message import Recipient, SendCommand, encode_command
from services.domain.outcome import happen
from services.domain.policy import Evidence, next_look, outcome_policy, reconcile
from services.domain.policy import Verdict as Reconciled
from services.domain.replies import Reply
from services.domain.tenants import Account
from services.domain.workset import Conversation, Deferral, IdentityKey, Message, Workset, queue_of
from services.sender.replies import present_state
from services.store.worksets import Keys

DECIDE_AT: Final = "decide_at"  # header of a wait for evidence: when the window ends
SENDABLE: Final = frozenset({"active", "degraded", "pending"})
"""Account states in which its messages go out."""


class Ordered(msgspec.Struct, frozen=True, kw_only=True):
    """A command with the record that brought it and the account that sends."""

    command: SendCommand
    name: RecordName
    account: Account
    topic: str
    key: str
    evidence: Evidence = Evidence()
    window: timedelta = RECONCILE_WINDOW


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed message: it goes on the wire now, as this attempt."""

    ordered: Ordered
    attempt: int
    to: Recipient
    context_wamid: str | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided: a call to make, or the answer to whoever waits."""

    ordered: Ordered
    call: Call | None = None
    reply: Reply | None = None


def keys_of(ordered: Ordered, keys: Keys) -> None:
    command = ordered.command
    keys.clock = True
    keys.accounts.add(command.account_id)
    keys.messages.add(command.message_id)
    if command.reply_to and command.reply_to.startswith("msg_"):
        keys.messages.add(command.reply_to)
    keys.identities.update(recipient_keys(command))
    if command.to.conversation_id:
        keys.conversations.add(command.to.conversation_id)


def recipient_keys(command: SendCommand) -> tuple[IdentityKey, ...]:
    to = command.to
    named = (("bsuid", to.user_id), ("wa_id", (to.phone or "").lstrip("+")), ("group", to.group_id))
    return tuple(IdentityKey(kind, value) for kind, value in named if value)


def decide(work: Workset, ordered: Ordered, lease_seconds: float) -> Verdict:
    """Decide on one command under its locks; a command that was here before is told the present state."""
    message = work.messages.get(ordered.command.message_id)
    if message is None:
        message = begin(work, ordered)
    elif problem := conflict(work, ordered, message):
        return Verdict(ordered=ordered, reply=problem)
    elif message.base != ordered.name.base or ordered.name.n < message.wait_no:
        replayed = message.base != ordered.name.base
        return Verdict(ordered=ordered, reply=present_state(message, replay=replayed))
    return proceed(work, ordered, message, lease_seconds)


def begin(work: Workset, ordered: Ordered) -> Message:
    """Make the message's row in its conversation; it has none when the one that was named is not there."""
    command = ordered.command
    conversation = conversation_for(work, ordered)
    message = Message(
        id=command.message_id, conversation_id=conversation.id if conversation else None,
        account_id=command.account_id, direction="outbound", content=command.content, status=Status.QUEUED,
        message_type="template" if command.template else command.type, base=ordered.name.base,
        message_at=command.accepted_at, reply_to=command.reply_to,
        phone_number=command.to.phone or (conversation.contact_phone if conversation else None),
        user_id=command.to.user_id or (bsuid_of(work, conversation) if conversation else None),
        template_id=command.template_id,
        variables=(command.template.named or command.template.positional) if command.template else None,
        metadata=command.metadata, lane=command.lane, body_sha256=command.body_sha256,
        not_before=command.not_before, not_after=command.not_after, wait_no=ordered.name.n,
    )  # fmt: skip
    work.messages[message.id] = message
    work.new_messages.add(message.id)
    if conversation:
        conversation.last_message_at = max(conversation.last_message_at or command.accepted_at, command.accepted_at)
        work.touch_conversation(conversation)
    return message


def conversation_for(work: Workset, ordered: Ordered) -> Conversation | None:
    command = ordered.command
    if command.to.conversation_id:
        found = work.conversations.get(command.to.conversation_id)
        return found if found and found.account_id == command.account_id else None
    contact = work.contact_for(recipient_keys(command), None, None)
    return work.open_conversation(command.account_id, contact, command.to.phone)


def bsuid_of(work: Workset, conversation: Conversation) -> str | None:
    return next(
        (key.value for key, of in work.identities.items() if of == conversation.contact_id and key.kind == "bsuid"),
        None,
    )


def conflict(work: Workset, ordered: Ordered, message: Message) -> Reply | None:
    """Another body under the same key is refused, and announced so that it is never dropped in silence (§3)."""
    if message.body_sha256 != ordered.command.body_sha256:
        work.announce(ordered.name.base, mismatch_event(ordered, message))
        return Reply(message_id=message.id, status=str(message.status), problem="idempotency_mismatch")
    spent = work.now and message.created_at and work.now - message.created_at > IDEMPOTENCY_LIFE
    if spent and message.base != ordered.name.base:
        return Reply(message_id=message.id, status=str(message.status), problem="idempotency_key_spent")
    return None


def mismatch_event(ordered: Ordered, message: Message) -> Event:
    account, command = ordered.account, ordered.command
    nine = Nine(account_id=account.id, company_id=account.company_id, business_id=account.business_id,
                conversation_id=message.conversation_id, message_id=message.id, from_=account.phone_number,
                to=command.to.phone, content=command.content, type=command.type)  # fmt: skip
    return message_event(
        "idempotency_mismatch", natural_key=(message.id, command.body_sha256), at=command.accepted_at, sequence=0,
        nine=nine, extra={"direction": "outbound", "metadata": command.metadata},
    )  # fmt: skip


def proceed(work: Workset, ordered: Ordered, message: Message, lease_seconds: float) -> Verdict:
    """A command whose turn it may be: by the message's state, then by what stands in its way."""
    if message.state == Status.SENDING:
        return meet_claim(work, ordered, message)
    if message.state == Status.UNKNOWN:
        return decide_unknown(work, ordered, message, lease_seconds)
    if message.state not in {Status.QUEUED, Status.WAITING}:
        return Verdict(ordered=ordered, reply=present_state(message))
    now = work.now or ordered.command.accepted_at
    if obstacle := stop_reason(ordered, message, now):
        happen(work, ordered.account, message, obstacle[0], at=now, base=message.base, error=obstacle[1])
        return Verdict(ordered=ordered, reply=present_state(message))
    if wait := must_wait(work, ordered, message, now):
        put_off(work, ordered, message, wait)
        return Verdict(ordered=ordered, reply=present_state(message))
    return take(work, ordered, message, lease_seconds)


def take(
    work: Workset, ordered: Ordered, message: Message, lease_seconds: float, as_: Happening = Happening.CLAIMED
) -> Verdict:
    happen(work, ordered.account, message, as_, at=work.now or ordered.command.accepted_at, base=message.base)
    message.attempt += 1
    message.lease_seconds = lease_seconds
    call = Call(
        ordered=ordered, attempt=message.attempt, to=recipient(ordered.command, message),
        context_wamid=quoted_wamid(work, message),
    )  # fmt: skip
    return Verdict(ordered=ordered, call=call)


def recipient(command: SendCommand, message: Message) -> Recipient:
    """Who is written to: a conversation that was named stands for its contact, whose number is asked first."""
    if command.to.conversation_id is None:
        return command.to
    return Recipient(phone=message.phone_number) if message.phone_number else Recipient(user_id=message.user_id)


def quoted_wamid(work: Workset, message: Message) -> str | None:
    quoted = work.messages.get(message.reply_to or "")
    return quoted.wamid if quoted else message.reply_to


def meet_claim(work: Workset, ordered: Ordered, message: Message) -> Verdict:
    """Somebody claimed it: while the lease lives the record waits for its end, after it the outcome is unknown."""
    if message.lease_over:
        lose(work, ordered, message, work.now or message.message_at)
    else:
        message.wait_no = ordered.name.n + 1
        work.touch_message(message)
        work.deferrals.append(deferral(ordered, message, "lease", message.lease_left_seconds + 0.1, queue=None))
    return Verdict(ordered=ordered, reply=present_state(message))


def lose(work: Workset, ordered: Ordered, message: Message, at: datetime) -> None:
    """Nobody knows what became of the call: say so, and ask again when the window for evidence ends."""
    policy = outcome_policy(ordered.command, ordered.account.outcome_policy)
    doubt = Doubt(decide_at=at + ordered.window, policy=policy)
    if happen(work, ordered.account, message, Happening.LOST, at=at, base=message.base, doubt=doubt):
        ask_again(work, ordered, message, doubt.decide_at, at)


def ask_again(work: Workset, ordered: Ordered, message: Message, decide_at: datetime, now: datetime) -> None:
    """The wait knows when it may be decided; it holds nobody up."""
    message.wait_no += 1
    work.touch_message(message)
    seconds = next_look(decide_at, now).total_seconds()
    kept = {DECIDE_AT: rfc3339(decide_at)}
    work.deferrals.append(deferral(ordered, message, "reconcile", seconds, queue=None, headers=kept))


def decide_unknown(work: Workset, ordered: Ordered, message: Message, lease_seconds: float) -> Verdict:
    """No status came in the window: repeat or leave it, as the policy says; without evidence wait on."""
    now = work.now or ordered.command.accepted_at
    policy = outcome_policy(ordered.command, ordered.account.outcome_policy)
    verdict = reconcile(policy, ordered.evidence, now, message.not_after)
    if verdict == Reconciled.WAIT:
        ask_again(work, ordered, message, ordered.evidence.decide_at or now + ordered.window, now)
    elif verdict == Reconciled.REPEAT and stop_reason(ordered, message, now) is None:
        return take(work, ordered, message, lease_seconds, as_=Happening.REPEATED)
    else:
        happen(work, ordered.account, message, Happening.LEFT, at=now, base=message.base)
        message.wait_no += 1
    return Verdict(ordered=ordered, reply=present_state(message))


def stop_reason(ordered: Ordered, message: Message, now: datetime) -> tuple[Happening, dict[str, object] | None] | None:
    if message.conversation_id is None:
        return Happening.REFUSED, {"code": "not_found", "title": "There is no such conversation of this account",
                                   "retryable": False, "fault": "caller"}  # fmt: skip
    if message.not_after and message.not_after <= now:
        return Happening.EXPIRED, None
    if ordered.account.status not in SENDABLE:
        return Happening.REFUSED, {"code": "account_paused", "title": "The account is paused or disabled",
                                   "retryable": False, "fault": "caller"}  # fmt: skip
    return None


class Wait(msgspec.Struct, frozen=True):
    reason: str
    seconds: float | None
    queue: str | None


def must_wait(work: Workset, ordered: Ordered, message: Message, now: datetime) -> Wait | None:
    """A schedule holds up nobody; behind an open queue's head everybody of that conversation and lane waits."""
    if message.not_before and message.not_before > now:
        return Wait("not_before", (message.not_before - now) / timedelta(seconds=1), None)
    conversation = work.conversations[message.conversation_id or ""]
    head = conversation.queues.get(ordered.command.lane)
    if head is not None and head != message.id:
        return Wait("behind_head", None, queue_of(ordered.command.lane, conversation.id))
    return None


def put_off(work: Workset, ordered: Ordered, message: Message, wait: Wait) -> None:
    happen(work, ordered.account, message, Happening.DEFERRED, at=ordered.command.accepted_at, base=message.base)
    message.wait_no = ordered.name.n + 1
    work.deferrals.append(deferral(ordered, message, wait.reason, wait.seconds, wait.queue))


def deferral(
    ordered: Ordered, message: Message, reason: str, seconds: float | None, queue: str | None,
    headers: dict[str, str] | None = None,
) -> Deferral:  # fmt: skip
    """The row that gives the command back as record `<base>.<wait_no>`; whoever waited for a reply no longer does."""
    return Deferral(reason=reason, due_in_seconds=seconds, queue=queue, topic=ordered.topic, key=ordered.key,
                    base=message.base, n=message.wait_no, payload=encode_command(ordered.command),
                    headers=headers or {}, subject=message.id)  # fmt: skip
