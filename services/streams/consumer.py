"""The consume loop, one for all stream rooms: poll → handle → produce → commit, by the eleven rules of facts/kafka.md.

A room's main is this page:

    async def room(settings: Settings, stop: asyncio.Event) -> None:
        topics = Topics(settings.topic_prefix, settings.profile)
        health = Health()
        serve(health, settings.metrics_port)
        await probe(settings, topics, [TopicName.RAW, TopicName.EVENT_MESSAGE, dead_topic("normaliser")], stop)
        producer = Producer(settings, topics)
        await producer.start(stop)
        consumer = Consumer(
            settings=settings, topics=topics, room="normaliser", group="normaliser", subscribed=[TopicName.RAW],
            handler=handle, producer=producer, crash=CrashPoints("normaliser", settings.crash_at), health=health,
        )
        try:
            await consumer.run(stop)
        finally:
            await producer.stop()

    async def handle(batch: Batch) -> AsyncIterator[Handled]:
        for group in groups(batch.records):
            async with transaction() as tx: ...
            yield Handled(records=group, events=events)

Without `flow` one poll is one batch, complete before its commit and the next poll; with `abreast` above 1 so many full
batches may be under way at once, none with a partition of another's. With `flow` records are worked on
per key while polling goes on, in chunks that never mix topics; only the commit waits for a slow one.
Not here: one client object's life (session.py), failures (settle.py), liveness (watchdog.py).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import count
from typing import Final

from services.runtime.clock import monotonic
from services.runtime.crash import CrashPoints
from services.runtime.health import Health
from services.runtime.logs import get_logger
from services.runtime.settings import Settings
from services.streams.announce import Announcer
from services.streams.assignment import Assignment, Work
from services.streams.backoff import Backoff
from services.streams.batch import Batch, Dead, Handled, Handler
from services.streams.codec import Outgoing, Record
from services.streams.deadletter import StopLimit
from services.streams.errors import DoubtError, LostRangeError, RoomStoppedError, StartUpError
from services.streams.flow import Capacity, Flow, Grant, Slots
from services.streams.intake import pause_seconds
from services.streams.offsets import Slot
from services.streams.outage import Outage
from services.streams.producer import Producer
from services.streams.session import Polled, Room, Session
from services.streams.settle import Settler
from services.streams.topics import TopicName, Topics
from services.streams.watchdog import Watchdog

__all__ = [
    "Batch", "Capacity", "Consumer", "Dead", "Flow", "Handled", "Handler", "LostRangeError", "Outgoing", "Record",
    "RoomStoppedError", "Slots", "StartUpError",
]  # fmt: skip

KEEP_ALIVE_SECONDS: Final = 1.0
LOOK_AGAIN_SECONDS: Final = 0.01  # beside a running batch, for one of the other partitions
GATHER_SECONDS: Final = 0.010  # how long freed slots gather before a chunk smaller than it could be begins


class Consumer:
    """Runs a room until it is told to stop. `run` raises RoomStoppedError when going on would do harm."""

    def __init__(
        self,
        *,
        settings: Settings,
        topics: Topics,
        room: str,
        group: str,
        subscribed: Sequence[TopicName],
        handler: Handler,
        producer: Producer,
        crash: CrashPoints,
        health: Health,
        flow: Flow | None = None,
        abreast: int = 1,
        drain_seconds: float = 10.0,
        request_timeout_seconds: float = 15.0,
        equal_partitions: Sequence[TopicName] = (),
        on_revoked: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`group` without prefix. `subscribed`: the most urgent first. `abreast`: so many full batches of different
        partitions at once, so that the room computes while the database works on another. `drain_seconds` bounds what
        a revocation or a stop waits for; `request_timeout_seconds` must be above it. `equal_partitions`: topics of
        which this copy must hold the same numbers. `on_revoked` is awaited when partitions are being taken away, before
        running work is."""
        self._room = Room(
            settings=settings,
            topics=topics,
            name=room,
            group=group,
            subscribed=subscribed,
            crash=crash,
            flow=flow,
            drain_seconds=drain_seconds,
            request_timeout_seconds=request_timeout_seconds,
            equal_partitions=equal_partitions,
            on_revoked=on_revoked,
        )
        self._abreast = abreast
        self._log = get_logger()
        self._outage = Outage(health)
        self._settler = Settler(
            handler=handler,
            announcer=Announcer(
                room=room,
                producer=producer,
                crash=crash,
                limit=StopLimit(settings.stop_after_tenants),
                one_first=settings.crash_at.startswith(f"{room}:after_first_produce:"),
            ),
            outage=self._outage,
            slots_for=self._slots_for,
        )
        self._batches: dict[asyncio.Task[None], Polled] = {}
        self._epochs = count(1)
        self._session: Session | None = None
        self._pumping: asyncio.TimerHandle | None = None
        self._pump_at = 0.0
        self._short_since: float | None = None
        self._watchdog = Watchdog(self._room, health, lambda: self._session)
        if flow is not None:
            flow.capacity.watch(self._pump_soon)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`; then drain, commit and leave, bounded."""
        watching = asyncio.create_task(self._watchdog.run(), name="watchdog")
        backoff = Backoff()
        try:
            while not stop.is_set():
                try:
                    await self._run_session(stop)
                except DoubtError as error:
                    self._log.warning("consumer_rebuilt", reason=str(error))
                    await self._outage.wait(backoff, stop)
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    async def _run_session(self, stop: asyncio.Event) -> None:
        session = self._session = Session(self._room, self._outage, partial(next, self._epochs))
        try:
            if await session.open(stop):
                try:
                    await self._turns(session, stop)
                finally:
                    with contextlib.suppress(DoubtError):
                        await session.drain()
        finally:
            await session.close(cancel=stop.is_set())

    async def _turns(self, session: Session, stop: asyncio.Event) -> None:
        while not stop.is_set():
            session.raise_failure()
            await session.commit()
            polled = await session.poll(self._slots_under_way())
            if polled is None:
                await self._batch_ends(session, LOOK_AGAIN_SECONDS)
                continue
            if self._room.flow is None:
                await self._work_through(session, polled)
            else:
                self._queue(polled)
            await asyncio.sleep(pause_seconds(len(polled.records), self._room.settings.max_poll_records))

    async def _work_through(self, session: Session, polled: Polled) -> None:
        """One batch to its end, or until a full one leaves room for another; membership is kept up meanwhile."""
        while any(other.assignment is not polled.assignment for other in self._batches.values()):
            await self._batch_ends(session, KEEP_ALIVE_SECONDS)  # of a former grant: may hold the same partitions
        if polled.assignment.ending.is_set():
            return  # taken away meanwhile; whoever has it reads it again
        task = self._begin(session, polled.assignment, polled.records, polled.at, Grant(None, 0))
        self._batches[task] = polled
        task.add_done_callback(self._batches.pop)
        is_full = len(polled.records) >= self._room.settings.max_poll_records
        while len(self._batches) >= (self._abreast if is_full and not self._outage.is_on else 1):
            await self._batch_ends(session, KEEP_ALIVE_SECONDS)

    async def _batch_ends(self, session: Session, seconds: float) -> None:
        """Wait for any batch under way, at most so long."""
        if self._batches:
            await asyncio.wait(set(self._batches), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            session.turned_at = monotonic()
            session.raise_failure()
            if self._outage.is_on and self._batches:
                await session.keep_alive()

    def _slots_under_way(self) -> frozenset[Slot]:
        return frozenset().union(*(polled.slots for polled in self._batches.values()))

    def _queue(self, polled: Polled) -> None:
        queues = polled.assignment.queues
        if queues is not None:
            for record in polled.records:
                queues.add(record, polled.at)
        self._pump()

    def _pump_soon(self, seconds: float = 0.0) -> None:
        """Look for startable work in the next turn of the event loop, or later; once, however often it is asked."""
        if self._room.flow is None:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        if self._pumping is not None:
            if self._pump_at <= at:
                return
            self._pumping.cancel()
        self._pump_at = at  # uvloop's handles do not tell when
        self._pumping = loop.call_at(at, self._pump)

    def _pump(self) -> None:
        """Begin what may begin, urgent first."""
        if self._pumping is not None:
            self._pumping.cancel()
            self._pumping = None
        session, flow = self._session, self._room.flow
        if session is None or flow is None or self._outage.is_on:
            return
        assignment = session.assignment
        if assignment is None or assignment.queues is None or not assignment.may_start:
            return
        for place, topic in enumerate(self._room.subscribed):
            while ready := min(assignment.queues.ready(topic), flow.chunk):
                size = min(ready, flow.capacity.free(urgent=place == 0))
                if size == 0:
                    break
                if size < ready and self._gathers():
                    break
                self._begin_chunk(session, assignment, topic, size)

    def _gathers(self) -> bool:
        """Whether to let freed slots gather a little: a chunk of one costs the database as much as one of thirty."""
        now = asyncio.get_running_loop().time()
        if self._short_since is None:
            self._short_since = now
        left = self._short_since + GATHER_SECONDS - now
        if left > 0:
            self._pump_soon(left)
            return True
        self._short_since = None
        return False

    def _begin_chunk(self, session: Session, assignment: Assignment, topic: TopicName, size: int) -> None:
        if assignment.queues is None or self._room.flow is None:
            return
        queued = assignment.queues.take(topic, size)
        grant = Grant(self._room.flow.capacity, len(queued))
        self._begin(session, assignment, [one.record for one in queued], min(one.polled_at for one in queued), grant)

    def _begin(
        self, session: Session, assignment: Assignment, records: Sequence[Record], polled_at: float, grant: Grant
    ) -> asyncio.Task[None]:
        work = Work(assignment, records, polled_at, self._room.name, self._pump_soon)
        task = asyncio.create_task(self._settler.settle(work, grant))
        assignment.running[task] = work
        task.add_done_callback(partial(self._ended, session, assignment))
        return task

    def _ended(self, session: Session, assignment: Assignment, task: asyncio.Task[None]) -> None:
        del assignment.running[task]
        if not task.cancelled():
            error = task.exception()
            if isinstance(error, Exception):
                session.fail(error)
        self._pump_soon()

    def _slots_for(self, records: Sequence[Record]) -> Grant | None:
        flow = self._room.flow
        if flow is None:
            return Grant(None, 0)
        urgent = records[0].topic == self._room.subscribed[0]
        if flow.capacity.free(urgent=urgent) < len(records):
            return None
        return Grant(flow.capacity, len(records))
