"""The fault bench's own stack: settings under which waits are short, and every way to hurt a part of it.

Not here: what is done to it when (crash.py, outage.py, …), and whether it stood it (verdict.py).
"""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from services.devstack import demo_file, infrastructure, lifecycle, prepare, processes, procfs, rooms, seed
from services.devstack.demo_bodies import Json
from services.devstack.ports import MEMCACHED
from services.devstack.stack import HOST, Stack, StackError
from services.runtime.settings import Settings, load
from services.streams.topics import Topics

FIRST_BASE: Final = 31000
STEP: Final = 40
BASES: Final = 20
PUSH_SCHEDULE_SECONDS: Final = [1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 16, 16]
"""Of the tenants' endpoints: many short waits, so that what was refused for a minute still arrives."""


@dataclass(frozen=True)
class Stage:
    """A stack that runs. `demo` is what demo.json said when it came up."""

    stack: Stack
    demo: Json

    @property
    def topics(self) -> Topics:
        return Topics(self.stack.settings.topic_prefix, self.stack.settings.profile)

    async def restart(self, room: str, n: int = rooms.FIRST, **overrides: Any) -> subprocess.Popen[bytes]:
        """Stop a copy if it runs, start it, wait until its health is good. `overrides` are fields of Settings."""
        await asyncio.to_thread(rooms.restart_room, self.stack, room, n, **overrides)
        return self.child(room, n)

    async def stop(self, room: str, n: int = rooms.FIRST) -> None:
        await asyncio.to_thread(rooms.stop_room, self.stack, room, n)

    async def kill(self, room: str, n: int = rooms.FIRST) -> None:
        """Send -9 and wait until it is gone."""
        await asyncio.to_thread(rooms.kill_room, self.stack, room, n)

    @asynccontextmanager
    async def frozen(self, room: str) -> AsyncIterator[None]:
        """Let a room stand still, as on a machine that hangs, until the block is left."""
        rooms.kill_room(self.stack, room, number=signal.SIGSTOP)
        try:
            yield
        finally:
            rooms.kill_room(self.stack, room, number=signal.SIGCONT)

    def child(self, room: str, n: int = rooms.FIRST) -> subprocess.Popen[bytes]:
        """The process itself, of which alone one learns how it ended."""
        running = processes.peek(self.stack, f"{room}-{n}")
        if running is None or running not in processes._children:
            raise StackError(f"{room}-{n} was not started by this process")
        return processes._children[running]

    def log_of(self, room: str, n: int = rooms.FIRST) -> Path:
        return processes.log_path(self.stack, f"{room}-{n}")


@contextmanager
def stage(folder: Path, *, first_base: int = FIRST_BASE) -> Iterator[Stage]:
    """Bring a whole stack up in this folder; what runs and lies outside the folder is gone when the block is left."""
    stack = Stack.of(short_waits(folder, first_base))
    try:
        _shorten_push_schedule(stack)
        lifecycle.up(stack)
        yield Stage(stack, msgspec.json.decode(demo_file.path(stack).read_bytes()))
    finally:
        lifecycle.clean(stack)


def short_waits(folder: Path, first_base: int) -> Settings:
    """The broker takes no session below 6 s; a lease must outlive the call that it covers."""
    ours = Settings(kafka_home=load().kafka_home)  # a stack named by settings could not be killed
    return msgspec.structs.replace(
        ours, port_base=_free_base(first_base), state_dir=str(folder), consumer_session_seconds=6.0,
        send_lease_seconds=6.0, send_timeout_seconds=3.0, send_retry_base_seconds=0.3,
    )  # fmt: skip


def _shorten_push_schedule(stack: Stack) -> None:
    """The local seed is drawn once and kept, so what is written before the first start is what tenants are made of."""
    drawn = seed.local_seed(stack.secret_path(prepare.LOCAL_SEED), stack.orchestrator_url)
    tenants = [
        msgspec.structs.replace(tenant, endpoints=[
            msgspec.structs.replace(end, schedule_seconds=PUSH_SCHEDULE_SECONDS) for end in tenant.endpoints
        ])
        for tenant in drawn.tenants
    ]  # fmt: skip
    kept = msgspec.structs.replace(drawn, tenants=tenants)
    stack.secret_path(prepare.LOCAL_SEED).write_bytes(msgspec.json.encode(kept))


def _free_base(first: int) -> int:
    bases = range(first, first + STEP * BASES, STEP)
    free = (base for base in bases if all(procfs.is_free(HOST, base + offset) for offset in range(MEMCACHED + 1)))
    found = next(free, None)
    if found is None:
        raise StackError(f"no free ports from {first} to {bases[-1] + MEMCACHED}: stop what holds them")
    return found


def mend(stage: Stage) -> None:
    """Start again whatever a case that failed half-way left stopped or armed. Blocks."""
    infrastructure.infrastructure_up(stage.stack)
    for room in rooms.ROOMS:
        running = processes.running(stage.stack, f"{room}-{rooms.FIRST}")
        if running is None or not rooms.health(stage.stack.ports.metrics(room))[0]:
            rooms.restart_room(stage.stack, room)
