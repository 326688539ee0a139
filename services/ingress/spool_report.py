"""Tells the directory every few seconds what this copy's spool holds, so that nobody decides on missing evidence
(architecture §2.4). Not here: the spool (streams/spool.py)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from services.domain.errors import WorkError
from services.runtime import clock
from services.runtime.logs import get_logger
from services.store import spools
from services.store.directory import ROLE
from services.store.pools import Pools, transaction
from services.streams.spool import Spool

_EVERY_SECONDS: Final = 5.0
_IDENTITY: Final = "copy"


def identity_of(folder: Path) -> str:
    """Return the spool's name, which goes where its folder goes: whoever empties an orphan withdraws its report."""
    path = folder / _IDENTITY
    with contextlib.suppress(FileExistsError), path.open("x") as file:
        file.write(str(clock.new_uuid7()))
    return path.read_text()


@contextlib.asynccontextmanager
async def reporting(spool: Spool, pools: Pools) -> AsyncIterator[None]:
    """Report while the block lasts. What is still held at its end stays reported; an empty spool is withdrawn."""
    copy = await asyncio.to_thread(identity_of, Path(spool.folder))
    task = asyncio.create_task(_keep_reporting(spool, pools, copy), name="spool-report")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    await _say(spool, pools, copy, at_the_end=True)


async def withdraw(pools: Pools, folder: Path) -> None:
    """Take back the report of a spool that was emptied. Raises DependencyAwayError while the database is away."""
    async with transaction(pools.directory, ROLE) as connection:
        await spools.withdraw(connection, identity_of(folder))


async def _keep_reporting(spool: Spool, pools: Pools, copy: str) -> None:
    while True:
        await _say(spool, pools, copy)
        await asyncio.sleep(_EVERY_SECONDS)


async def _say(spool: Spool, pools: Pools, copy: str, *, at_the_end: bool = False) -> None:
    """A report that does not get through leaves the one before, which holds decisions up: nothing is guessed."""
    now = clock.now()
    try:
        async with transaction(pools.directory, ROLE) as connection:
            if at_the_end and spool.is_empty:
                await spools.withdraw(connection, copy)
            else:
                await spools.report(connection, copy, now, oldest_of(spool, now))
    except WorkError as error:
        get_logger().info("spool_not_reported", err=str(error))


def oldest_of(spool: Spool, now: datetime) -> datetime | None:
    return None if spool.is_empty else now - timedelta(seconds=spool.oldest_seconds())
