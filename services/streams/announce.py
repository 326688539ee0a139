"""What a room settled is made known: events in order and durable, then dead letters, then replies that may be lost."""

import asyncio
from collections.abc import Sequence
from typing import Final

from services.runtime.clock import monotonic, now
from services.runtime.crash import CrashPoints
from services.runtime.logs import get_logger
from services.runtime.metrics import DEAD_LETTERS
from services.streams.assignment import Work
from services.streams.batch import Dead, Handled
from services.streams.codec import Outgoing
from services.streams.deadletter import StopLimit, dead_letter
from services.streams.errors import RoomStoppedError
from services.streams.producer import Flight, Producer

DEADLINE_SECONDS: Final = 10.0


class Announcer:
    """Between the database's commit and the offsets' commit."""

    def __init__(self, *, room: str, producer: Producer, crash: CrashPoints, limit: StopLimit, one_first: bool) -> None:
        """`one_first`: await the first record alone, so that a process can die between it and the rest."""
        self._room = room
        self._producer = producer
        self._crash = crash
        self._limit = limit
        self._one_first = one_first
        self._log = get_logger()

    async def announce(self, work: Work, handled: Handled) -> asyncio.Task[None] | None:
        """Send in order; the task returned ends when all is durable and the records are settled.

        Raises DependencyAwayError, RecordError (an event too large), RoomStoppedError.
        """
        self._crash.reach("after_commit_db")
        for dead in handled.dead:
            self._refuse_a_flood(dead)
        outgoing = [*handled.events, *(dead_letter(dead, self._room, now()) for dead in handled.dead)]
        deadline = monotonic() + DEADLINE_SECONDS
        flight = await self._send(outgoing, deadline)
        if handled.replies:
            await self._producer.tell(handled.replies)
        if flight is None:
            self._settle(work, handled)
            return None
        return asyncio.create_task(self._confirm(work, handled, flight, deadline))

    async def _send(self, outgoing: Sequence[Outgoing], deadline: float) -> Flight | None:
        if not outgoing:
            return None
        if self._one_first:
            await self._producer.produce(outgoing[:1], deadline - monotonic())
            self._crash.reach("after_first_produce")
            outgoing = outgoing[1:]
        return await self._producer.post(outgoing, deadline)

    async def _confirm(self, work: Work, handled: Handled, flight: Flight, deadline: float) -> None:
        await self._producer.landed(flight, deadline)
        self._settle(work, handled)

    def _settle(self, work: Work, handled: Handled) -> None:
        self._crash.reach("after_produce")
        work.settle(handled.records)
        for dead in handled.dead:
            DEAD_LETTERS.labels(self._room, dead.reason).inc()
            self._log.warning(
                "record_set_aside",
                reason=dead.reason,
                detail=dead.detail,
                name=str(dead.record.name),
                topic=dead.record.topic,
                partition=dead.record.partition,
                offset=dead.record.offset,
            )

    def _refuse_a_flood(self, dead: Dead) -> None:
        if self._limit.reached(dead, monotonic()):
            raise RoomStoppedError(
                "too many tenants' records fail with a bug: the deploy is bad; roll it back, then start the room again"
            )
