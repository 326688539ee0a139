"""The bench's own stack, tenants and processes; its folder is `bench` in the state folder. Nothing is measured here."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import psycopg

from services.devstack import infrastructure, lifecycle, prepare, processes, procfs, rooms
from services.devstack.kafka_jars import LIBS
from services.devstack.ports import MEMCACHED
from services.devstack.progress import wait_until
from services.devstack.seed import Account, App, Endpoint, Seed, Tenant, new_whsec
from services.devstack.stack import CHECKOUT, HOST, Stack
from services.domain.ids import derived_id
from services.domain.tenants import HOUSE_APP
from services.runtime import crypto
from services.runtime.settings import Settings, environment, load
from services.store.directory import Directory
from services.store.names import schema_of
from services.store.pools import Pools
from services.streams.admin import admin, create_topics
from services.streams.topics import Topics
from tests.bench import cores
from tests.bench.material import Number

TENANTS: Final = 50
FIRST_BASE: Final = 29000
STEP: Final = 40
_BASES: Final = 20
_DOOR_SECONDS: Final = 10.0
_WORKER_SECONDS: Final = 300.0
_TABLES: Final = ("contacts", "contact_identities", "conversations", "messages", "wamids", "message_statuses", "events")
_SHARED: Final = ("deferred", "delivery_queues", "deliveries", "send_attempts", "webhook_events")


@dataclass
class Stage:
    """A running stack. `numbers`: one of each tenant; `profiled`: the room that is looked into."""

    stack: Stack
    numbers: Sequence[Number] = ()
    secret: str = ""
    profiled: str = ""
    prefixes: Iterator[int] = field(default_factory=lambda: iter(range(1, 10_000)))

    @property
    def settings(self) -> Settings:
        """What a process of ours needs to reach everything: the rooms' login, Kafka, the key."""
        return rooms.room_settings(self.stack)

    def pids(self) -> dict[str, int]:
        found = {name: processes.running(self.stack, name) for name in processes.names(self.stack)}
        return {name.removesuffix("-1"): known.pid for name, known in found.items() if known}

    @contextmanager
    def topics(self) -> Iterator[Topics]:
        """A run's own topics and groups."""
        made = Topics(f"b{next(self.prefixes)}.", self.settings.profile)
        asyncio.run(create_topics(self.stack.kafka_bootstrap, made))
        try:
            yield made
        finally:
            asyncio.run(_delete(self.stack.kafka_bootstrap, made))

    @contextmanager
    def room(self, room: str, topics: Topics, **overrides: Any) -> Iterator[int]:
        """Run one copy of a room on these topics; gives its pid. It has ended when the block is left."""
        self.start(room, topics, **overrides)
        try:
            rooms.wait_room(self.stack, room)
            if room == "ingress":  # its health answers on another port, a moment before its door opens
                port = self.stack.ports.ingress
                wait_until(room, "opening its door", _DOOR_SECONDS, lambda: reaches(port))
            if room == self.profiled:
                processes.send(self.stack, f"{room}-1", signal.SIGUSR1)
            yield self.pids()[room]
        finally:
            rooms.stop_room(self.stack, room)

    def start(self, room: str, topics: Topics, **overrides: Any) -> None:
        """As devstack starts it; under profiled.py when it is the one that is looked into."""
        prefix = topics.full("wa.reply").removesuffix("wa.reply")
        if room != self.profiled:
            rooms.start_room(self.stack, room, topic_prefix=prefix, **overrides)
            return
        port = self.stack.ports.metrics(room)
        own: dict[str, Any] = {"metrics_port": port, "topic_prefix": prefix, **overrides}
        if room == "ingress":
            own["http_port"] = self.stack.ports.ingress
        settings = environment(msgspec.structs.replace(self.settings, **own))
        program = processes.python("tests.bench.profiled", settings, room, str(self.profile_path))
        started = processes.start(self.stack, f"{room}-1", program)
        copy = rooms.Copy(started.pid, f"http://{HOST}:{port}/metrics")
        (self.stack.rooms_dir / f"{room}-1.json").write_bytes(msgspec.json.encode(copy))

    @property
    def profile_path(self) -> Path:
        return self.stack.state_dir / f"{self.profiled}-samples.json"

    @contextmanager
    def simulator(self, name: str) -> Iterator[str]:
        """Run `graph` or `orchestrator`; gives its address."""
        rooms.start_simulator(self.stack, name)
        try:
            rooms.wait_simulator(self.stack, name)
            yield f"http://{HOST}:{rooms.simulator_port(self.stack, name)}"
        finally:
            processes.stop(self.stack, [name], grace_seconds=5.0)

    def alone(self, pid: int | None = None) -> None:
        """The process under test on the first core, everything else of ours, this program included, on the second."""
        first, second = cores.two()
        for each in (os.getpid(), *self.pids().values()):
            if each != pid:
                cores.pin(each, {second})
        if pid is not None:
            cores.pin(pid, {first})

    def together(self) -> None:
        """Everything wherever it likes, on two cores."""
        for each in (os.getpid(), *self.pids().values()):
            cores.pin(each, set(cores.two()))

    def worker(self, module: str, plan: msgspec.Struct, name: str = "plan") -> bytes:
        """Run a program of tests/bench to its end; returns what it printed."""
        return finish_worker(self.begin_worker(module, plan, name))

    def begin_worker(self, module: str, plan: msgspec.Struct, name: str = "plan") -> "subprocess.Popen[bytes]":
        path = self.path(f"{name}.json")
        path.write_bytes(msgspec.json.encode(plan))
        command = [sys.executable, "-m", f"tests.bench.{module}", str(path)]
        inherited = processes.inherited_environment() | environment(self.settings)
        return subprocess.Popen(command, cwd=CHECKOUT, env=inherited, stdout=subprocess.PIPE)

    def path(self, name: str) -> Path:
        return self.stack.state_dir / name

    def empty(self) -> None:
        """Leave no row of former runs, so that every run meets tables of the same size."""
        names = [f"{schema_of(number.tenant)}.{table}" for number in self.numbers for table in _TABLES]
        names += [f"recado.{table}" for table in _SHARED]
        with psycopg.connect(self.stack.database_url, autocommit=True) as connection:
            connection.execute(f"TRUNCATE {', '.join(names)}".encode())
            connection.execute("CHECKPOINT")

    def versions(self) -> dict[str, str]:
        """Of what is no Python package."""
        jars = sorted(path.name for path in LIBS.glob("kafka_*.jar"))
        return {
            "postgresql": str(self.ask("SHOW server_version")),
            "kafka": jars[-1] if jars else "by RECADO_KAFKA_HOME",
        }

    def ask(self, statement: str) -> Any:
        """One value of the database, read as its owner."""
        with psycopg.connect(self.stack.database_url, autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
        return row[0] if row else None


def reaches(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def finish_worker(worker: "subprocess.Popen[bytes]") -> bytes:
    """Wait for its end; raise when it failed."""
    output, _ = worker.communicate(timeout=_WORKER_SECONDS)
    if worker.returncode:
        raise subprocess.CalledProcessError(worker.returncode, worker.args)
    return output


@contextmanager
def opened(profiled: str) -> Iterator[Stage]:
    """Bring up the stack with its tenants, whatever a former run has left; stop it and drop its data at the end."""
    stack = _stack()
    _sweep(stack)
    try:
        infrastructure.infrastructure_up(stack)
        stage = Stage(stack, profiled=profiled)
        _furnish(stage)
        yield stage
    finally:
        _sweep(stack, keep=("logs",))


def state_dir() -> Path:
    """Where bench.json goes: the checkout's state folder."""
    return Stack.of(load()).state_dir


def _stack() -> Stack:
    bases = [FIRST_BASE + STEP * place for place in range(_BASES)]
    free = [base for base in bases if all(procfs.is_free(HOST, base + offset) for offset in range(MEMCACHED + 1))]
    given = load()
    mine = Settings(
        port_base=free[0], state_dir=str(state_dir() / "bench"), kafka_home=given.kafka_home, log_format="json"
    )
    return Stack.of(mine)


def _sweep(stack: Stack, keep: Sequence[str] = ()) -> None:
    lifecycle.down(stack)
    stack.outside_dir()  # made when it is not there, so that it can be removed with what a run put into it
    shutil.rmtree(stack.outside_dir())
    kept = {path for pattern in keep for path in stack.state_dir.glob(pattern)}
    for path in stack.state_dir.iterdir() if stack.state_dir.exists() else ():
        if path in kept:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _furnish(stage: Stage) -> None:
    """Database, tenants with a number each, and the endpoint of the first one."""
    stack = stage.stack
    prepare.make_database(stack)
    rooms.configure(
        stack, database_url=prepare.login_url(stack), orchestrator_secret=prepare.default_endpoint_secret(stack)
    )
    stage.secret = stack.secret("bench-app")
    endpoint = new_whsec()
    prepare.plant(stack, _seed(stack, stage.secret, endpoint))
    tenants = asyncio.run(_tenant_numbers(stage.settings))
    stage.numbers = [
        Number(tenants[account.account_id], account.account_id, account.phone_number, account.phone_number_id,
               account.waba_id)
        for account in map(_account, range(TENANTS))
    ]  # fmt: skip
    (stack.secret_path("bench-endpoint")).write_text(endpoint)


def tell_orchestrator(stage: Stage, url: str) -> None:
    """The secret of the first tenant's endpoint, so that every push's signature is checked."""
    secret = stage.stack.secret_path("bench-endpoint").read_text()
    answer = httpx.post(f"{url}/control/endpoints", json={"path": _path(0), "secret": secret}, trust_env=False)
    answer.raise_for_status()


async def _delete(bootstrap: str, topics: Topics) -> None:
    async with admin(bootstrap) as client:
        await client.delete_topics([topics.full(topic.name) for topic in topics.all()])


async def _tenant_numbers(settings: Settings) -> Mapping[str, int]:
    pools = Pools(settings, size=1, directory_size=1)
    await pools.open()
    try:
        directory = Directory(pools, crypto.read_key_file(settings.key_file))
        await directory.refresh()
        return {account.id: account.tenant for account in directory.book.accounts.values()}
    finally:
        await pools.close()


def _seed(stack: Stack, secret: str, endpoint_secret: str) -> Seed:
    app = App(app_id=HOUSE_APP, secrets=[secret], verify_token="bench")
    endpoint = Endpoint(
        endpoint_id=derived_id("end", "bench"), url=f"{stack.orchestrator_url}{_path(0)}", secret=endpoint_secret
    )
    tenants = [
        Tenant(company_id=_company(place), accounts=[_account(place)], endpoints=[] if place else [endpoint])
        for place in range(TENANTS)
    ]
    return Seed(apps=[app], tenants=tenants)


def _account(place: int) -> Account:
    phone = f"+5932200{place:05d}"
    return Account(
        account_id=derived_id("acc", phone), business_id=f"business_{place}", phone_number=phone,
        phone_number_id=f"1068{place:05d}774500", waba_id=f"1024{place:05d}339800", api_key=f"EAAbench{place}",
    )  # fmt: skip


def _company(place: int) -> str:
    return f"bench_{place:03d}"


def _path(place: int) -> str:
    return f"/events/{_company(place)}"
