"""Tenants whose schema could not be worked on: asked under their own role whether it answers, then given their records
back in order, a lot at a time (architecture §2.6). Not here: how fast (pace.py)."""

import asyncio
from typing import Final

from services.domain.errors import ConflictError, WorkError
from services.runtime import clock, logs
from services.scheduler.loop import ROLE, Scheduler, count
from services.scheduler.pace import TenantPace
from services.store import deferred
from services.store.deferred import Waiting
from services.store.pools import transaction
from services.store.unavailable import answers

_LOOK_SECONDS: Final = 1.0
_TURN_SECONDS: Final = 0.05


class Tenants:
    """Those of one cell that wait. The pace of each is this copy's knowledge; a restart begins slowly again."""

    def __init__(self, scheduler: Scheduler, cell: str) -> None:
        self._scheduler = scheduler
        self._cell = cell
        self._paces: dict[int, TenantPace] = {}
        self._waiting: set[int] = set()
        self._looked_at = float("-inf")
        self._log = logs.get_logger()

    async def give_back(self, stop: asyncio.Event) -> None:
        await self._scheduler.keep_turning(f"tenants:{self._cell}", self.turn, stop)

    async def turn(self) -> float:
        """Give every tenant whose time has come a lot; return how long to wait before the next turn."""
        if clock.monotonic() - self._looked_at >= _LOOK_SECONDS:
            await self._look()
        for tenant in sorted(self._waiting):
            pace = self._paces.setdefault(tenant, TenantPace())
            if pace.due(clock.monotonic()):
                await self._one(tenant, pace)
        return _TURN_SECONDS if self._waiting else _LOOK_SECONDS

    async def _look(self) -> None:
        async with transaction(self._scheduler.pools.cell(self._cell), ROLE) as connection:
            self._waiting = await deferred.unavailable_tenants(connection)
        now = self._looked_at = clock.monotonic()
        self._paces = {
            tenant: pace for tenant, pace in self._paces.items() if tenant in self._waiting or not pace.idle(now)
        }

    async def _one(self, tenant: int, pace: TenantPace) -> None:
        if not await self._answers(tenant):
            pace.away(clock.monotonic())
            return
        try:
            rows = await self._lot(tenant, pace)
        except WorkError:
            pace.away(clock.monotonic())
            raise
        if rows is None:
            return
        pace.given_back(rows, clock.monotonic())
        count(rows)
        if rows:
            self._log.info("tenant_records_returned", tenant=tenant, records=len(rows))
        else:
            self._waiting.discard(tenant)

    async def _answers(self, tenant: int) -> bool:
        try:
            return await answers(self._scheduler.pools, self._cell, tenant)
        except ConflictError:
            return False  # its tables are locked: it is being migrated

    async def _lot(self, tenant: int, pace: TenantPace) -> list[Waiting] | None:
        """Give back one lot; None when another copy is about it."""
        async with transaction(self._scheduler.pools.cell(self._cell), ROLE) as connection:
            if not await deferred.take_turn(connection, tenant):
                return None
            rows = await deferred.claim_lot(connection, tenant, pace.lot, pace.first(clock.monotonic()))
            await self._scheduler.give_back(connection, rows)
            return rows
