"""Carries out cases one after the other, each on a stage that is in order, and prints what came of them.

A stage on which a case failed is kept for whoever looks for the cause, and the next case gets a fresh one. Not here:
which cases (__main__.py).
"""

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from tests.faults.stage import Stage, stage
from tests.faults.verdict import Outcome

SHOWN: Final = 15
CASES_PER_STAGE: Final = 6
"""The judges read everything that a stage has ever said: a long life makes them slow."""

Case = Callable[[Stage], Outcome]


@dataclass
class Bench:
    """`folder`: where stages live; those of failed cases stay."""

    folder: Path
    outcomes: list[Outcome] = field(default_factory=list)
    _stages: int = 0

    def run(self, cases: Sequence[Case]) -> None:
        """Run all of them, whatever becomes of each."""
        left = list(cases)
        while left:
            with self._fresh_stage() as one:
                for _ in range(min(CASES_PER_STAGE, len(left))):
                    outcome = self._carry_out(left.pop(0), one)
                    if outcome.problems:
                        break

    def _carry_out(self, case: Case, one: Stage) -> Outcome:
        with _without_words():
            outcome = case(one)
        self.outcomes.append(outcome)
        print("\n".join(told(outcome)), flush=True)
        if outcome.problems:
            kept = one.stack.state_dir / "failed.txt"
            kept.write_text("\n".join([outcome.name, *outcome.problems, outcome.report]))
            print(f"    everything that was found, and the rooms' logs: {kept.parent}", flush=True)
        return outcome

    @contextlib.contextmanager
    def _fresh_stage(self) -> Iterator[Stage]:
        self._stages += 1
        folder = self.folder / f"stage-{self._stages}"
        with contextlib.ExitStack() as stack:
            with _without_words():
                one = stack.enter_context(stage(folder))
            yield one
            with _without_words():
                stack.close()
        if not self.outcomes[-1].problems:
            shutil.rmtree(folder)

    def write(self, path: Path) -> None:
        """Keep the figures as JSON."""
        shown = [{name: value for name, value in asdict(outcome).items() if name != "report"}
                 for outcome in self.outcomes]  # fmt: skip
        path.write_text(json.dumps(shown, indent=2, ensure_ascii=False))

    @property
    def good(self) -> bool:
        return bool(self.outcomes) and not any(outcome.problems for outcome in self.outcomes)


def told(outcome: Outcome) -> list[str]:
    """One line for what happened, and one for each thing that speaks against it."""
    figures = " · ".join(f"{name} {value}" for name, value in outcome.figures.items())
    mark = "✗" if outcome.problems else "✓"
    lines = [f"{mark} {outcome.name:34} seed {outcome.seed:<4} {outcome.seconds:6.1f} s  {figures}"]
    lines += [f"    {problem}" for problem in outcome.problems[:SHOWN]]
    if len(outcome.problems) > SHOWN:
        lines.append(f"    … and {len(outcome.problems) - SHOWN} more")
    return lines


def _without_words() -> contextlib.redirect_stdout[io.StringIO]:
    """Rooms are started and stopped all the time, and devstack says so each time."""
    return contextlib.redirect_stdout(io.StringIO())
