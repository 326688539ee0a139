"""Kafka cannot be reached while everybody talks, and ingress is killed with a full spool in the middle of it.

What must hold: everything is taken, arrives once, each conversation in its order, and the memory stays flat. Not here:
the talk itself (talk.py), the spool's own promises (tests/unit/streams, tests/integration/test_spool.py).
"""

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Final

from services.devstack import kafka, rooms, status
from services.devstack.demo_bodies import Json
from services.devstack.demo_world import World, until
from services.devstack.procfs import PROC
from services.ledger.books import Facts, balance
from services.ledger.report import pending
from services.runtime import clock, http
from tests.faults.crowd import Crowd
from tests.faults.talk import Words, arrived, disorder, missing, sent_out_of_order, talk
from tests.faults.verdict import FaultError, Figures, Outcome, sent_twice

WHOLE_SECONDS: Final = 600.0
WHOLE_PER_SECOND: Final = 100.0
SHORTEST_SECONDS: Final = 6.0
MOST_GROWTH_MIB: Final = 24.0
"""Between a tenth of a process's life without Kafka and its end: what ten thousands of kept records would exceed."""
DRAIN_SECONDS: Final = 120.0
SETTLE_SECONDS: Final = 240.0
_REPLY_SECONDS: Final = 0.1  # nobody can answer without Kafka: clients that wait would talk less
_SAMPLE_SECONDS: Final = 0.5
_TIMEOUT_SECONDS: Final = 60.0
_STATUSES: Final[Json] = {"sequence": ["sent", "delivered"], "delay_ms": [50, 500], "batch": 20}


@dataclass(frozen=True)
class Plan:
    """How long Kafka is away, and how much is said meanwhile."""

    seconds: float
    per_second: float

    @classmethod
    def scaled(cls, scale: float) -> "Plan":
        """The rate stays what it is: only the time is a share of the whole."""
        return cls(max(SHORTEST_SECONDS, WHOLE_SECONDS * scale), WHOLE_PER_SECOND)


@dataclass
class Seen:
    """What was observed of ingress while Kafka was away; `resident_mib`: of each process, in turn."""

    resident_mib: list[list[float]] = field(default_factory=lambda: [[]])
    peak_records: float = 0.0
    peak_bytes: float = 0.0

    def growth_mib(self) -> float:
        """The worst of the processes: its last size over its size after a tenth of its life."""
        lives = [life for life in self.resident_mib if life]
        return max((life[-1] - life[len(life) // 10] for life in lives), default=0.0)


async def away(crowd: Crowd, plan: Plan, *, seed: int) -> Outcome:
    """Stop Kafka, talk, kill ingress half-way, bring Kafka back, drain, settle; judge."""
    began = clock.monotonic()
    outcome = Outcome("kafka away", seed)
    stage, seen = crowd.stage, Seen()
    await stage.restart("ingress", reply_wait_seconds=_REPLY_SECONDS)
    async with http.session(timeout_seconds=_TIMEOUT_SECONDS, limit=20) as session:
        world = World(crowd.demo, session, stage.topics)
        await world.script(_STATUSES)
        marks = await world.marks()
        await asyncio.to_thread(kafka.stop, stage.stack)
        try:
            spoken = await _talk_without_kafka(crowd, plan, seen, Random(f"kafka away|{seed}"))
        finally:
            await asyncio.to_thread(kafka.start, stage.stack)
        outcome.figures |= await _drained(crowd, outcome.problems, plan)
        outcome.problems += _books(await world.settled(SETTLE_SECONDS + plan.seconds))
        received = await world.arrivals(marks.orchestrator)
        calls = await world.graph_calls(marks.graph)
        await world.script({})
    outcome.figures |= _judge(outcome.problems, spoken, seen, received, calls)
    await stage.restart("ingress")
    outcome.seconds = clock.monotonic() - began
    return outcome


async def _talk_without_kafka(crowd: Crowd, plan: Plan, seen: Seen, dice: Random) -> Words:
    """Every word must be taken, else the talk raises; who is answered nothing (the kill) asks again."""

    async def beside(seconds: float) -> None:
        watching = asyncio.create_task(_watch(crowd, seen))
        await asyncio.sleep(seconds / 2)
        held = _figures(crowd).get("recado_spool_records", 0.0)
        if not held:
            raise FaultError("nothing was in the spool when ingress was to be killed")
        await crowd.stage.kill("ingress")
        seen.resident_mib.append([])
        await crowd.stage.restart("ingress", reply_wait_seconds=_REPLY_SECONDS)
        if _figures(crowd).get("recado_spool_records", 0.0) < held:
            raise FaultError("a killed ingress did not find what it had taken")
        await asyncio.sleep(seconds / 2)
        watching.cancel()
        await asyncio.wait({watching})

    return await talk(crowd, seconds=plan.seconds, per_second=plan.per_second, first=1, dice=dice, beside=beside)


async def _watch(crowd: Crowd, seen: Seen) -> None:
    while True:
        figures = await asyncio.to_thread(_figures, crowd)
        seen.peak_records = max(seen.peak_records, figures.get("recado_spool_records", 0.0))
        seen.peak_bytes = max(seen.peak_bytes, figures.get("recado_spool_bytes", 0.0))
        if size := _resident_mib(crowd):
            seen.resident_mib[-1].append(size)
        await asyncio.sleep(_SAMPLE_SECONDS)


async def _drained(crowd: Crowd, problems: list[str], plan: Plan) -> Figures:
    began = clock.monotonic()

    async def is_empty() -> bool:
        return (await asyncio.to_thread(_figures, crowd)).get("recado_spool_records") == 0.0

    if not await until(is_empty, DRAIN_SECONDS + plan.seconds / 2):
        problems.append(f"the spool still holds {_figures(crowd).get('recado_spool_records')} records")
    return {"drain s": round(clock.monotonic() - began, 1)}


def _books(facts: Facts) -> list[str]:
    books = balance(facts)
    found = [f"{book.name}: {one.problem}: {one.id}" for book in books for one in book.differences]
    return found + ([f"{pending(books)} still under way"] if pending(books) else [])


def _judge(problems: list[str], spoken: Words, seen: Seen, received: list[Json], calls: list[Json]) -> Figures:
    arrivals = arrived(received)
    problems += missing(spoken, arrivals)
    for who in ("user ", "company "):  # one room's events keep their order; between rooms the sequence is the truth
        problems += disorder(spoken, {text: one for text, one in arrivals.items() if text.startswith(who)})
    problems += sent_twice(calls) + sent_out_of_order(calls)
    if seen.growth_mib() > MOST_GROWTH_MIB:
        problems.append(f"ingress grew by {seen.growth_mib():.1f} MiB while Kafka was away")
    return {
        "words": len(spoken),
        "spool peak records": round(seen.peak_records),
        "spool peak MB": round(seen.peak_bytes / 1e6, 1),
        "grew MiB": round(seen.growth_mib(), 1),
    }


def _figures(crowd: Crowd) -> status.Sums:
    """Ingress's metrics; none while it does not run."""
    return status.summed(status._scrape(rooms.copy_port(crowd.stage.stack, "ingress")))


def _resident_mib(crowd: Crowd) -> float:
    known = rooms.known_copy(crowd.stage.stack, f"ingress-{rooms.FIRST}")
    try:
        text = (PROC / str(known.pid if known else 0) / "status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS")), 0.0)
