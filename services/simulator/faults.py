"""Scripted faults: which call one strikes (pure) and what then happens to the call. Not here: sockets.

`*_after` kinds do the work first: the call counts, the caller never learns. All others but `delay` do no work.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import msgspec

from services.simulator.calls import Answer

Kind = Literal["status", "delay", "reset_before", "reset_after", "timeout_after", "hang", "garbage"]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Manner = Literal["send", "reset", "hold"]

# A reader that trusts the 200 fails on the first byte; the rest is neither JSON nor UTF-8
GARBAGE = b'\x00\xff\xfe<html>{"messages":[{"id":'


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Both are parts of the whole; an empty one matches every call."""

    path: str = ""
    body_contains: str = ""


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`seconds`: how long `delay` waits, or how long `hang` and `timeout_after` hold the line (0: until the caller
    leaves). `body`: what `status` answers, an object as JSON and a text as it stands; default `{}`."""

    kind: Kind
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 500
    body: Any = None
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`times`: how many calls it strikes; absent: until it is deleted."""

    action: Action
    match: Match = Match()
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    probability: Share = 1.0


class Armed(msgspec.Struct):
    """A fault with a name and what is left of it."""

    id: str
    fault: Fault
    left: int | None
    struck: int = 0


class Ending(msgspec.Struct, frozen=True):
    """How a call ends; `answer` is what the work came to, also when the caller never learns it."""

    manner: Manner
    answer: Answer | None
    seconds: float = 0


def hits(match: Match, path: str, body: bytes) -> bool:
    return match.path in path and match.body_contains.encode() in body


class Faults:
    """The faults in force, the oldest first; the first that hits a call strikes it."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._armed: dict[str, Armed] = {}
        self._count = 0

    def arm(self, fault: Fault) -> str:
        self._count += 1
        name = f"fault_{self._count}"
        self._armed[name] = Armed(name, fault, fault.times)
        return name

    def disarm(self, name: str | None = None) -> int:
        """Remove one fault or all of them; return how many were in force."""
        names = list(self._armed) if name is None else [name]
        return sum(self._armed.pop(each, None) is not None for each in names)

    def strike(self, path: str, body: bytes) -> Action | None:
        """What befalls this call, if anything; uses up one time of the fault."""
        for armed in self._armed.values():
            if hits(armed.fault.match, path, body) and self._chance() < armed.fault.probability:
                self._use(armed)
                return armed.fault.action
        return None

    def _use(self, armed: Armed) -> None:
        armed.struck += 1
        if armed.left is not None:
            armed.left -= 1
            if armed.left == 0:
                del self._armed[armed.id]

    def shown(self) -> list[dict[str, Any]]:
        return [
            {"id": armed.id, "left": armed.left, "struck": armed.struck, **msgspec.to_builtins(armed.fault)}
            for armed in self._armed.values()
        ]


async def suffer(action: Action, work: Callable[[], Awaitable[Answer]]) -> Ending:
    """Carry out a fault up to the point where the connection is needed."""
    match action.kind:
        case "delay":
            await asyncio.sleep(action.seconds)
            return Ending("send", await work())
        case "reset_after":
            return Ending("reset", await work())
        case "timeout_after":
            return Ending("hold", await work(), action.seconds)
        case "reset_before":
            return Ending("reset", None)
        case "hang":
            return Ending("hold", None, action.seconds)
        case "garbage":
            return Ending("send", Answer(200, GARBAGE))
        case "status":
            return Ending("send", _scripted(action))


def _scripted(action: Action) -> Answer:
    if isinstance(action.body, str):
        return Answer(action.status, action.body.encode(), b"text/plain; charset=utf-8")
    return Answer(action.status, msgspec.json.encode({} if action.body is None else action.body))
