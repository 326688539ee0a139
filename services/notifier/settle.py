"""Store what came of pushes: outcome, wait and queue in one transaction per cell and lot. Not here: what it means."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import msgspec

from services.domain.errors import ConflictError, DependencyAwayError, TenantUnavailableError, WorkError
from services.domain.tenants import Endpoint
from services.notifier.plan import Answer, Push, Result, conclude, opens, try_again
from services.runtime import metrics
from services.store import deliveries
from services.store.deliveries import Change, Seen
from services.store.pools import Pools, transaction
from services.streams.codec import Record

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0


class Task(msgspec.Struct, frozen=True, eq=False):
    """A push with the record that brought it; `endpoint` is None when it is no longer registered."""

    record: Record
    push: Push
    endpoint: Endpoint | None
    cell: str


class Outcome(NamedTuple):
    task: Task
    result: Result


class Stored(NamedTuple):
    """What was written of a push; `again`: nothing was, its queue is gone and it may be tried."""

    task: Task
    change: Change
    again: bool

    @property
    def buried(self) -> bool:
        return self.change.delivery is not None and self.change.delivery.outcome in {"dead", "gone"}


async def look(pools: Pools, tasks: Sequence[Task]) -> list[tuple[Task, Seen]]:
    """Read what is stored of these pushes, one query per cell. Raises DependencyAwayError."""
    pairs: list[tuple[Task, Seen]] = []
    for cell, own in by_cell(tasks).items():
        try:
            async with transaction(pools.cell(cell), deliveries.ROLE) as connection:
                pairs += zip(own, await deliveries.look(connection, [task.push.key for task in own]), strict=True)
        except TenantUnavailableError as error:
            raise shared_table_away(error) from error
    return pairs


async def settle(pools: Pools, outcomes: Sequence[Outcome]) -> list[Stored]:
    """Store outcomes, a transaction per cell. Raises DependencyAwayError only while nothing is known of a POST."""
    stored = []
    for cell, own in by_cell([outcome.task for outcome in outcomes]).items():
        mine = set(map(id, own))
        stored += await _for_certain(pools, cell, [outcome for outcome in outcomes if id(outcome.task) in mine])
    return stored


async def _for_certain(pools: Pools, cell: str, outcomes: Sequence[Outcome]) -> list[Stored]:
    """Repeat while the database is away: the answer to a POST that we hold must not be forgotten and asked again."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            stored = await _once(pools, cell, outcomes)
        except (DependencyAwayError, ConflictError, TenantUnavailableError) as error:
            if not any(isinstance(outcome.result, Answer) for outcome in outcomes):
                raise shared_table_away(error) from error
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        else:
            count(stored)
            return stored


async def _once(pools: Pools, cell: str, outcomes: Sequence[Outcome]) -> list[Stored]:
    keys = [outcome.task.push.key for outcome in outcomes]
    opening = [key for key, outcome in zip(keys, outcomes, strict=True) if opens(outcome.result)]
    async with transaction(pools.cell(cell), deliveries.ROLE) as connection:
        seen = await deliveries.lock(connection, keys, opening)
        stored = [store(outcome, one) for outcome, one in zip(outcomes, seen, strict=True)]
        await deliveries.write(connection, [one.change for one in stored])
    return stored


def store(outcome: Outcome, seen: Seen) -> Stored:
    task, result = outcome
    schedule = [timedelta(seconds=wait) for wait in task.endpoint.schedule_seconds] if task.endpoint else []
    jitter = random.uniform(-1, 1)  # noqa: S311 - spreads retries
    change = conclude(task.push, result, seen, schedule, jitter)
    return Stored(task, change, try_again(result, seen))


def by_cell(tasks: Sequence[Task]) -> dict[str, list[Task]]:
    cells: dict[str, list[Task]] = {}
    for task in tasks:
        cells.setdefault(task.cell, []).append(task)
    return cells


def shared_table_away(error: WorkError) -> WorkError:
    """The room's own role met no table or no right: the cell is being migrated, which is nobody's record's fault."""
    return DependencyAwayError(f"cell: {error}") if isinstance(error, TenantUnavailableError) else error


def count(stored: Sequence[Stored]) -> None:
    for one in stored:
        if one.change.deferral:
            metrics.DEFERRED.labels(one.change.deferral.reason).inc()
