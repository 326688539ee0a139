"""`python -m tests.bench [--only NAME] [--rounds N] [--seconds N] [--profile ROOM]`: what parts reach of their limits.

Runs every part on a stack of its own, prints the table, writes bench.json; ends with 1 when a figure falls short.
Not here: how a part is measured (docs/howto/bench.md says it in words).
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from services.devstack import rooms
from services.devstack.progress import InterruptedStackError, interruptible, say
from services.devstack.stack import StackError
from tests.bench import cores, corridor, figures, ingress, normaliser, profile, sender, stage
from tests.bench.figures import Figure
from tests.bench.stage import Stage

Measure = Callable[[Stage, int, float], Iterator[Figure]]
PARTS: Final[Mapping[str, Measure]] = {
    "ingress": ingress.measure,
    "normaliser": normaliser.measure,
    "sender": sender.measure,
    "corridor": corridor.measure_rate,
    "idle": corridor.measure_rest,
}
ROUNDS: Final = 3
SECONDS: Final = 4.0
_LISTEN_SECONDS: Final = 2.0
_CALM_PERCENT: Final = 10


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench", description="What each part reaches of its limit.")
    parser.add_argument("--only", action="append", choices=PARTS, help="run this part alone; may be repeated")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of run and limit; medians are shown")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="about how long each run is")
    parser.add_argument("--profile", choices=rooms.ROOMS, default="", help="sample where this room's CPU goes")
    return parser.parse_args()


def run(asked: argparse.Namespace) -> int:
    found: list[Figure] = []
    broken: dict[str, str] = {}
    busy = cores.busy_percent(_LISTEN_SECONDS)
    if busy > _CALM_PERCENT:
        say(
            "bench",
            f"others keep this machine {busy:.0f} % busy: rates sink and ratios waver; see `elsewhere` in bench.json",
        )
    with stage.opened(asked.profile) as there:
        for name in asked.only or PARTS:
            try:
                for figure in PARTS[name](there, asked.rounds, asked.seconds):
                    found.append(figure)
                    say("bench", " | ".join(cell for cell in figure.row() if cell))
                    _show_profile(there)
            except InterruptedStackError:
                raise
            except Exception as error:  # noqa: BLE001 - one part that breaks does not hide the others
                broken[name] = f"{type(error).__name__}: {error}"
                say("bench", f"{name} broke: {broken[name]}")
        versions = there.versions()
    more = {"rounds": asked.rounds, "seconds": asked.seconds, "broken": broken, "profiled": asked.profile,
            "busy_before_percent": busy}  # fmt: skip
    path = stage.state_dir() / "bench.json"
    path.write_bytes(figures.document(found, versions, **more))
    print(figures.table(found))
    _comment(found, broken)
    short = [figure.part for figure in found if figure.verdict == "short"]
    return 1 if short or broken else 0


def _show_profile(there: Stage) -> None:
    """Of the room's last run, once."""
    if there.profiled and there.profile_path.exists():
        print(profile.top(there.profile_path))
        there.profile_path.unlink()


def _comment(found: list[Figure], broken: dict[str, str]) -> None:
    for name, why in broken.items():
        print(f"BROKE  {name}: {why}")
    if len(set(cores.two())) == 1:
        print("This machine has one core: nothing could run alone, the ratios say little.")
    if any(figure.verdict == "short" for figure in found):
        print("A figure fell short: its profile comes with --profile ROOM, e.g. --only sender --profile sender")


def main() -> None:
    asked = _arguments()
    try:
        with interruptible():
            sys.exit(run(asked))
    except InterruptedStackError:
        sys.exit("stopped")
    except StackError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
