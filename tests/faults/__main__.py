"""`python -m tests.faults [--only NAME] [--seed N] [--scale X]`: the fault bench; ends with 0 when nothing was found.

Which cases there are, and how large. Not here: what any of them does.
"""

import argparse
import asyncio
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

from services.devstack import rooms
from services.devstack.stack import CHECKOUT
from services.runtime.settings import load
from tests.faults import copies, crash, crowd, isolation, kafka_away, outage, unknown
from tests.faults.bench import Bench, Case
from tests.faults.stage import Stage
from tests.faults.verdict import Outcome

MESSAGES: Final = 300
FEWEST: Final = 30
SEEDS: Final = 20


def seeds(seed: int, scale: float) -> list[Case]:
    """The demonstration in so many orders, with the restart that it has by itself."""

    def one(number: int) -> Case:
        return _case(lambda stage: outage.suffered(
            stage, "normaliser restarts", seed=number, messages=messages(scale), title="demonstration"
        ))  # fmt: skip

    return [one(number) for number in range(seed, seed + max(1, round(SEEDS * scale)))]


def crashes(seed: int, scale: float) -> list[Case]:
    """Every room at each of its crash points; those that have none are killed."""

    def one(at: crash.CrashAt, number: int) -> Case:
        return _case(lambda stage: crash.crashed(stage, at, seed=number, messages=messages(scale)))

    def another(room: str) -> Case:
        return _case(lambda stage: crash.killed(stage, room, seed=seed, messages=messages(scale)))

    armed = [one(at, seed + place) for place, at in enumerate(crash.matrix(seed))]
    return armed + [another(room) for room in crash.KILLED]


def isolations(seed: int, scale: float) -> list[Case]:
    def one(stage: Stage) -> Outcome:
        gathered = crowd.gather(stage)
        return asyncio.run(isolation.isolated(gathered, isolation.WHOLE.scaled(scale), seed=seed))

    return [one]


def outages(seed: int, scale: float) -> list[Case]:
    def one(name: str) -> Case:
        return _case(lambda stage: outage.suffered(stage, name, seed=seed, messages=messages(scale)))

    return [one(name) for name in outage.OUTAGES]


def copied(seed: int, scale: float) -> list[Case]:
    return [_case(lambda stage: copies.five_then_one(stage, seed=seed, messages=messages(scale)))]


def unknowns(seed: int, scale: float) -> list[Case]:
    return [_case(lambda stage: unknown.lost_answers(stage, seed=seed, messages=messages(scale)))]


def kafka_aways(seed: int, scale: float) -> list[Case]:
    def one(stage: Stage) -> Outcome:
        return asyncio.run(kafka_away.away(crowd.gather(stage), kafka_away.Plan.scaled(scale), seed=seed))

    return [one]


SECTIONS: Final[dict[str, Callable[[int, float], list[Case]]]] = {
    "crash": crashes, "seeds": seeds, "outage": outages, "isolation": isolations, "copies": copied, "unknown": unknowns,
    "kafka-away": kafka_aways,
}  # fmt: skip


def messages(scale: float) -> int:
    return max(FEWEST, round(MESSAGES * scale))


def _case(begin: Callable[[Stage], Coroutine[Any, Any, Outcome]]) -> Case:
    return lambda stage: asyncio.run(begin(stage))


def main(arguments: list[str]) -> int:
    asked = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # what was started must be stopped, however this ends
    state = CHECKOUT / load().state_dir
    folder = state / "faults"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bench = Bench(folder)
    for name in asked.only or SECTIONS:
        print(f"\n── {name} (seed {asked.seed}, scale {asked.scale:g})", flush=True)
        bench.run(SECTIONS[name](asked.seed, asked.scale))
    bench.write(state / "faults.json")
    failed = [outcome.name for outcome in bench.outcomes if outcome.problems]
    print(f"\n{len(bench.outcomes)} cases in rooms {', '.join(rooms.ROOMS)}: "
          f"{'nothing was found' if bench.good else 'FAILED: ' + ', '.join(failed)}")  # fmt: skip
    return 0 if bench.good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Hurt a whole stack, and check it.")
    parser.add_argument("--only", action="append", choices=list(SECTIONS), help="this part alone")
    parser.add_argument("--seed", type=int, default=1, help="draws everything that is left to chance")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the whole size")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
