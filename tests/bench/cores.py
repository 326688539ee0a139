"""Which core a process runs on, and what it has used: from /proc and sched_setaffinity. Not here: who is measured."""

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_KIB: Final = 1024
_ALLOWED: Final = sorted(os.sched_getaffinity(0))  # before this program binds itself to one of them
_GONE: Final = (FileNotFoundError, ProcessLookupError)


def two() -> tuple[int, int]:
    """The core of the process under test, and the one of everything else. One core alone serves as both."""
    return _ALLOWED[0], _ALLOWED[min(1, len(_ALLOWED) - 1)]


def pin(pid: int, cores: Iterable[int]) -> None:
    """Bind every thread of a process and of its children; what they start later inherits it."""
    wanted = set(cores)
    for each in family(pid):
        for task in _listed(_PROC / str(each) / "task"):
            with suppress(*_GONE):
                os.sched_setaffinity(int(task), wanted)


def family(pid: int) -> list[int]:
    """The process and its children's children: PostgreSQL is many."""
    found = [pid]
    for task in _listed(_PROC / str(pid) / "task"):
        with suppress(*_GONE):
            children = (_PROC / str(pid) / "task" / task / "children").read_text().split()
            for child in children:
                found += family(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children, those that have ended included."""
    own = _stat(pid)
    total = sum(own[11:15]) if own else 0
    for child in family(pid)[1:]:
        total += sum((_stat(child) or [0] * 15)[11:13])
    return total / _TICKS


def machine_seconds() -> float:
    """Time that all cores together have worked, whoever for: what is not ours of it, others took."""
    fields = [int(field) for field in (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:]]
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) / _TICKS


def busy_percent(seconds: float) -> float:
    """How busy all cores are just now, before anything of ours runs."""
    before = machine_seconds()
    time.sleep(seconds)
    return round((machine_seconds() - before) / seconds / (os.cpu_count() or 1) * 100, 1)


class Memory(msgspec.Struct, frozen=True):
    """Resident and proportional size, MiB: the second counts what processes share only once."""

    rss: float
    pss: float


def memory(pid: int) -> Memory:
    status = (_PROC / str(pid) / "status").read_text()
    rollup = (_PROC / str(pid) / "smaps_rollup").read_text()
    return Memory(_kib(status, "VmRSS:") / _KIB, _kib(rollup, "Pss:") / _KIB)


class Meter:
    """CPU of named processes from here to `read`, in seconds; `elsewhere` is what nobody of them used."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._machine = machine_seconds()
        self._before = {name: cpu_seconds(pid) for name, pid in self._pids.items()}

    def read(self) -> dict[str, float]:
        used = {name: cpu_seconds(pid) - self._before[name] for name, pid in self._pids.items()}
        elsewhere = machine_seconds() - self._machine - sum(used.values())
        return {
            **{name: round(seconds, 3) for name, seconds in used.items()},
            "elsewhere": round(max(0.0, elsewhere), 3),
        }


def _stat(pid: int) -> list[int] | None:
    """The numbers of /proc/<pid>/stat behind the name; field 14 of the manual is at 11."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except _GONE:
        return None
    return [0, *(int(field) for field in text.rpartition(")")[2].split()[1:])]


def _listed(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except _GONE:
        return []


def _kib(text: str, name: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(name)), 0)
