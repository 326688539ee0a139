"""`python -m services.ingress drain DIR`: hand over what a copy of ingress that is gone left in its spool.

Records keep their names, so that one which Kafka has already does no harm. Not here: the spool (streams/spool.py).
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.domain.errors import WorkError
from services.ingress.spool_report import withdraw
from services.runtime import logs
from services.runtime.settings import Settings, SettingsError, load
from services.store.pools import Pools
from services.streams.errors import StartUpError
from services.streams.producer import Producer
from services.streams.spool import Bounds, Spool
from services.streams.spool_log import Log
from services.streams.topics import Topics

EMPTY: Final = 0
LEFT: Final = 1
UNUSABLE: Final = 2


def main(arguments: Sequence[str]) -> int:
    asked = _parser().parse_args(arguments)
    try:
        settings = load()
        logs.configure(settings, "drain")
        return asyncio.run(emptied(settings, asked.folder, asked.wait))
    except (SettingsError, StartUpError) as problem:
        print(problem, file=sys.stderr)
        return UNUSABLE
    except WorkError as problem:
        print(f"emptied, but the database does not know it yet ({problem}): run this again", file=sys.stderr)
        return LEFT


async def emptied(settings: Settings, folder: Path, seconds: float) -> int:
    """Drain a spool that no process uses. Raises StartUpError when one does, or when the folder cannot be used."""
    spool = Spool(Log(folder), Bounds(settings.spool_max_bytes, settings.spool_max_age_seconds))
    await spool.start()
    try:
        before = spool.records
        done = spool.is_empty or await _drained(settings, spool, seconds)
        if done:
            await _withdraw(settings, folder)
        print(f"{before - spool.records} records handed over, {spool.records} left"
              + (f", {spool.damaged} damaged pieces in {folder}/damaged" if spool.damaged else ""))  # fmt: skip
        return EMPTY if done else LEFT
    finally:
        await spool.stop()


async def _drained(settings: Settings, spool: Spool, seconds: float) -> bool:
    producer = Producer(settings, Topics(settings.topic_prefix, settings.profile))
    work = {asyncio.create_task(producer.start()), asyncio.create_task(spool.drain(producer))}
    try:
        return await spool.drained(seconds)
    finally:
        for task in work:
            task.cancel()
        await asyncio.wait(work)
        await producer.stop()


async def _withdraw(settings: Settings, folder: Path) -> None:
    """The copy that is gone reports no more; decisions wait for it until somebody says that nothing is left."""
    pools = Pools(settings, size=1, directory_size=1)
    await pools.open()
    try:
        await withdraw(pools, folder)
    finally:
        await pools.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.ingress drain", description="Hand over to Kafka what a spool still holds, in order.",
        epilog="ends with 0: empty · 1: something is left · 2: no spool, or one that a running copy uses",
    )  # fmt: skip
    parser.add_argument("folder", type=_existing, metavar="DIR", help="RECADO_SPOOL_DIR of the copy that is gone")
    parser.add_argument("--wait", type=float, default=60.0, metavar="SECONDS", help="how long to try")
    return parser


def _existing(text: str) -> Path:
    """A wrong name must not become a new, empty spool."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder")
    return Path(text)
