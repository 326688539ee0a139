"""Real Kafka, PostgreSQL and Memcached, started once a test run; and a whole corridor on them for who needs one.

A fixture of these may be imported into another folder's conftest: what is started, is started once a process.
"""

import dataclasses
import fcntl
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec
import psycopg
import pytest

from services.devstack import demo_file, infrastructure, lifecycle, memcached, prepare, procfs, progress, rooms
from services.devstack.ports import MEMCACHED
from services.devstack.stack import HOST, Stack
from services.runtime.settings import Settings

FIRST_BASE = 28000
STEP = 40
OPEN_SECONDS = 30.0
TEST_DATABASE = "recado_tests"

T = TypeVar("T")
_started: dict[str, Any] = {}
_marks: list[IO[str]] = []


class SettingsFor(Protocol):
    def __call__(self, room: str, **overrides: Any) -> Settings: ...


@dataclasses.dataclass(frozen=True)
class Corridor:
    """A stack with simulators, rooms and the seed's tenants. `demo` is what demo.json says."""

    stack: Stack
    demo: dict[str, Any]


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Stack:
    """Kafka, PostgreSQL and Memcached on ports and in a folder of their own; no rooms yet."""
    return _once("stack", lambda: _start_stack(request.config))


@pytest.fixture(scope="session")
def kafka_bootstrap(stack: Stack) -> str:
    return stack.kafka_bootstrap


@pytest.fixture(scope="session")
def memcached_address(stack: Stack) -> str:
    return memcached.address(stack)


@pytest.fixture(scope="session")
def database(stack: Stack) -> str:
    """The owner's URL of a fresh, provisioned database. Its tenants are the tests' own."""
    return _once("database", lambda: _make_database(stack).database_url)


@pytest.fixture(scope="session")
def settings_for(stack: Stack, database: str) -> SettingsFor:
    """Settings of a room inside the test process: the rooms' login on `database`, this stack's Kafka and Memcached."""
    there = _with_database(stack, database)

    def make(room: str, **overrides: Any) -> Settings:
        known = {
            "database_url": prepare.login_url(there),
            "kafka_bootstrap_servers": stack.kafka_bootstrap,
            "memcached_servers": memcached.address(stack),
        }
        return msgspec.structs.replace(stack.settings, **(known | overrides))

    return make


@pytest.fixture(scope="session")
def corridor(stack: Stack) -> Corridor:
    """Everything, as `make up` starts it."""
    return _once("corridor", lambda: _start_corridor(stack))


def _once(name: str, start: Callable[[], T]) -> T:
    if name not in _started:
        _started[name] = start()
    found: T = _started[name]
    return found


def _start_stack(config: pytest.Config) -> Stack:
    """The folder is none of pytest's: another run may remove those, and nobody but their owner may enter them."""
    folder = Path(tempfile.mkdtemp(prefix="recado-tests-"))
    folder.chmod(0o755)
    base = next(_free_bases(_worker(config)))
    made = Stack.of(Settings(port_base=base, state_dir=str(folder), consumer_session_seconds=6.0))
    config.add_cleanup(lambda: _end(made))
    infrastructure.infrastructure_up(made)
    return made


def _end(stack: Stack) -> None:
    lifecycle.clean(stack)
    shutil.rmtree(stack.state_dir)
    while _marks:
        _marks.pop().close()


def _start_corridor(stack: Stack) -> Corridor:
    lifecycle.up(stack)
    # a room's own /health may be good a moment before the API's port is open
    progress.wait_until("ingress", "opening its port", OPEN_SECONDS, lambda: rooms.health(stack.ports.ingress)[0])
    return Corridor(stack, msgspec.json.decode(demo_file.path(stack).read_bytes()))


def _make_database(stack: Stack) -> Stack:
    there = _with_database(stack, urlunsplit(urlsplit(stack.database_url)._replace(path=f"/{TEST_DATABASE}")))
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {TEST_DATABASE} WITH (FORCE)".encode())
    prepare.make_database(there)
    return there


def _with_database(stack: Stack, url: str) -> Stack:
    return dataclasses.replace(stack, settings=msgspec.structs.replace(stack.settings, database_url=url))


def _worker(config: pytest.Config) -> int:
    """The number of the xdist worker that this process is; 0 without xdist."""
    name = getattr(config, "workerinput", {}).get("workerid", "gw0")
    return int(name.removeprefix("gw"))


def _free_bases(worker: int) -> Iterator[int]:
    """Port bases that are ours: marked by a lock that lives as long as this process, and nobody uses a port now."""
    for turn in itertools.count():
        base = FIRST_BASE + STEP * (worker * 20 + turn)
        if _mark(base) and all(procfs.is_free(HOST, base + offset) for offset in range(MEMCACHED + 1)):
            yield base


def _mark(base: int) -> bool:
    """Two runs that begin at the same moment would both find the ports free."""
    mark = (Path(tempfile.gettempdir()) / f"recado-ports-{base}.lock").open("w")
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        mark.close()
        return False
    _marks.append(mark)
    return True
