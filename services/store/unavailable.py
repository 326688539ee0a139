"""Tenants whose schema cannot be worked on now: their records are put away in order while everybody else's go on
(architecture §2.6). A record that comes back carries the header `returned` and is tried."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar

from services.domain.workset import Deferral
from services.runtime import clock, metrics
from services.store import deferred
from services.store.deferred import UNAVAILABLE
from services.store.pools import Connection, Pools, transaction
from services.store.tenancy import Statement, in_tenant_groups, run_phase

_LOOK_EVERY_SECONDS: Final = 1.0
ROLE: Final = "recado_scheduler"


_TABLES: Final = (
    "contact_identities", "contacts", "conversations", "messages", "message_statuses", "wamids", "events",
)  # fmt: skip
_ASK: Final = (
    Statement("", "SELECT set_config('lock_timeout', '200ms', true)"),  # a migration's lock is an answer too
    *(Statement("", f"SELECT FROM {{s}}.{table} LIMIT 0") for table in _TABLES),
)


async def answers(pools: Pools, cell: str, tenant: int) -> bool:
    """Whether the tenant's schema can be used under its own role. Raises DependencyAwayError."""

    async def ask(connection: Connection, _group: Mapping[int, list[None]]) -> None:
        await run_phase(connection, {tenant: _ASK})

    done = await in_tenant_groups(pools, lambda _: cell, {tenant: [None]}, ask)
    return bool(done.results)


class HasRecord(Protocol):
    @property
    def record(self) -> "HasHeaders": ...


class HasHeaders(Protocol):
    @property
    def headers(self) -> Mapping[str, bytes]: ...


T = TypeVar("T", bound=HasRecord)


class Unavailable:
    """Knows which tenants have rows that wait for them. One per process; asks each cell at most once a second."""

    def __init__(self, pools: Pools, cell_of: Callable[[int], str]) -> None:
        self._pools = pools
        self._cell_of = cell_of
        self._tenants: set[int] = set()
        self._looked_at = -_LOOK_EVERY_SECONDS

    async def part(self, items: dict[int, list[T]]) -> tuple[dict[int, list[T]], dict[int, list[T]]]:
        """Tell what is to be tried from what is appended behind the rows that wait already."""
        await self._look()
        tried: dict[int, list[T]] = {}
        appended: dict[int, list[T]] = {}
        for tenant, own in items.items():
            for item in own:
                waits = tenant in self._tenants and "returned" not in item.record.headers
                (appended if waits else tried).setdefault(tenant, []).append(item)
        return tried, appended

    async def put_away(self, items: Mapping[int, list[T]], deferral: Callable[[T], Deferral]) -> None:
        """Store the records that wait, a transaction per cell."""
        by_cell: dict[str, list[tuple[int, Deferral]]] = {}
        for tenant, own in items.items():
            by_cell.setdefault(self._cell_of(tenant), []).extend((tenant, deferral(item)) for item in own)
        for cell, rows in by_cell.items():
            async with transaction(self._pools.cell(cell), ROLE) as connection:
                await deferred.put(connection, rows)
            metrics.DEFERRED.labels(UNAVAILABLE).inc(len(rows))
            self._tenants.update(tenant for tenant, _ in rows)

    async def _look(self) -> None:
        if clock.monotonic() - self._looked_at < _LOOK_EVERY_SECONDS:
            return
        found: set[int] = set()
        for cell in self._pools.cells:
            async with transaction(self._pools.cell(cell), ROLE) as connection:
                found |= await deferred.unavailable_tenants(connection)
        self._tenants, self._looked_at = found, clock.monotonic()
