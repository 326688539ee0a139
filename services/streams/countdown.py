"""Waits for several futures until a time, and leaves them alone. Not here: what their results mean (producer.py)."""

import asyncio
from collections.abc import Sequence
from typing import Any


class Countdown:
    """For one `wait`. The futures are others' and go on when the wait ends or is cancelled, as with asyncio.wait; that
    one builds sets and takes its callbacks away again, which showed in ingress."""

    def __init__(self, pending: Sequence[asyncio.Future[Any]]) -> None:
        """`pending`: at least one, none done."""
        self._loop = asyncio.get_running_loop()
        self._left = len(pending)
        self._over: asyncio.Future[None] = self._loop.create_future()
        for future in pending:
            future.add_done_callback(self._one_less)

    async def wait(self, seconds: float) -> None:
        """Return when all are done, however they ended, and at the latest after `seconds`."""
        timer = self._loop.call_later(max(0.0, seconds), self._end)
        try:
            await self._over
        finally:
            timer.cancel()

    def _one_less(self, _future: asyncio.Future[Any]) -> None:
        self._left -= 1
        if not self._left:
            self._end()

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)
