"""How a process starts and stops: one event loop, SIGTERM and SIGINT set a flag, garbage frozen after start."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop

from services.runtime import logs
from services.runtime.settings import Settings, SettingsError, load


def freeze_garbage() -> None:
    """Take what start-up made out of the collector's sight: 10 % of a room's CPU (facts, python-limits §7)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


async def _supervise(room: Callable[[Settings, asyncio.Event], Awaitable[None]], settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await room(settings, stop)


def run_room(name: str, room: Callable[[Settings, asyncio.Event], Awaitable[None]]) -> None:
    """Run a room until it is told to stop; it drains before it returns. Wrong settings end with their name."""
    try:
        settings = load()
    except SettingsError as problem:
        sys.exit(str(problem))
    logs.configure(settings, name)
    uvloop.run(_supervise(room, settings))
