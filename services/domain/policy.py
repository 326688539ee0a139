"""Rules that are decisions: what becomes of a send whose outcome nobody knows. Pure. Not here: the evidence itself."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from services.domain.message import SendCommand


class OutcomePolicy(StrEnum):
    """AT_MOST_ONCE: rather never than twice. AT_LEAST_ONCE: rather twice than never."""

    AT_MOST_ONCE = "at_most_once"
    AT_LEAST_ONCE = "at_least_once"


class Verdict(StrEnum):
    """What a send of unknown outcome is told when it asks."""

    WAIT = "wait"
    REPEAT = "repeat"
    LEAVE = "leave"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """`decide_at`: the end of the message's window, None when it was not set yet; `complete`: whether every update
    that came before that moment has been handled, wherever it had waited (architecture §2.4)."""

    decide_at: datetime | None = None
    complete: bool = False


LOOK_AGAIN: Final = timedelta(seconds=5)
_RATHER_NEVER: Final = frozenset({"marketing", "otp"})


def outcome_policy(command: SendCommand, of_account: str | None) -> OutcomePolicy:
    """The message's own word, then its account's, then its class: nobody wants an advertisement or a code twice."""
    told = command.outcome_policy or of_account
    if told:
        return OutcomePolicy(told)
    rather_never = command.lane == "urgent" or command.message_class in _RATHER_NEVER
    return OutcomePolicy.AT_MOST_ONCE if rather_never else OutcomePolicy.AT_LEAST_ONCE


def reconcile(policy: OutcomePolicy, evidence: Evidence, now: datetime, not_after: datetime | None) -> Verdict:
    """Decide only on complete evidence; nothing that nobody wants any more is repeated."""
    if evidence.decide_at is None or now < evidence.decide_at or not evidence.complete:
        return Verdict.WAIT
    expired = not_after is not None and not_after <= now
    return Verdict.REPEAT if policy == OutcomePolicy.AT_LEAST_ONCE and not expired else Verdict.LEAVE


def next_look(decide_at: datetime, now: datetime) -> timedelta:
    """Say how long to wait before asking again: to the window's end, then a little each time."""
    return max(decide_at - now, LOOK_AGAIN)
