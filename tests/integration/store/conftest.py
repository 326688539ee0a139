"""A database with tenants that belong to these tests alone."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from services.runtime import crypto
from services.store import provision
from services.store.pools import Pools
from tests.integration.conftest import SettingsFor
from tests.integration.store.kit import Store, new_base


def with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def make_tenants(database: str) -> Callable[[int], list[int]]:
    """Make so many tenants. Their data keys are nobody's, so no directory may try to open them: not active."""

    def make(count: int) -> list[int]:
        made = [
            provision.create_tenant(database, f"store_{new_base().hex[:24]}", crypto.new_key()) for _ in range(count)
        ]
        with psycopg.connect(database) as connection:
            connection.execute("UPDATE recado_directory.tenants SET status = 'test' WHERE no = ANY(%s)", (made,))
        return made

    return make


@pytest.fixture(scope="session")
def tenants(make_tenants: Callable[[int], list[int]]) -> list[int]:
    """Three tenants that all tests of the store share; each test brings users and messages of its own."""
    return make_tenants(3)


@pytest.fixture
def tenant(make_tenants: Callable[[int], list[int]]) -> int:
    """A tenant in which nothing has happened."""
    (made,) = make_tenants(1)
    return made


@pytest_asyncio.fixture(scope="session")
async def opened(database: str, settings_for: SettingsFor) -> AsyncIterator[Store]:
    pools = Pools(settings_for("normaliser"), size=8)
    await pools.open()
    yield Store(pools, database)
    await pools.close()


@pytest_asyncio.fixture
async def store(opened: Store) -> Store:
    """Its connections alive: other tests restart the database under pools that live as long as the session."""
    for pool in (opened.pools.directory, opened.pools.cell("default")):
        await pool.check()
    return opened


@contextmanager
def an_empty_database(database: str) -> Iterator[str]:
    """Make a database in which there is nothing yet, beside another one; its owner's URL."""
    name = f"recado_fresh_{new_base().hex[:12]}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield with_database(database, name)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def fresh_database(database: str) -> Iterator[str]:
    with an_empty_database(database) as url:
        yield url
