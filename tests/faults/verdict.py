"""One demonstration while something happens to the stack, and everything that speaks against it afterwards.

Three judges that know nothing of each other: the ledger with the demonstration's own checks, the independent reference
model, and a plain reading of every occurrence of every event. Not here: what happens (crash.py, outage.py, …).
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.devstack import demo, demo_report
from services.devstack.demo_bodies import Json
from services.devstack.demo_post import ImpatientError
from services.devstack.demo_report import Evidence, Report
from services.devstack.stack import StackError
from services.domain.errors import DependencyAwayError
from services.runtime import clock
from services.streams.topics import TopicName
from tests.faults import occurrences
from tests.faults.stage import Stage
from tests.reference.actual import disagreements, read_actual
from tests.reference.model import read_evidence

EVENT_TOPICS: Final = (TopicName.EVENT_MESSAGE, TopicName.EVENT_ACCOUNT)
PATIENCE_SECONDS: Final = 120.0
"""How long one call is repeated, and how long everything may take to settle."""
SHORT_PATIENCE_SECONDS: Final = 45.0
"""The same where little is sent: a test that fails shall say why before its time is over."""

FEW_MESSAGES: Final = 100

Figures = dict[str, str | int | float]


class FaultError(Exception):
    """What should have happened to the stack did not: a fault bench that hurts nobody proves nothing."""


@dataclass
class Outcome:
    """How one case ended; `problems` is empty when nothing speaks against it."""

    name: str
    seed: int = 0
    seconds: float = 0.0
    figures: Figures = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    report: str = ""
    """The demonstration's own report, for whoever has to find the cause."""


@dataclass
class Moments:
    """When things may happen: `begun` is set when the first webhooks go out, `midway` when half of them are out."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    midway: asyncio.Event = field(default_factory=asyncio.Event)


Trouble = Callable[[Moments], Awaitable[Figures]]
"""Hurts the stack and brings back what it hurt. Raises FaultError when that did not come about."""


async def demonstrated(stage: Stage, name: str, *, seed: int, messages: int, trouble: Trouble) -> Outcome:
    """Run the demonstration with this trouble beside it, and ask all judges."""
    began = clock.monotonic()
    outcome = Outcome(name, seed)
    try:
        report, figures = await _beside(stage, seed, messages, trouble)
    except* (ImpatientError, DependencyAwayError, StackError, FaultError) as group:
        outcome.problems += [f"{type(error).__name__}: {error}" for error in _leaves(group)]
    else:
        outcome.figures |= figures | await judge(stage, report, outcome)
    outcome.seconds = clock.monotonic() - began
    return outcome


async def _beside(stage: Stage, seed: int, messages: int, trouble: Trouble) -> tuple[Report, Figures]:
    moments = Moments()
    async with asyncio.TaskGroup() as both:
        hurting = both.create_task(_carried_out(trouble, moments))

        async def half_is_out() -> None:
            """The webhooks that come again come after the trouble."""
            moments.midway.set()
            await asyncio.wait({hurting})

        report = await demo.demonstrate(
            stage.demo, seed=seed, messages=messages, restart=half_is_out, patience_seconds=patience_for(messages),
            topics=stage.topics, say_so=lambda _: moments.begun.set(),  # what it says first is what it will send
        )  # fmt: skip
    return report, hurting.result()


def patience_for(messages: int) -> float:
    return SHORT_PATIENCE_SECONDS if messages < FEW_MESSAGES else PATIENCE_SECONDS


async def _carried_out(trouble: Trouble, moments: Moments) -> Figures:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await trouble(moments)
    except TimeoutError:
        raise FaultError(f"the trouble did not come about within {PATIENCE_SECONDS:.0f} s") from None


async def judge(stage: Stage, report: Report, outcome: Outcome) -> Figures:
    """Add what speaks against a demonstration to the outcome; return what was counted."""
    outcome.report = demo_report.text(report)
    for verdict in (*report.checks, *report.provocations):
        outcome.problems += [f"{verdict.claim}: {wrong}" for wrong in verdict.wrong]
    for book in report.books:
        outcome.problems += [f"{book.name}: {one.problem}: {one.id}" for one in book.differences]
        if book.pending:
            outcome.problems.append(f"{book.name}: {book.pending} still under way")
    actual = read_actual(stage.demo, report.evidence)
    outcome.problems += disagreements(read_evidence(stage.demo, report.evidence), actual)
    outcome.problems += sent_twice(report.evidence.graph_calls)
    partitions = {stage.topics.full(topic): stage.topics.partitions(topic) for topic in EVENT_TOPICS}
    kafka = await occurrences.on_kafka(stage.demo["kafka"], partitions)
    companies = occurrences.at_the_companies(report.evidence.arrivals)
    outcome.problems += occurrences.unlike(kafka, companies)
    fresh = {event: said for event, said in kafka.items() if event not in report.evidence.stored_before}
    return {
        "webhooks": len(report.evidence.posted),
        "commands": len(report.evidence.answered),
        "repeated": sum(_tries(report.evidence)),
        "events": len(fresh),
        "said again": occurrences.repeated(fresh),
        "pushed again": occurrences.repeated(companies),
        "were unknown": sum(events["message_unknown"] for events in actual.pushed.values()) - 1,  # a provocation's
        "stayed unknown": sum(actual.outbound.get(one.message_id) == "unknown" for one in report.evidence.answered),
    }


def sent_twice(graph_calls: Sequence[Json]) -> list[str]:
    """Messages that WhatsApp took more than once: a send whose outcome is not known is never blindly repeated."""
    taken: Counter[str] = Counter()
    for call in graph_calls:
        callback = json.loads(call["body"]).get("biz_opaque_callback_data", "")
        if callback.startswith("r1.") and "messages" in json.loads(call["answer"]["body"] or "{}"):
            taken[callback.split(".")[1]] += 1
    return [f"{message}: WhatsApp took it {times} times" for message, times in taken.items() if times > 1]


def _tries(evidence: Evidence) -> list[int]:
    return [*(one.tries for one in evidence.posted), *(one.tries for one in evidence.answered)]


def _leaves(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    found: list[Exception] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
