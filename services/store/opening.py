"""Opening the store for a process: pools, the directory and what keeps it fresh. Not here: what is read or written."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from services.runtime import crypto
from services.runtime.health import Health, State
from services.runtime.settings import Settings
from services.store.directory import Directory
from services.store.pools import Pools


class Store(NamedTuple):
    pools: Pools
    directory: Directory


@asynccontextmanager
async def opened(
    settings: Settings, health: Health, stop: asyncio.Event, *, size: int, secrets: bool = True
) -> AsyncIterator[Store]:
    """Open the pools and wait until the directory is known once, however long the database stays away.

    A room that needs no `secrets` reads no key file and holds none.
    """
    pools = Pools(settings, size=size)
    directory = Directory(pools, crypto.read_key_file(settings.key_file) if secrets else None)
    health.probe("database", lambda: _state(directory))
    await pools.open()
    refreshing = asyncio.create_task(directory.keep_fresh(stop), name="directory")
    try:
        await _first(directory.loaded.wait(), stop.wait())
        yield Store(pools, directory)
    finally:
        refreshing.cancel()
        await asyncio.wait({refreshing})
        await pools.close()


def _state(directory: Directory) -> tuple[State, str]:
    if not directory.loaded.is_set():
        return "down", "the directory was never read: is RECADO_DATABASE_URL right and the database up?"
    if directory.is_stale():
        return "degraded", "the directory could not be refreshed; the last knowledge serves"
    return "ok", ""


async def _first(*waits: Coroutine[Any, Any, Any]) -> None:
    tasks = {asyncio.create_task(wait) for wait in waits}
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
