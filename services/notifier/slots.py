"""How many requests an endpoint gets at once, first come first served. Not here: the room's own capacity (streams)."""

import asyncio
from collections import deque

from services.runtime import clock


class EndpointSlots:
    """Slots by endpoint; an endpoint that is slow keeps its own busy and nobody else's."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, endpoint: str, most: int, until: float) -> bool:
        """Take a slot, waiting for one until the given moment (monotonic seconds); False when there was none."""
        taken = self._taken.get(endpoint, 0)
        if taken < most and endpoint not in self._waiting:
            self._taken[endpoint] = taken + 1
            return True
        left = until - clock.monotonic()
        return left > 0 and await self._wait(endpoint, left)

    def give(self, endpoint: str) -> None:
        """Give a slot back: to whoever waits first, else to the endpoint."""
        queue = self._waiting.get(endpoint, deque())
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                break
        else:
            self._free(endpoint)
        if not queue:
            self._waiting.pop(endpoint, None)

    async def _wait(self, endpoint: str, seconds: float) -> bool:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(endpoint, deque()).append(turn)
        try:
            await asyncio.wait({turn}, timeout=seconds)
        except asyncio.CancelledError:
            if turn.done():
                self.give(endpoint)
            else:
                self._leave(endpoint, turn)
            raise
        if not turn.done():
            self._leave(endpoint, turn)
            return False
        return True

    def _leave(self, endpoint: str, turn: asyncio.Future[None]) -> None:
        queue = self._waiting[endpoint]
        queue.remove(turn)
        if not queue:
            del self._waiting[endpoint]

    def _free(self, endpoint: str) -> None:
        left = self._taken[endpoint] - 1
        if left:
            self._taken[endpoint] = left
        else:
            del self._taken[endpoint]
