"""What the outcome of a call means for its message: pure decisions on a Workset. Not here: the call, SQL."""

from datetime import datetime
from typing import Any

import msgspec

from services.domain.delivery import Happening, Status
from services.domain.outcome import adopt_statuses, happen, note_double
from services.domain.retry import RetryPolicy
from services.domain.tenants import Account
from services.domain.workset import IdentityKey, Message, WamidKey, Workset, queue_of
from services.providers.cloud.errors import first_error
from services.providers.contract import NotSent, Refused, SendOutcome, Sent, Unknown
from services.sender.claim import Call, deferral, lose
from services.store.attempts import Outcome
from services.store.worksets import Keys


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A call and what came of it; `at` is our clock at the answer, `lease_ends` a monotonic reading, `ending` whether
    the partition was being taken away."""

    call: Call
    outcome: SendOutcome
    at: datetime
    lease_ends: float
    ending: bool = False


def keys_of(answered: Answered, keys: Keys) -> None:
    keys.messages.add(answered.call.ordered.command.message_id)
    if isinstance(answered.outcome, Sent):
        keys.outbound.add(WamidKey(answered.call.ordered.account.id, "out", answered.outcome.wamid))
        if told := aliases(answered.call, answered.outcome):
            keys.identities.update(told, addressed(answered.call))


def aliases(call: Call, outcome: Sent) -> tuple[IdentityKey, ...]:
    """Names of the recipient that WhatsApp's answer taught: digits may differ from the number that was written to."""
    named = (("wa_id", outcome.wa_id, (call.to.phone or "").lstrip("+")), ("bsuid", outcome.user_id, call.to.user_id))
    return tuple(IdentityKey(kind, told) for kind, told, known in named if told and told != known)


def addressed(call: Call) -> tuple[IdentityKey, ...]:
    """The name that was written to: through it the contact's other names are known before one is added."""
    named = (("wa_id", (call.to.phone or "").lstrip("+")), ("bsuid", call.to.user_id))
    return tuple(IdentityKey(kind, value) for kind, value in named if value)


def settle(work: Workset, answered: Answered, policy: RetryPolicy, *, late: bool) -> Outcome:
    """Apply an outcome under the message's lock; if a status told it already, it only completes its attempt."""
    call, outcome = answered.call, answered.outcome
    message = work.messages[call.ordered.command.message_id]
    announced = len(work.events)
    if isinstance(outcome, Sent):
        accept(work, answered, message, outcome)
    elif message.attempt == call.attempt:
        end(work, answered, message, policy)
    if late and len(work.events) > announced:
        # nobody may be left who publishes what is stored here: the record comes back at once and does (§2.1)
        work.deferrals.append(deferral(call.ordered, message, "republish", 0.0, queue=None))
    return attempt_row(call, outcome)


def accept(work: Workset, answered: Answered, message: Message, outcome: Sent) -> None:
    """WhatsApp gave an id: link it, and apply the statuses that came before our own answer."""
    account, base = answered.call.ordered.account, message.base
    key = WamidKey(account.id, "out", outcome.wamid)
    link = work.wamids[key]
    attempt = answered.call.attempt
    if link.message_id is None:
        note_double(work, account, message, outcome.wamid, attempt=attempt, at=answered.at, base=base)
    if message.attempt == attempt or message.wamid is None:
        message.wamid = outcome.wamid
        work.touch_message(message)
    happen(work, account, message, Happening.ANSWERED, at=answered.at, base=base)
    learn_aliases(work, message, aliases(answered.call, outcome))
    if link.message_id is not None:
        return
    link.message_id, link.attempt = message.id, attempt
    work.changed_wamids.add(key)
    adopt_statuses(work, account, key, message, base=base, at=answered.at, error_of=first_error)


def learn_aliases(work: Workset, message: Message, names: tuple[IdentityKey, ...]) -> None:
    """A name that is nobody's yet becomes the contact's; one that is somebody's stays where it is.

    A second BSUID is never added: the number has changed hands, and its new owner is met when he writes.
    """
    conversation = work.conversations.get(message.conversation_id or "")
    for key in names:
        if conversation is None or (key.kind == "bsuid" and work.has_name(conversation.contact_id, "bsuid")):
            continue
        if work.identities.get(key) is None:
            work.identities[key] = conversation.contact_id
            work.linked.add(key)


def end(work: Workset, answered: Answered, message: Message, policy: RetryPolicy) -> None:
    """Refused, known not sent, or unknown: each has its one consequence."""
    account, outcome = answered.call.ordered.account, answered.outcome
    if isinstance(outcome, Unknown):
        lose(work, answered.call.ordered, message, answered.at)
    elif isinstance(outcome, Refused):
        fail(work, account, message, answered.at, outcome.as_error())
    elif isinstance(outcome, NotSent) and message.state == Status.SENDING:
        wait_or_fail(work, answered, message, policy, outcome)


def wait_or_fail(work: Workset, answered: Answered, message: Message, policy: RetryPolicy, outcome: NotSent) -> None:
    """Known not sent: wait at the head of the conversation's queue, at most so often, then fail."""
    wait = policy.wait(message.retries)
    if wait is None:
        fail(work, answered.call.ordered.account, message, answered.at, gave_up(outcome))
        return
    ordered = answered.call.ordered
    happen(work, ordered.account, message, Happening.DEFERRED, at=answered.at, base=message.base)
    message.retries += 1
    message.wait_no += 1
    seconds = max(wait.total_seconds(), outcome.retry_after_seconds or 0.0)
    conversation = work.conversations[message.conversation_id or ""]
    lane = ordered.command.lane
    queue = queue_of(lane, conversation.id)
    if conversation.queues.get(lane) not in {None, message.id}:
        work.deferrals.append(deferral(ordered, message, "behind_head", None, queue))
        return
    conversation.queues = conversation.queues | {lane: message.id}
    work.touch_conversation(conversation)
    work.deferrals.append(deferral(ordered, message, "retry", seconds, queue))


def fail(work: Workset, account: Account, message: Message, at: datetime, error: dict[str, Any]) -> None:
    happen(work, account, message, Happening.REFUSED, at=at, base=message.base, error=error)


def gave_up(outcome: NotSent) -> dict[str, Any]:
    return {"code": "whatsapp_unavailable", "title": "WhatsApp did not take the message",
            "details": f"given up after the last wait: {outcome.reason}", "retryable": True,
            "fault": "whatsapp"}  # fmt: skip


def attempt_row(call: Call, outcome: SendOutcome) -> Outcome:
    message_id, attempt = call.ordered.command.message_id, call.attempt
    if isinstance(outcome, Sent):
        return Outcome(message_id=message_id, attempt=attempt, outcome="sent", wamid=outcome.wamid)
    if isinstance(outcome, Refused):
        return Outcome(
            message_id=message_id, attempt=attempt, outcome="refused", code=outcome.code, detail=outcome.meta
        )
    kind = "not_sent" if isinstance(outcome, NotSent) else "unknown"
    return Outcome(message_id=message_id, attempt=attempt, outcome=kind, code=outcome.reason)
