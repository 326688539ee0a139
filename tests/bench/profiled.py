"""Runs a room as its own `__main__` and samples where its CPU goes from SIGUSR1 on: start-up is not looked at.

A sample each millisecond of CPU time costs about 1 %; a tracing profiler makes small calls look dear. C functions count
for their callers. `python -m tests.bench.profiled ROOM FILE`. Not here: what is shown of it (profile.py).
"""

import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec

from tests.bench.profile import Samples

_EVERY_SECONDS: Final = 0.001

_own: Counter[str] = Counter()
_below: Counter[str] = Counter()


def _sample(_number: int, frame: FrameType | None) -> None:
    seen: set[str] = set()
    while frame is not None:
        code = frame.f_code
        place = f"{code.co_filename}:{code.co_firstlineno} {code.co_qualname}"
        if not seen:
            _own[place] += 1
        if place not in seen:
            seen.add(place)
            _below[place] += 1
        frame = frame.f_back


def _begin(_number: int, _frame: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_PROF, _EVERY_SECONDS, _EVERY_SECONDS)


def main() -> None:
    room, path = sys.argv[1:]
    signal.signal(signal.SIGPROF, _sample)
    signal.signal(signal.SIGUSR1, _begin)
    try:
        runpy.run_module(f"services.{room}", run_name="__main__")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        Path(path).write_bytes(msgspec.json.encode(Samples(_own.total(), dict(_own), dict(_below))))


if __name__ == "__main__":
    main()
