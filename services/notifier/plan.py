"""What is to be done with a push, and what its outcome means: pure decisions. Not here: HTTP, SQL, clocks, chance.

look ── settled ──────────────────▶ PASS, so that its queue goes on if it stands at the head
 │ ─── queue open, it is the head ─▶ ATTEMPT when the queue gave it back, else PASS: its wait is stored
 │ ─── queue open, another heads it ▶ APPEND
 └─── no queue ────────────────────▶ ATTEMPT ─▶ acknowledged, gone: settled · failed: waits at the head, or dead

An event ends as acknowledged, dead (the schedule is through) or gone (410, or no such endpoint any more).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Final, Literal

import msgspec

from services.domain.retry import scheduled_wait
from services.domain.workset import Deferral
from services.store.deliveries import Change, Delivery, PushKey, Seen
from services.streams.topics import TopicName

RETRY: Final = "push_retry"
NO_SLOT: Final = "push_slot"
PAUSED: Final = "push_paused"
BEHIND: Final = "push_behind"
RETRY_AFTER_MOST: Final = timedelta(hours=1)
NO_SLOT_WAIT: Final = timedelta(seconds=1)
PAUSED_WAIT: Final = timedelta(minutes=1)
_GONE: Final = 410


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way to one endpoint. `n` is its record's; `returned`: it comes back from a wait."""

    key: PushKey
    n: int
    returned: bool
    kind: str
    body: bytes


class Step(Enum):
    ATTEMPT = auto()
    APPEND = auto()
    PASS = auto()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a POST. `detail` is a word of ours, never text of the receiver."""

    verdict: Literal["acknowledged", "failed", "gone"]
    status: int | None = None
    detail: str | None = None
    retry_after: timedelta | None = None


class Put(msgspec.Struct, frozen=True):
    """Put away without an attempt, at the head of its queue for `wait`, or behind the head (`wait` None)."""

    reason: str
    wait: timedelta | None


class Passed(msgspec.Struct, frozen=True):
    """Nothing to do but to see that its queue goes on."""


Result = Answer | Put | Passed
APPENDED: Final = Put(BEHIND, None)


def decide(push: Push, seen: Seen) -> Step:
    if seen.ended is not None:
        return Step.PASS
    if seen.head is None:
        return Step.ATTEMPT
    if seen.head != push.key.event_id:
        return Step.APPEND
    # a lower n is stale: the later wait is stored, and comes
    return Step.ATTEMPT if push.returned and push.n >= seen.tries else Step.PASS


def buried_here(push: Push, seen: Seen) -> bool:
    """Whether this very record's attempt was the last: a redo sets it aside again, the first may not have got out."""
    return seen.ended in {"dead", "gone"} and push.n == seen.tries - 1


def judge(status: int, retry_after: timedelta | None = None) -> Answer:
    """Read an HTTP status. Redirects are not followed; what a receiver refuses is tried again, so nothing is lost."""
    if 200 <= status < 300:  # noqa: PLR2004 - the class of success
        return Answer(verdict="acknowledged", status=status)
    if status == _GONE:
        return Answer(verdict="gone", status=status, detail="gone")
    return Answer(verdict="failed", status=status, detail=f"{status // 100}xx", retry_after=retry_after)


def read_retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Read Retry-After, seconds or a date; None when it says nothing usable. Never more than an hour."""
    if text is None:
        return None
    if text.strip().isdecimal():
        seconds = float(text)
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return timedelta(seconds=min(max(seconds, 0.0), RETRY_AFTER_MOST.total_seconds()))


def opens(result: Result) -> bool:
    """Whether the result may leave its event waiting at the head of a queue."""
    return (isinstance(result, Answer) and result.verdict == "failed") or (
        isinstance(result, Put) and result.wait is not None
    )


def try_again(result: Result, seen: Seen) -> bool:
    """Whether the queue behind which it was to wait is gone meanwhile."""
    return result == APPENDED and seen.head is None and seen.ended is None


def conclude(push: Push, result: Result, seen: Seen, schedule: Sequence[timedelta], jitter: float) -> Change:
    """Say what is to be written, under the queue's lock. `jitter` is in [-1, 1]."""
    if isinstance(result, Answer):
        return _tried(push, result, seen, schedule, jitter)
    if seen.ended is not None:
        return _settled(push, seen, None)
    if isinstance(result, Put) and not (result.wait is None and seen.head in {None, push.key.event_id}):
        return Change(key=push.key, deferral=_wait(push, result.reason, result.wait, seen.tries, seen))
    return Change(key=push.key)


def _tried(push: Push, answer: Answer, seen: Seen, schedule: Sequence[timedelta], jitter: float) -> Change:
    if answer.verdict != "failed" or seen.ended is not None:
        return _settled(push, seen, _delivery(answer, seen, answer.verdict))
    wait = scheduled_wait(tuple(schedule), seen.tries + 1, jitter)
    if wait is None:
        return _settled(push, seen, _delivery(answer, seen, "dead"))
    wait = max(wait, answer.retry_after or timedelta())
    return Change(key=push.key, delivery=_delivery(answer, seen, "failed"),
                  deferral=_wait(push, RETRY, wait, seen.tries + 1, seen))  # fmt: skip


def _delivery(answer: Answer, seen: Seen, outcome: str) -> Delivery:
    return Delivery(seen.tries, outcome, answer.status, answer.detail)


def _settled(push: Push, seen: Seen, delivery: Delivery | None) -> Change:
    """It is over for this event; if it headed its queue the next one is due, or the queue is closed."""
    if seen.head != push.key.event_id:
        return Change(key=push.key, delivery=delivery)
    if seen.first is None:
        return Change(key=push.key, delivery=delivery, closed=True)
    return Change(key=push.key, delivery=delivery, head=seen.first.event_id, due=seen.first.row_id)


def _wait(push: Push, reason: str, wait: timedelta | None, n: int, seen: Seen) -> Deferral:
    """The row that gives the push back as record `<event id>.<n>`; only the queue's head has a due time."""
    key = push.key
    if seen.head != key.event_id:
        reason, wait = BEHIND, None
    return Deferral(reason=reason, due_in_seconds=wait.total_seconds() if wait is not None else None, queue=key.queue,
                    topic=TopicName.NOTIFY_DUE, key=key.queue, base=key.event_id, n=n, payload=push.body,
                    headers={"endpoint": key.endpoint, "tenant": str(key.tenant), "ce_type": push.kind})  # fmt: skip
