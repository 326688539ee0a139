"""Message states and moves: one total table. Rule: what is legal, late or illegal for a message is decided only here.

    QUEUED ── claim ──▶ SENDING ── answer ──▶ SENT ──▶ DELIVERED ──▶ READ ──▶ PLAYED
       │                 │   └── outcome lost ──▶ UNKNOWN ── a status, or the policy, settles it
       └── defer ──▶ WAITING ── claim ──▶ SENDING      FAILED, EXPIRED, CANCELLED end it

What WhatsApp reports is evidence and wins over what we believed; states never go backwards, late news is kept on the
timeline and not announced (architecture §2.3).
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple


class Status(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    WAITING = "waiting"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    PLAYED = "played"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class Happening(StrEnum):
    """What can happen to an outbound message."""

    CLAIMED = "claimed"
    DEFERRED = "deferred"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    ANSWERED = "answered"  # WhatsApp's HTTP answer carried an id
    REFUSED = "refused"  # WhatsApp's answer was a refusal, or ours before the call
    LOST = "lost"  # the request left and no answer tells what became of it
    REPEATED = "repeated"  # the policy for unknown outcomes says to send once more
    LEFT = "left"  # it says never to send twice, so the message stays unknown
    SAW_SENT = "saw_sent"  # the SAW_* are status webhooks
    SAW_DELIVERED = "saw_delivered"
    SAW_READ = "saw_read"
    SAW_PLAYED = "saw_played"
    SAW_FAILED = "saw_failed"


class Move(NamedTuple):
    status: Status
    announce: tuple[str, ...]  # event types, in order


class IllegalMoveError(Exception):
    """A caller asked for what can never happen: a bug, not traffic."""


_BEFORE_SENT: Final = (Status.QUEUED, Status.SENDING, Status.WAITING, Status.EXPIRED, Status.CANCELLED)
_S, _H = Status, Happening
_RESOLVED: Final = "message_resolved"


def _evidence(happening: Happening, to: Status, announce: str, past_sent: tuple[Status, ...]) -> dict[
    tuple[Status, Happening], Move
]:  # fmt: skip
    """A status webhook: from before SENT it implies `message_sent`, from the later states it stands alone."""
    implied = {(state, happening): Move(to, ("message_sent", announce)) for state in _BEFORE_SENT}
    implied[_S.UNKNOWN, happening] = Move(to, (_RESOLVED, "message_sent", announce))
    return implied | {(state, happening): Move(to, (announce,)) for state in past_sent}


MOVES: Final = MappingProxyType(
    {
        (_S.QUEUED, _H.CLAIMED): Move(_S.SENDING, ()),
        (_S.WAITING, _H.CLAIMED): Move(_S.SENDING, ()),
        (_S.QUEUED, _H.DEFERRED): Move(_S.WAITING, ()),
        (_S.WAITING, _H.DEFERRED): Move(_S.WAITING, ()),
        (_S.SENDING, _H.DEFERRED): Move(_S.WAITING, ()),
        (_S.QUEUED, _H.EXPIRED): Move(_S.EXPIRED, ("message_expired",)),
        (_S.WAITING, _H.EXPIRED): Move(_S.EXPIRED, ("message_expired",)),
        (_S.QUEUED, _H.CANCELLED): Move(_S.CANCELLED, ("message_cancelled",)),
        (_S.WAITING, _H.CANCELLED): Move(_S.CANCELLED, ("message_cancelled",)),
        (_S.SENDING, _H.ANSWERED): Move(_S.SENT, ("message_sent",)),
        (_S.UNKNOWN, _H.ANSWERED): Move(_S.SENT, (_RESOLVED, "message_sent")),
        (_S.UNKNOWN, _H.REPEATED): Move(_S.SENDING, (_RESOLVED,)),
        (_S.UNKNOWN, _H.LEFT): Move(_S.UNKNOWN, (_RESOLVED,)),
        (_S.UNKNOWN, _H.SAW_SENT): Move(_S.SENT, (_RESOLVED, "message_sent")),
        (_S.UNKNOWN, _H.SAW_FAILED): Move(_S.FAILED, (_RESOLVED, "message_failed")),
        (_S.QUEUED, _H.REFUSED): Move(_S.FAILED, ("message_failed",)),
        (_S.WAITING, _H.REFUSED): Move(_S.FAILED, ("message_failed",)),
        (_S.SENDING, _H.REFUSED): Move(_S.FAILED, ("message_failed",)),
        (_S.SENDING, _H.LOST): Move(_S.UNKNOWN, ("message_unknown",)),
        **{(state, _H.SAW_SENT): Move(_S.SENT, ("message_sent",)) for state in _BEFORE_SENT},
        **{(state, _H.SAW_FAILED): Move(_S.FAILED, ("message_failed",)) for state in (*_BEFORE_SENT, _S.SENT)},
        # a delivery after a failure has been seen: several devices, one of them failed (facts §1.9)
        **_evidence(_H.SAW_DELIVERED, _S.DELIVERED, "message_delivered", (_S.SENT, _S.FAILED)),
        **_evidence(_H.SAW_READ, _S.READ, "message_read", (_S.SENT, _S.DELIVERED, _S.FAILED)),
        **_evidence(_H.SAW_PLAYED, _S.PLAYED, "message_played", (_S.SENT, _S.DELIVERED, _S.READ, _S.FAILED)),
    }
)

LATE: Final = frozenset(
    {
        *((state, _H.SAW_SENT) for state in (_S.SENT, _S.DELIVERED, _S.READ, _S.PLAYED, _S.FAILED)),
        *((state, _H.SAW_DELIVERED) for state in (_S.DELIVERED, _S.READ, _S.PLAYED)),
        *((state, _H.SAW_READ) for state in (_S.READ, _S.PLAYED)),
        (_S.PLAYED, _H.SAW_PLAYED),
        *((state, _H.SAW_FAILED) for state in (_S.DELIVERED, _S.READ, _S.PLAYED, _S.FAILED)),
        # the answer of a call whose fate a status has told already only completes its attempt
        *(
            (state, happening)
            for state in (_S.SENT, _S.DELIVERED, _S.READ, _S.PLAYED, _S.FAILED)
            for happening in (_H.ANSWERED, _H.REFUSED, _H.LOST)
        ),
        # a lost or refused answer adds nothing to what is unknown already
        (_S.UNKNOWN, _H.LOST),
        (_S.UNKNOWN, _H.REFUSED),
    }
)

ILLEGAL: Final = frozenset((state, happening) for state in Status for happening in Happening) - set(MOVES) - LATE

SAW: Final = MappingProxyType(
    {
        "sent": _H.SAW_SENT,
        "delivered": _H.SAW_DELIVERED,
        "read": _H.SAW_READ,
        "played": _H.SAW_PLAYED,
        "failed": _H.SAW_FAILED,
    }
)
"""Meta's status word → what happened. Words that are not here are kept and not applied (facts §1.9)."""

ENDED: Final = frozenset({_S.FAILED, _S.EXPIRED, _S.CANCELLED})
SETTLED: Final = frozenset(Status) - {_S.QUEUED, _S.SENDING, _S.WAITING}
"""States in which a message no longer holds up its queue (UNKNOWN holds nobody up, §2.5)."""


def advance(status: Status, happening: Happening) -> Move | None:
    """Return the move, None when the news is late; raise IllegalMoveError for what cannot happen."""
    if move := MOVES.get((status, happening)):
        return move
    if (status, happening) in LATE:
        return None
    raise IllegalMoveError(f"{happening} cannot happen to a message that is {status}")
