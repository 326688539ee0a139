"""The only psycopg pools: one for the directory, one for each cell; statement and lock timeouts. No SQLAlchemy here.

Pools do not check a connection at checkout (0.5 ms each): a restart costs some errors, which count as a dependency away
and are repeated.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from services.runtime import metrics
from services.runtime.settings import Settings
from services.store.failures import translate

Connection = psycopg.AsyncConnection[TupleRow]
_CHECKOUT_SECONDS: Final = 5.0
_RECYCLE_SECONDS: Final = 900.0  # bounds what a backend's relation cache grows to
# A batch's statements look rows up by key, whatever is in the arrays. Planning them anew each time costs more than
# running them; and a plan made while a tenant's tables were empty must not read them whole for ever after.
_BY_KEY: Final = "plan_cache_mode=force_generic_plan enable_seqscan=off enable_hashjoin=off enable_mergejoin=off"
_SETTINGS: Final = f"client_connection_check_interval=5s lock_timeout=10s jit=off {_BY_KEY}".split()
_OPTIONS: Final = " ".join(f"-c {setting}" for setting in _SETTINGS)
_TAKE_ROLE: Final = "SELECT set_config('role', %s, true), set_config('search_path', '', true)"


class Pools:
    """Made once a process. Opening does not wait for the database: a room starts while it is away."""

    def __init__(self, settings: Settings, *, size: int = 4, directory_size: int = 2) -> None:
        self._size = size
        self.directory = _pool(settings.database_url, directory_size)
        # one cell is the default; it lives in the directory's database
        self._cells = {"default": _pool(settings.database_url, size)}

    async def open(self) -> None:
        for pool in (self.directory, *self._cells.values()):
            await pool.open(wait=False)

    async def close(self) -> None:
        for pool in (self.directory, *self._cells.values()):
            await pool.close(timeout=5)

    def cell(self, name: str) -> AsyncConnectionPool[Connection]:
        return self._cells[name]

    @property
    def cells(self) -> tuple[str, ...]:
        return tuple(self._cells)

    def observe(self) -> None:
        """Set the gauges; called when metrics are scraped or now and then."""
        for name, pool in (("directory", self.directory), *self._cells.items()):
            stats = pool.get_stats()
            for state in ("pool_size", "pool_available", "requests_waiting"):
                metrics.POOL_CONNECTIONS.labels(name, state).set(stats.get(state, 0))


def _pool(url: str, size: int) -> AsyncConnectionPool[Connection]:
    # transactions begin where they are asked for; else each RESET would be one of its own
    kwargs: dict[str, Any] = {"options": _OPTIONS, "prepare_threshold": 5, "autocommit": True}
    return AsyncConnectionPool(
        url, min_size=1, max_size=size, open=False, timeout=_CHECKOUT_SECONDS, max_lifetime=_RECYCLE_SECONDS,
        kwargs=kwargs, reset=_reset_role, configure=_configure, reconnect_timeout=30,
    )  # fmt: skip


async def _configure(connection: Connection) -> None:
    connection.prepared_max = 4000  # statements × tenants in use; more are simply not prepared


async def _reset_role(connection: Connection) -> None:
    """A net only: roles are taken inside transactions and end with them."""
    await connection.execute("RESET ROLE")


@asynccontextmanager
async def transaction(pool: AsyncConnectionPool[Connection], role: str) -> AsyncIterator[Connection]:
    """One transaction under one of the login's roles; the login itself may do nothing. Raises WorkErrors."""
    try:
        async with pool.connection() as connection, connection.transaction():
            await connection.execute(_TAKE_ROLE, (role,))
            yield connection
    except (psycopg.Error, OSError) as error:
        raise translate(error) from error
