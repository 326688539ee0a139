"""Whether every update of before a moment has been handled: none lies in lag, none in a spool (architecture §2.4).

Not here: what is decided on it (domain/policy.py).
"""

from datetime import datetime
from typing import Final

from services.runtime import clock
from services.runtime.logs import get_logger
from services.sender.deps import Progress
from services.store import spools
from services.store.directory import ROLE
from services.store.pools import Pools, transaction
from services.streams.progress import SLACK

_PAUSE_SECONDS: Final = 1.0  # between two questions that were answered with no


class Updates:
    """The log first, for it is what lags most often; then what the copies of ingress say."""

    def __init__(self, log: Progress, pools: Pools) -> None:
        self._log = log
        self._pools = pools
        self._refused: datetime | None = None
        self._refused_at = float("-inf")
        self._words = get_logger()

    async def handled_until(self, moment: datetime) -> bool:
        """Raises DependencyAwayError while the database is away."""
        return await self._log.handled_until(moment) and await self._left_every_spool(moment)

    async def _left_every_spool(self, moment: datetime) -> bool:
        lately = clock.monotonic() - self._refused_at < _PAUSE_SECONDS
        if lately and self._refused is not None and moment >= self._refused:
            return False
        async with transaction(self._pools.directory, ROLE) as connection:
            holding = await spools.holding(connection, moment, moment + SLACK)
        if holding:
            self._refused, self._refused_at = moment, clock.monotonic()
            self._words.info("spools_hold_decisions_up", copies=holding)
        return not holding
