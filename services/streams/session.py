"""One client object from joining the group to leaving it: fetching, rebalances, committing. Not here: what a room does
with records (settle.py), building the next object (consumer.py)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from services.runtime.clock import monotonic
from services.runtime.crash import CrashPoints
from services.runtime.logs import get_logger
from services.runtime.settings import Settings
from services.streams import checks, client, codec
from services.streams.assignment import Assignment
from services.streams.codec import Record
from services.streams.commit import Committer
from services.streams.errors import DoubtError, RoomStoppedError
from services.streams.flow import Flow
from services.streams.intake import Intake
from services.streams.offsets import Slot
from services.streams.outage import Outage
from services.streams.topics import TopicName, Topics

CHECK_SECONDS: Final = 20.0
CANCEL_SECONDS: Final = 2.0  # for a handler to roll back


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What the loop knows of a room."""

    settings: Settings
    topics: Topics
    name: str
    group: str
    subscribed: Sequence[TopicName]
    crash: CrashPoints
    flow: Flow | None
    drain_seconds: float
    request_timeout_seconds: float
    equal_partitions: Sequence[TopicName]
    on_revoked: Callable[[], Awaitable[None]] | None


@dataclass(frozen=True, slots=True)
class Polled:
    """Records of one poll and the grant under which they were fetched."""

    assignment: Assignment
    records: Sequence[Record]
    at: float

    @property
    def slots(self) -> frozenset[Slot]:
        return frozenset(record.slot for record in self.records)


class Session(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """The client, its present assignment, and nothing that outlives them."""

    def __init__(self, room: Room, outage: Outage, epoch: Callable[[], int]) -> None:
        self._room = room
        self._epoch = epoch
        self._log = get_logger()
        self._failure: Exception | None = None
        self._commits: Committer | None = None
        self._stash: Polled | None = None
        self.client: AIOKafkaConsumer = None
        self.assignment: Assignment | None = None
        self.intake = Intake(room.topics, room.subscribed, room.flow, outage)
        self.turned_at = monotonic()

    async def open(self, stop: asyncio.Event) -> bool:
        """Join the group; False when `stop` came first."""
        names = [self._room.topics.full(topic) for topic in self._room.subscribed]
        return await client.start(self._make, names, self, stop) is not None

    async def close(self, *, cancel: bool) -> None:
        """Leave the group; what still runs can commit nothing any more. `cancel` it when the process is to end."""
        if self.assignment is not None:
            self.assignment.end()
            if cancel and self.assignment.running:
                running = set(self.assignment.running)
                for task in running:
                    task.cancel()
                await asyncio.wait(running, timeout=CANCEL_SECONDS)
        if self.client is not None:
            await client.close(self.client)

    def fail(self, error: Exception) -> None:
        """Have the loop end with this error at its next turn; the first one counts."""
        self._failure = self._failure or error

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def poll(self, beside: frozenset[Slot] = frozenset()) -> Polled | None:
        """Fetch, of no partition that a batch `beside` this one holds; None when nothing came or it is no longer ours.

        Raises DoubtError on any error of the client.
        """
        stashed = self._stash
        if stashed is not None:
            if stashed.slots & beside:
                return None
            self._stash = None
            return None if stashed.assignment.ending.is_set() else stashed
        self.turned_at = monotonic()
        try:
            fetched = await self.intake.fetch(self.client, self.assignment, beside)
        except KafkaError as error:
            raise DoubtError(f"fetching failed: {type(error).__name__}") from error
        self.turned_at = monotonic()
        assignment = self.assignment
        if not fetched or assignment is None:
            return None
        return await self._accept(assignment, fetched)

    async def keep_alive(self) -> None:
        """Poll while everything is paused, so that membership lives; what comes nevertheless is kept for later."""
        if self._stash is None and self.assignment is not None and not self.assignment.over:
            self._stash = await self.poll()

    async def commit(self) -> None:
        """Commit what is due."""
        assignment = self.assignment
        if assignment is not None and self._commits is not None and self._commits.due(assignment):
            await self._commits.commit(assignment)

    @property
    def is_commit_stuck(self) -> bool:
        return self._commits is not None and self._commits.is_stuck

    async def drain(self) -> None:
        """Begin nothing, wait for what runs, commit; bounded by the room's drain limit."""
        assignment = self.assignment
        if assignment is None or self._commits is None:
            return
        deadline = monotonic() + self._room.drain_seconds
        assignment.ending.set()
        if self._room.on_revoked is not None:
            await self._bounded(self._room.on_revoked(), deadline)
        if not await assignment.drained(deadline - monotonic()):
            self._log.warning("drain_unfinished", running=len(assignment.running), epoch=assignment.epoch)
        await self._commits.commit(assignment)

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Awaited by the client before it rejoins (facts §4.5); an exception here would be swallowed."""
        assignment = self.assignment
        if assignment is None:
            return
        try:
            await self.drain()
        except DoubtError as error:
            self.fail(error)
        finally:
            assignment.end()
        self._log.info("partitions_revoked", count=len(revoked), epoch=assignment.epoch)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Begin a new epoch. No record of it is worked on before the log was found whole."""
        room = self._room
        if self.assignment is not None:
            self.assignment.end()
        assignment = Assignment(self._epoch(), assigned, room.subscribed, room.flow)
        self.assignment = assignment
        self._log.info("partitions_assigned", count=len(assigned), epoch=assignment.epoch)
        try:
            await self._check(assignment, sorted(assigned))
        except RoomStoppedError as error:
            self.fail(error)
            assignment.end()
        except (KafkaError, TimeoutError) as error:
            self.fail(DoubtError(f"the log could not be checked: {type(error).__name__}"))
            assignment.end()
        assignment.checked.set()

    async def _check(self, assignment: Assignment, assigned: Sequence[TopicPartition]) -> None:
        room = self._room
        checks.refuse_torn_lanes(assigned, [room.topics.full(topic) for topic in room.equal_partitions])
        if not assigned:
            return
        log = await checks.look(self.client, assigned, CHECK_SECONDS)
        checks.refuse_lost_ranges(log.lost(), room.group)
        for tp in assigned:
            assignment.offsets.starts((room.topics.logical(tp.topic), tp.partition), log.start(tp))
        assignment.end_offsets = {tp: log.end[tp] for tp in assigned}

    async def _accept(self, assignment: Assignment, fetched: dict[TopicPartition, list[Any]]) -> Polled | None:
        await assignment.checked.wait()
        if assignment.ending.is_set():
            return None  # the next owner begins at what was committed
        if not assignment.partitions.issuperset(fetched):
            raise DoubtError("records of a partition that is not ours were fetched")
        topics = self._room.topics
        records = [codec.read(record, topics) for batch in fetched.values() for record in batch]
        for record in records:
            assignment.offsets.fetched(record.slot, record.offset)
        self._room.crash.reach("after_poll")
        return Polled(assignment, records, self.turned_at)

    def _make(self) -> AIOKafkaConsumer:
        room = self._room
        self.client = client.make(room.settings, room.topics.group(room.group), room.request_timeout_seconds)
        self._commits = Committer(self.client, room.topics, room.crash)
        self.assignment = None
        return self.client

    @staticmethod
    async def _bounded(work: Awaitable[None], deadline: float) -> None:
        task = asyncio.ensure_future(work)
        await asyncio.wait({task}, timeout=max(0.0, deadline - monotonic()))
        if task.done():
            task.result()
