"""The API's way into the database for reads: the only async SQLAlchemy engine, and the door to one tenant's schema.

Reads only: what is announced is written by stream rooms, the directory by store/accounts.py. Every failure of the
database leaves here as one of two kinds: a problem that says "try again", or a bug.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.domain.errors import ProblemError, WorkError
from services.runtime.settings import Settings
from services.store.directory import ROLE
from services.store.failures import translate
from services.store.names import SCHEMA_PLACEHOLDER, role_of, schema_of
from services.store.tenancy import SWITCH

_RECYCLE_SECONDS: Final = 900  # bounds what a backend's relation cache grows to
_CHECKOUT_SECONDS: Final = 3.0
_RETRY_AFTER_SECONDS: Final = 5
_OPTIONS: Final = "-c statement_timeout=5s -c lock_timeout=2s -c client_connection_check_interval=5s"


class Reads:
    """One per process. Nothing connects before the first read, so a room starts while the database is away."""

    def __init__(self, settings: Settings, *, size: int = 5) -> None:
        self._directory = _engine(settings.database_url, size)
        # one cell is the default; it lives in the directory's database
        self._cells = {"default": self._directory}

    async def close(self) -> None:
        for engine in {id(engine): engine for engine in (self._directory, *self._cells.values())}.values():
            await engine.dispose()

    @asynccontextmanager
    async def tenant_session(self, tenant: int, cell: str) -> AsyncIterator[AsyncConnection]:
        """Yield a transaction that sees one tenant: its schema by the translate map, its rights by the role."""
        schema = schema_of(tenant)
        async with _transaction(self._cells[cell]) as connection:
            await connection.exec_driver_sql(SWITCH.decode(), (role_of(tenant), str(tenant)))
            yield await connection.execution_options(schema_translate_map={SCHEMA_PLACEHOLDER: schema})

    @asynccontextmanager
    async def directory_session(self) -> AsyncIterator[AsyncConnection]:
        async with _transaction(self._directory) as connection:
            await connection.exec_driver_sql(SWITCH.decode(), (ROLE, ""))
            yield connection


def _engine(url: str, size: int) -> AsyncEngine:
    return create_async_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1) or "postgresql+psycopg://",
        pool_size=size, max_overflow=size, pool_timeout=_CHECKOUT_SECONDS, pool_pre_ping=True,
        pool_recycle=_RECYCLE_SECONDS, connect_args={"options": _OPTIONS, "connect_timeout": 3},
    )  # fmt: skip


@asynccontextmanager
async def _transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    try:
        async with engine.begin() as connection:
            yield connection
    except (exc.SQLAlchemyError, OSError) as error:
        cause = error.orig if isinstance(error, exc.DBAPIError) and error.orig else error
        if isinstance(cause, exc.TimeoutError) or isinstance(translate(cause), WorkError):
            raise unavailable() from error
        raise


def unavailable() -> ProblemError:
    return ProblemError(
        "store_unavailable", "The database does not answer; what was accepted is safe.",
        retry_after_seconds=_RETRY_AFTER_SECONDS,
    )  # fmt: skip
