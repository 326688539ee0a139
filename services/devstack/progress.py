"""What the person at the terminal sees, and the moments at which Ctrl-C takes effect. Not here: what is done."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from services.devstack.stack import StackError
from services.runtime import clock

REMIND_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.05
STDOUT: Final = 1

# A plain flag: setting an Event from a signal handler can lock up the thread that waits for it.
_asked_to_stop = False
_tidying = False


class InterruptedStackError(Exception):
    """Somebody pressed Ctrl-C (or sent TERM); raised only where nothing is half done."""


def say(who: str, text: str) -> None:
    print(f"{who:12} {text}", flush=True)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn INT, TERM and HUP into InterruptedStackError at the next `pause`.

    A KeyboardInterrupt could fall between the start of a process and the writing of its pid file.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, _note) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        _forget()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Tidying up is not cut short by the Ctrl-C that caused it: every step of it has its own time limit."""
    global _tidying  # noqa: PLW0603 - the flags of a signal handler
    _tidying = True
    _forget()
    try:
        yield
    finally:
        _tidying = False


def pause(seconds: float) -> None:
    """Sleep; raise InterruptedStackError when somebody wants to stop."""
    end = clock.monotonic() + seconds
    while True:
        check()
        left = end - clock.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, POLL_SECONDS))


def check() -> None:
    if _asked_to_stop and not _tidying and threading.current_thread() is threading.main_thread():
        raise InterruptedStackError


def wait_until(who: str, what: str, limit_seconds: float, done: Callable[[], bool]) -> float:
    """Poll until `done`; say every ten seconds that we still wait. Returns the seconds it took."""
    start = clock.monotonic()
    reminded = start
    while not done():
        now = clock.monotonic()
        if now - start > limit_seconds:
            raise StackError(f"{who}: {what} took more than {limit_seconds:.0f} s")
        if now - reminded >= REMIND_SECONDS:
            reminded = now
            say(who, f"still {what}, {now - start:.0f} s so far")
        pause(POLL_SECONDS)
    return clock.monotonic() - start


def _forget() -> None:
    global _asked_to_stop  # noqa: PLW0603 - the flags of a signal handler
    _asked_to_stop = False


def _note(_number: int, _frame: FrameType | None) -> None:
    global _asked_to_stop  # noqa: PLW0603 - the flags of a signal handler
    if not _asked_to_stop:
        with suppress(OSError):
            os.write(STDOUT, b"\ndevstack     stopping...\n")  # print is not safe in a handler
    _asked_to_stop = True
