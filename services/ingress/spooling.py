"""What makes a request durable: Kafka, or this copy's spool while Kafka is away or anything older waits there.

Not here: the spool itself (streams/spool.py), what is answered.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from services.ingress.deps import Producing
from services.runtime.health import Health, State
from services.runtime.logs import get_logger
from services.runtime.settings import Settings
from services.streams.codec import Outgoing
from services.streams.producer import Outcome, Producer
from services.streams.spool import Bounds, Draining, Spool
from services.streams.spool_log import Log

NAME: Final = "spool"
_NO_PRODUCER: Final = "no connection that could make a webhook durable; a new one is being made"


class Sized(Producing, Draining, Protocol):
    """What is asked of the producer: to try now, to say what is too large, and to take what the spool holds."""


class Connected(Protocol):
    @property
    def is_connected(self) -> bool: ...


class Durable:
    """Answers as the producer does; DURABLE also means: on this copy's disk, under the same name."""

    def __init__(self, producer: Sized, spool: Spool) -> None:
        self._producer = producer
        self._spool = spool

    async def produce_each(self, outgoing: Sequence[Outgoing], deadline_seconds: float) -> list[Outcome]:
        """Raises RecordError("too_large") before anything is kept."""
        if self._spool.is_empty:
            outcomes = await self._producer.produce_each(outgoing, deadline_seconds)
            if outcomes.count(Outcome.DURABLE) == len(outgoing):
                return outcomes
            left = [record for record, outcome in zip(outgoing, outcomes, strict=True)
                    if outcome is not Outcome.DURABLE]  # fmt: skip
        else:  # order: behind what came before, although Kafka may be back
            self._producer.check_sizes(outgoing)
            outcomes, left = [Outcome.NOT_SENT] * len(outgoing), list(outgoing)
        if await self._spool.take(left):  # what is unknown, too: its name makes a second arrival harmless
            return [Outcome.DURABLE] * len(outgoing)
        return outcomes


def folder_of(settings: Settings) -> Path:
    return Path(settings.spool_dir or Path(settings.state_dir) / "spool" / "ingress")


def make_spool(settings: Settings) -> Spool:
    return Spool(Log(folder_of(settings)), Bounds(settings.spool_max_bytes, settings.spool_max_age_seconds))


@asynccontextmanager
async def draining(spool: Spool, producer: Producer, stop: asyncio.Event, seconds: float) -> AsyncIterator[None]:
    """Drain while the block lasts, and for so long after it; then say what remains."""
    task = asyncio.create_task(spool.drain(producer), name="spool-drain")
    task.add_done_callback(lambda _: stop.set())  # it never ends by itself: a spool that nobody drains must not fill
    try:
        yield
        if not task.done():
            await spool.drained(seconds)
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not spool.is_empty:
            get_logger().warning("spool_remains", records=spool.records, bytes=spool.size_bytes,
                                 oldest_seconds=round(spool.oldest_seconds()), folder=spool.folder)  # fmt: skip
    if not task.cancelled():
        task.result()  # why it ended


def show(health: Health, spool: Spool, producer: Connected) -> None:
    """Kafka or the spool suffices to work: only both away is down."""
    health.probe(NAME, lambda: _state_of(spool))
    health.probe("producer", lambda: ("ok", "") if producer.is_connected else (away(spool), _NO_PRODUCER))


def away(spool: Spool) -> State:
    """How bad it is that Kafka is away."""
    return "down" if spool.refusal() else "degraded"


def _state_of(spool: Spool) -> tuple[State, str]:
    refusal = spool.refusal()
    damage = f"; {spool.damaged} damaged pieces in {spool.folder}/damaged" if spool.damaged else ""
    if spool.is_empty:
        return ("degraded" if refusal or damage else "ok"), refusal + damage
    held = (f"{spool.records} records ({spool.size_bytes} bytes, the oldest for {spool.oldest_seconds():.0f} s) "
            f"wait for Kafka in {spool.folder}")  # fmt: skip
    return ("down" if refusal else "degraded"), (f"{refusal}; " if refusal else "") + held + damage
