"""Answers that are lost while what would tell lies in lag, under both policies: what WhatsApp took is not sent again.

The normaliser stands still until every window is over by the clock; only then may the statuses be read. Not here: whole
demonstrations (verdict.py).
"""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from services.devstack.demo_bodies import Json, Line
from services.devstack.demo_post import Client
from services.devstack.demo_traffic import Command, lines_of
from services.devstack.demo_world import World, until
from services.domain.policy import OutcomePolicy
from services.runtime import clock, http
from services.streams.progress import SLACK
from tests.faults.stage import Stage
from tests.faults.verdict import FaultError, Figures, Outcome

WINDOW_SECONDS: Final = 5.0
IN_LAG_SECONDS: Final = WINDOW_SECONDS + SLACK.total_seconds() + 5.0
SETTLE_SECONDS: Final = 90.0
_TIMEOUT_SECONDS: Final = 30.0
_TAKEN: Final = frozenset({201, 202})
_STATUSES: Final[Json] = {"sequence": ["sent", "delivered", "read"], "delay_ms": [50, 500]}
TAKEN, NEVER = "reset_after", "reset_before"
"""The two ends of a lost answer: WhatsApp took the message, or never saw it. Nobody can tell them apart at once."""


@dataclass(frozen=True)
class Lost:
    """One command whose answer is lost, and what is to become of it."""

    line: Line
    policy: OutcomePolicy
    fate: str
    text: str

    def __str__(self) -> str:
        return f"`{self.text}` ({self.policy}, {self.fate})"

    @property
    def calls(self) -> int:
        """How often WhatsApp is called: again only for what it never saw, and only where that is wanted."""
        return 2 if self.fate == NEVER and self.policy == OutcomePolicy.AT_LEAST_ONCE else 1

    @property
    def said(self) -> list[str]:
        """Its events, in order; a resolution with its outcome."""
        end = ["message_sent", "message_delivered", "message_read"]
        if self.fate == TAKEN:
            return ["message_unknown", "message_resolved: ?", *end]
        if self.policy == OutcomePolicy.AT_MOST_ONCE:
            return ["message_unknown", "message_resolved: not_repeated"]
        return ["message_unknown", "message_resolved: repeated", *end]


async def lost_answers(stage: Stage, *, seed: int, messages: int) -> Outcome:
    """Send, lose every answer, let the windows pass with the statuses unread, then read them; judge."""
    began = clock.monotonic()
    outcome = Outcome("unknown outcomes with statuses in lag", seed)
    lost = drawn(stage, Random(f"unknown|{seed}"), messages)
    await stage.restart("sender", send_reconcile_seconds=WINDOW_SECONDS)
    async with http.session(timeout_seconds=_TIMEOUT_SECONDS, limit=20) as session:
        world = World(stage.demo, session, stage.topics)
        await world.register()
        await world.script(_STATUSES)
        marks = await world.marks()
        await stage.stop("normaliser")
        try:
            ids = await send_all(world, Client(stage.demo, session, patience_seconds=_TIMEOUT_SECONDS, seed=1), lost)
            await asyncio.sleep(IN_LAG_SECONDS)
            outcome.problems += repeated_too_early(lost, ids, await world.graph_calls(marks.graph))
        finally:
            await stage.restart("normaliser")

        async def told() -> bool:
            return not differing(lost, ids, await world.arrivals(marks.orchestrator))

        await until(told, SETTLE_SECONDS)
        outcome.problems += differing(lost, ids, await world.arrivals(marks.orchestrator))
        outcome.figures |= judge_calls(outcome.problems, lost, ids, await world.graph_calls(marks.graph))
    await stage.restart("sender")
    outcome.seconds = clock.monotonic() - began
    return outcome


def drawn(stage: Stage, dice: Random, messages: int) -> list[Lost]:
    lines = lines_of(stage.demo)
    run = f"{dice.getrandbits(30):x}-{int(clock.now().timestamp()):x}"
    kinds = [(policy, fate) for policy in OutcomePolicy for fate in (TAKEN, NEVER)]
    return [
        Lost(dice.choice(lines), *kinds[n % len(kinds)], f"lost-{run}-{n}.") for n in range(max(messages, len(kinds)))
    ]


async def send_all(world: World, client: Client, lost: Sequence[Lost]) -> dict[str, Lost]:
    """Arm each one's fault, send it; return them by message id."""
    ids = {}
    for n, one in enumerate(lost):
        await world.fault(one.text, one.fate)
        body = {"account_id": one.line.account_id, "phone_number": f"+5939880{n:05d}", "type": "text",
                "content": one.text, "outcome_policy": str(one.policy)}  # fmt: skip
        answered = await client.send(Command(company_id=one.line.company_id, key=one.text, body=body))
        if answered.status not in _TAKEN:
            raise FaultError(f"{one} was refused: {answered.status} {answered.answer}")
        ids[answered.message_id] = one
    return ids


def calls_of(graph_calls: Sequence[Json]) -> Counter[str]:
    """Calls for each message, by the id that travels with it."""
    found: Counter[str] = Counter()
    for call in graph_calls:
        callback = json.loads(call["body"]).get("biz_opaque_callback_data", "")
        if callback.startswith("r1."):
            found[callback.split(".")[1]] += 1
    return found


def repeated_too_early(lost: Sequence[Lost], ids: dict[str, Lost], graph_calls: Sequence[Json]) -> list[str]:
    calls = calls_of(graph_calls)
    wrong = [f"`{one.text}` was sent {calls[name]} times while statuses were unread" for name, one in ids.items()
             if calls[name] != 1]  # fmt: skip
    return wrong + ([] if len(ids) == len(lost) else [f"{len(lost)} commands have {len(ids)} ids"])


def said_of(arrivals: Sequence[Json], ids: dict[str, Lost]) -> dict[str, list[str]]:
    """The events of each message in their order, each once."""
    found: dict[str, dict[str, tuple[int, str]]] = {name: {} for name in ids}
    for call in arrivals:
        event: dict[str, Any] = json.loads(call["body"])
        data = event["data"]
        if data.get("message_id") not in found:
            continue
        word = event["event_type"]
        if word == "message_resolved":
            seen = data["outcome"] in {"sent", "delivered", "read"}
            word += ": ?" if seen else f": {data['outcome']}"
        found[data["message_id"]][event["event_id"]] = (event["sequence"], word)
    return {name: [word for _, word in sorted(events.values())] for name, events in found.items()}


def differing(lost: Sequence[Lost], ids: dict[str, Lost], arrivals: Sequence[Json]) -> list[str]:
    said = said_of(arrivals, ids)
    return [f"{one}: {' → '.join(said[name]) or 'nothing'}" for name, one in ids.items() if said[name] != one.said]


def judge_calls(
    problems: list[str], lost: Sequence[Lost], ids: dict[str, Lost], graph_calls: Sequence[Json]
) -> Figures:
    calls = calls_of(graph_calls)
    problems += [f"{one}: {calls[name]} calls" for name, one in ids.items() if calls[name] != one.calls]
    return {
        "were unknown": len(lost),
        "taken by WhatsApp": sum(one.fate == TAKEN for one in lost),
        "repeated": sum(calls[name] > 1 for name in ids),
        "doubled": sum(calls[name] > 1 and one.fate == TAKEN for name, one in ids.items()),
        "lag s": IN_LAG_SECONDS,
    }
