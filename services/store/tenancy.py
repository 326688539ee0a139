"""THE place that turns a tenant into cell, schema and role, and the batch transaction over many tenants.

Tenants of a cell share a transaction in groups of up to 50; the role is switched inside by one bound statement, all
tenants' statements of a phase go in one pipeline. A failing group is redone tenant by tenant, a failing tenant record
by record. Not here: what a statement says.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

import psycopg

from services.domain.errors import ConflictError, DependencyAwayError, TenantUnavailableError
from services.domain.limits import TENANT_GROUP
from services.store.failures import translate
from services.store.names import role_of, schema_of
from services.store.pools import Connection, Pools

T = TypeVar("T")
R = TypeVar("R")

SWITCH: Final = (
    b"SELECT set_config('role', %s, true), set_config('search_path', '', true), set_config('recado.tenant', %s, true)"
)
_CONFLICT_TRIES: Final = 6
_PARALLEL_GROUPS: Final = 3


class Statement(NamedTuple):
    """One statement of a phase; `{s}` in the text stands for the tenant's schema."""

    name: str
    text: str
    params: tuple[Any, ...] = ()


Rows = list[tuple[Any, ...]]
Phase = Mapping[int, Sequence[Statement]]
_texts: dict[tuple[str, str], bytes] = {}


def _qualified(text: str, schema: str) -> bytes:
    key = (text, schema)
    if key not in _texts:
        _texts[key] = text.replace("{s}", schema).encode()
    return _texts[key]


async def run_phase(connection: Connection, phase: Phase) -> dict[int, dict[str, Rows]]:
    """Run every tenant's statements in one pipeline, each tenant's under its own role; return rows by name."""
    cursors: list[tuple[int, str, psycopg.AsyncCursor[Any]]] = []
    async with connection.pipeline():
        for tenant, statements in phase.items():
            if not statements:
                continue
            schema = schema_of(tenant)
            await connection.execute(SWITCH, (role_of(tenant), str(tenant)))
            for statement in statements:
                cursor = connection.cursor(binary=True)
                await cursor.execute(_qualified(statement.text, schema), statement.params)
                cursors.append((tenant, statement.name, cursor))
    rows: dict[int, dict[str, Rows]] = {tenant: {} for tenant in phase}
    for tenant, name, cursor in cursors:
        if cursor.description is not None:
            rows[tenant].setdefault(name, []).extend(await cursor.fetchall())
    return rows


class Failed(NamedTuple, Generic[T]):
    item: T
    tenant: int
    error: BaseException


class GroupsDone(Generic[T, R]):
    """What became of a batch: results of the groups that committed, records at fault, tenants that wait."""

    def __init__(self) -> None:
        self.results: list[R] = []
        self.failed: list[Failed[T]] = []
        self.unavailable: dict[int, list[T]] = {}


Work = Callable[[Connection, Mapping[int, list[T]]], Awaitable[R]]


async def in_tenant_groups(
    pools: Pools, cell_of: Callable[[int], str], items: Mapping[int, list[T]], work: Work[T, R]
) -> GroupsDone[T, R]:
    """Carry out `work` on every tenant's items, a transaction per group. Raises DependencyAwayError; never half-way.

    `work` is repeated as a whole on conflicts, so it must take everything from its arguments and the rows it locks.
    """
    done: GroupsDone[T, R] = GroupsDone()
    by_cell: dict[str, list[int]] = {}
    for tenant in sorted(items):
        by_cell.setdefault(cell_of(tenant), []).append(tenant)
    groups = [
        (cell, tenants[start : start + TENANT_GROUP])
        for cell, tenants in by_cell.items()
        for start in range(0, len(tenants), TENANT_GROUP)
    ]
    gate = asyncio.Semaphore(_PARALLEL_GROUPS)

    async def one(cell: str, tenants: list[int]) -> None:
        async with gate:
            await _group(pools, cell, {tenant: items[tenant] for tenant in tenants}, work, done)

    outcomes = await asyncio.gather(*(one(cell, tenants) for cell, tenants in groups), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return done


async def _group(
    pools: Pools, cell: str, items: Mapping[int, list[T]], work: Work[T, R], done: GroupsDone[T, R]
) -> None:
    """One transaction; on failure halve the blame: tenant by tenant, then record by record."""
    try:
        done.results.append(await _repeated(pools, cell, items, work))
    except DependencyAwayError:
        raise
    except Exception as error:  # noqa: BLE001 - the rim where data and bugs are told from everything else
        await _blame(pools, cell, items, work, done, error)


async def _blame(
    pools: Pools, cell: str, items: Mapping[int, list[T]], work: Work[T, R], done: GroupsDone[T, R], error: Exception
) -> None:
    if len(items) > 1:
        for tenant, own in items.items():
            await _group(pools, cell, {tenant: own}, work, done)
        return
    ((tenant, own),) = items.items()
    if isinstance(error, TenantUnavailableError):
        done.unavailable.setdefault(tenant, []).extend(own)
    elif isinstance(error, ConflictError):
        raise error  # nobody's fault: the loop repeats it later
    elif len(own) > 1:
        for item in own:
            await _group(pools, cell, {tenant: [item]}, work, done)
    else:
        done.failed.append(Failed(own[0], tenant, error))


async def _repeated(pools: Pools, cell: str, items: Mapping[int, list[T]], work: Work[T, R]) -> R:
    for turn in range(_CONFLICT_TRIES):
        try:
            async with pools.cell(cell).connection() as connection, connection.transaction():
                return await work(connection, items)
        except ConflictError:
            raise
        except Exception as error:
            kind = translate(error)
            if isinstance(kind, ConflictError) and turn < _CONFLICT_TRIES - 1:
                await asyncio.sleep(random.uniform(0, 0.01 * 2**turn))  # noqa: S311 - jitter
                continue
            raise kind from error
    raise AssertionError("unreachable: the last turn returns or raises")
