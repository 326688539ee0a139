"""Committing offsets: one at a time, bounded, only for the grant under which records were fetched, never backwards."""

import asyncio
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from services.runtime.clock import monotonic
from services.runtime.crash import CrashPoints
from services.runtime.logs import get_logger
from services.streams.assignment import Assignment
from services.streams.errors import DoubtError
from services.streams.topics import Topics

WAIT_SECONDS: Final = 5.0
EVERY_SECONDS: Final = 0.1  # a commit costs a millisecond of CPU on both sides; a crash repeats that much at most


class Committer:
    """Commits of one client object."""

    def __init__(self, client: AIOKafkaConsumer, topics: Topics, crash: CrashPoints) -> None:
        self._client = client
        self._topics = topics
        self._crash = crash
        self._log = get_logger()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._last = 0.0

    @property
    def is_stuck(self) -> bool:
        """Whether a commit has no answer yet; no second one is begun beside it."""
        return self._task is not None and not self._task.done()

    def due(self, assignment: Assignment) -> bool:
        return monotonic() - self._last >= EVERY_SECONDS and bool(assignment.offsets.committable())

    async def commit(self, assignment: Assignment, seconds: float = WAIT_SECONDS) -> None:
        """Commit what this grant has settled. Raises DoubtError when the client should be rebuilt."""
        try:
            async with asyncio.timeout(seconds):
                await self._lock.acquire()
        except TimeoutError:
            return
        try:
            await self._commit(assignment, seconds)
        finally:
            self._lock.release()

    async def _commit(self, assignment: Assignment, seconds: float) -> None:
        await self._answer(seconds)
        if self._task is not None:
            return
        offsets = assignment.offsets.committable()
        # no await between this look and the request: commit() sends the present generation, whatever we fetched under
        if assignment.over or not offsets:
            return
        self._last = monotonic()
        wanted = {TopicPartition(self._topics.full(topic), number): next_ for (topic, number), next_ in offsets.items()}
        self._task = asyncio.create_task(self._request(assignment, wanted))
        await self._answer(seconds)

    async def _answer(self, seconds: float) -> None:
        """Wait for the commit on its way; without an answer it stays, and nothing is committed beside it."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
            if self._task.done():
                task, self._task = self._task, None
                task.result()

    async def _request(self, assignment: Assignment, wanted: dict[TopicPartition, int]) -> None:
        try:
            await self._client.commit(wanted)
        except (CommitFailedError, IllegalStateError) as error:
            self._log.info("commit_refused", err=type(error).__name__, epoch=assignment.epoch)  # it will be read again
            return
        except KafkaError as error:
            raise DoubtError(f"a commit failed: {type(error).__name__}") from error
        assignment.offsets.committed({(self._topics.logical(tp.topic), tp.partition): o for tp, o in wanted.items()})
        self._crash.reach("after_commit_offsets")
