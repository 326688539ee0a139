"""Whether Kafka answers, asked every two seconds on a connection of its own: readiness by evidence, traffic or not.

Not here: what happens to records (streams/producer.py)."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from aiokafka.errors import KafkaError

from services.runtime.health import Health, State
from services.streams.admin import admin
from services.streams.backoff import Backoff

NAME: Final = "kafka"
_EVERY_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 3.0  # a frozen broker takes connections and says nothing


async def watch(bootstrap: str, health: Health, stop: asyncio.Event, away: Callable[[], State]) -> None:
    """Keep the check `kafka` true until told to stop; `away`: how bad it is now that it does not answer."""
    health.set(NAME, "down", "not connected yet")
    backoff = Backoff(first=0.5, most=_EVERY_SECONDS)
    while not stop.is_set():
        try:
            await _ask_until_lost(bootstrap, health, stop, backoff)
        except (KafkaError, OSError, TimeoutError) as error:
            health.set(NAME, away(), f"no answer ({type(error).__name__})")
            await _pause(stop, backoff.next())


async def _ask_until_lost(bootstrap: str, health: Health, stop: asyncio.Event, backoff: Backoff) -> None:
    async with asyncio.timeout(None) as patience, admin(bootstrap) as client:
        while not stop.is_set():
            patience.reschedule(asyncio.get_running_loop().time() + _ANSWER_SECONDS)
            await client.describe_cluster()
            patience.reschedule(None)
            health.set(NAME, "ok")
            backoff.reset()
            await _pause(stop, _EVERY_SECONDS)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
