"""A dependency is away: everything stands still, membership lives, nothing is dead-lettered, tries are spread."""

import asyncio
import contextlib
from typing import Final

from services.runtime.health import Health
from services.runtime.logs import get_logger
from services.streams.backoff import Backoff

CHECK: Final = "dependencies"


class Outage:
    """One for all work of a room: the first failure begins it; a success, or the end of all waiting work, ends it."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._log = get_logger()
        self._waiting: set[object] = set()
        health.set(CHECK, "ok")

    @property
    def is_on(self) -> bool:
        return bool(self._waiting)

    def begin(self, work: object, reason: str) -> None:
        if not self._waiting:
            self._health.set(CHECK, "degraded", reason)
            self._log.warning("dependency_lost", reason=reason)
        self._waiting.add(work)

    def end(self) -> None:
        """Something worked: everybody may try again."""
        if self._waiting:
            self._waiting.clear()
            self._health.set(CHECK, "ok")
            self._log.info("dependency_returned")

    def leave(self, work: object) -> None:
        """This work waits no longer, whatever became of it; partitions must not stay paused for nobody."""
        self._waiting.discard(work)
        if not self._waiting:
            self._health.set(CHECK, "ok")

    @staticmethod
    async def wait(backoff: Backoff, ending: asyncio.Event) -> None:
        """Wait before the next try, but not while partitions are being taken away."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(backoff.next()):
                await ending.wait()
