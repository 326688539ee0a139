"""Everything that may be wrong with somebody else, all at once, while everybody talks (what exactly: disturbance.py).

What must hold: everybody else's events flow, each conversation keeps its order, and in the end nothing is lost.
"""

from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final

from services.devstack.demo_bodies import Json
from services.devstack.demo_world import World
from services.ledger.books import balance
from services.runtime import clock, http
from tests.faults import disturbance
from tests.faults.crowd import Crowd, path_of
from tests.faults.disturbance import Victims
from tests.faults.talk import Words, arrived, disorder, missing, quantile, seconds_of, sent_out_of_order, talk
from tests.faults.verdict import Figures, Outcome

SETTLE_SECONDS: Final = 240.0
GOAL_SECONDS: Final = 1.0
"""What the p99 of everybody else is to stay below. Reported; whether it counts is up to whoever reads the figures."""
_IN_TROUBLE: Final = 100_000  # number of the first word said in trouble
_AFTERWARDS: Final = 200_000
_TIMEOUT_SECONDS: Final = 60.0
_STATUSES: Final[Json] = {"sequence": ["sent", "delivered", "read"], "delay_ms": [50, 500], "batch": 20}


@dataclass(frozen=True)
class Plan:
    """How long everybody talks: in quiet, with all troubles, and (as long as in quiet) when they are over, so that new
    words meet old ones that still wait. And how long a hanging endpoint hangs."""

    quiet_seconds: float
    trouble_seconds: float
    hang_seconds: float
    per_second: float

    def scaled(self, scale: float) -> "Plan":
        """Return the same for a share of the time; what must be long enough to be seen stays so."""
        longer = max(scale, 0.1)
        return Plan(self.quiet_seconds * longer, self.trouble_seconds * longer, self.hang_seconds * min(longer, 1.0),
                    self.per_second)  # fmt: skip


WHOLE: Final = Plan(quiet_seconds=20.0, trouble_seconds=60.0, hang_seconds=15.0, per_second=40.0)
SMOKE: Final = Plan(quiet_seconds=4.0, trouble_seconds=8.0, hang_seconds=3.0, per_second=25.0)


async def isolated(crowd: Crowd, plan: Plan, *, seed: int) -> Outcome:
    """Forty in one poll; talk in quiet, in trouble and afterwards; let it settle; judge."""
    began = clock.monotonic()
    dice = Random(f"isolation|{seed}")
    victims = Victims(*dice.sample([line.company_id for line in crowd.lines], k=4))
    outcome = Outcome("isolation", seed)
    async with http.session(timeout_seconds=_TIMEOUT_SECONDS, limit=20) as session:
        world = World(crowd.demo, session, crowd.stage.topics)
        await world.script(_STATUSES)
        marks = await world.marks()
        outcome.figures |= await disturbance.many_in_one_poll(crowd, world, dice, outcome.problems)
        speak = partial(talk, crowd, per_second=plan.per_second, dice=dice)
        quiet = await speak(seconds=plan.quiet_seconds, first=1)
        async with disturbance.everything(
            crowd, victims, hang_seconds=plan.hang_seconds, figures=outcome.figures
        ) as poisoning:
            loud = await speak(seconds=plan.trouble_seconds, first=_IN_TROUBLE, beside=poisoning)
        later = await speak(seconds=plan.quiet_seconds, first=_AFTERWARDS)
        outcome.problems += await unsettled(world)
        received = await world.arrivals(marks.orchestrator)
        outcome.figures |= judge(outcome.problems, victims, (quiet, loud, later), received)
        outcome.problems += sent_out_of_order(await world.graph_calls(marks.graph))
        outcome.problems += await disturbance.poison_in_circulation(crowd)
        await world.script({})
    outcome.seconds = clock.monotonic() - began
    return outcome


async def unsettled(world: World) -> list[str]:
    """Wait until all is settled; return what the ledger finds."""
    books = balance(await world.settled(SETTLE_SECONDS))
    found = [f"{book.name}: {one.problem}: {one.id}" for book in books for one in book.differences]
    late = [f"{book.name}: {book.pending} still under way" for book in books if book.pending]
    return found + late


def judge(problems: list[str], victims: Victims, phases: tuple[Words, Words, Words], received: list[Json]) -> Figures:
    """Everybody's words must have come, in order; how fast those of the others came is measured."""
    arrivals = arrived(received)
    quiet, loud, _ = phases
    said = [word for phase in phases for word in phase]
    problems += missing(said, arrivals) + disorder(said, arrivals)
    struck = {company: sum(call["path"].startswith(path_of(company)) and call["fault"] is not None for call in received)
              for company in (victims.hanging, victims.refusing)}  # fmt: skip
    problems += [f"no push to {company} was struck: the trouble did not come about" for company in struck
                 if not struck[company]]  # fmt: skip
    others = [word for word in loud if word.company not in victims.disturbed]
    before = seconds_of([word for word in quiet if word.company not in victims.disturbed], arrivals)
    during = seconds_of(others, arrivals)
    return {
        "words": len(said),
        "pushes that hung": struck[victims.hanging],
        "pushes refused": struck[victims.refusing],
        "quiet p50/p99 s": f"{quantile(before, 0.5):.3f}/{quantile(before, 0.99):.3f}",
        "trouble p50/p99/max s": f"{quantile(during, 0.5):.3f}/{quantile(during, 0.99):.3f}/{quantile(during, 1):.3f}",
        "of": len(during),
        "goal (p99 < 1 s)": "met" if quantile(during, 0.99) < GOAL_SECONDS else "missed",
    }
