"""What was measured and how it is judged: figures, the table, the file. Not here: measuring."""

import platform
import statistics
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from services.domain.events import rfc3339
from services.runtime import clock

_COLUMNS: Final = ("part", "measured", "limit", "ratio", "pass", "goal", "verdict")
_LIBRARIES: Final = ("aiohttp", "aiokafka", "fastapi", "httptools", "msgspec", "psycopg", "uvicorn", "uvloop")

Verdict = Literal["goal", "pass", "short", "seen"]


class Figure(msgspec.Struct, kw_only=True):
    """One line of the table. With a `limit` the judged value is measured / limit, else the measured one.

    `most`: the judged value must stay below `passes` and `goal` and not above them. Without `passes` it is only shown.
    """

    part: str
    unit: str
    runs: list[float]
    limits: list[float] = []
    passes: float | None = None
    goal: float | None = None
    most: bool = False
    detail: dict[str, Any] = {}

    @property
    def measured(self) -> float:
        return statistics.median(self.runs)

    @property
    def limit(self) -> float | None:
        return statistics.median(self.limits) if self.limits else None

    @property
    def ratio(self) -> float | None:
        """Round by round, as both were measured next to each other; the median of those."""
        if not self.limits:
            return None
        return statistics.median(run / limit for run, limit in zip(self.runs, self.limits, strict=True))

    @property
    def verdict(self) -> Verdict:
        judged = self.measured if self.ratio is None else self.ratio
        if self.passes is None:
            return "seen"
        if self.goal is not None and self._holds(judged, self.goal):
            return "goal"
        return "pass" if self._holds(judged, self.passes) else "short"

    def _holds(self, value: float, bound: float) -> bool:
        return value <= bound if self.most else value >= bound

    def row(self) -> tuple[str, ...]:
        sign = "≤" if self.most else "≥"
        own = "" if self.ratio is not None else f" {self.unit}"
        limit, ratio, verdict = self.limit, self.ratio, self.verdict
        return (
            self.part,
            f"{_short(self.measured)} {self.unit}",
            "" if limit is None else f"{_short(limit)} {self.unit}",
            "" if ratio is None else f"{ratio:.2f}",
            *("" if bound is None else f"{sign} {bound:g}{own}" for bound in (self.passes, self.goal)),
            verdict.upper() if verdict == "short" else verdict,
        )


def table(figures: Sequence[Figure]) -> str:
    rows = [_COLUMNS, *(figure.row() for figure in figures)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_COLUMNS))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-+-".join("-" * width for width in widths), *lines[1:]])


def document(figures: Sequence[Figure], versions: dict[str, str], **more: Any) -> bytes:
    """The whole run as JSON: machine, versions, date, each figure with all its runs and its median."""
    shown = [
        msgspec.to_builtins(figure)
        | {"measured": figure.measured, "limit": figure.limit, "ratio": figure.ratio, "verdict": figure.verdict}
        for figure in figures
    ]
    whole = {"date": rfc3339(clock.now()), "machine": machine(), "versions": libraries() | versions, **more}
    return msgspec.json.format(msgspec.json.encode(whole | {"figures": shown}), indent=1) + b"\n"


def machine() -> dict[str, Any]:
    """What the figures were measured on; without its name."""
    cpu = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal:")]
    return {
        "cpu": cpu[0] if cpu else platform.machine(), "cores": len(cpu), "system": platform.system(),
        "kernel": platform.release(), "memory_gib": round(memory[0] / 1024**2, 1) if memory else None,
    }  # fmt: skip


def libraries() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in _LIBRARIES}


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"
