"""Whether a group has handled all that came before a moment: evidence from the log, not from the wall clock
(architecture §2.4). Not here: what is concluded from it, and what still lies in front of the log (a spool)."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.runtime import clock
from services.runtime.logs import get_logger
from services.streams import connection
from services.streams.admin import admin
from services.streams.topics import TopicName, Topics

SLACK: Final = timedelta(seconds=15)  # a record is written at most a produce's deadline (10 s) after its own time
_ASK_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 1.0  # between two questions
_BEGINNING: Final = datetime.fromtimestamp(0, UTC)


class Reached(NamedTuple):
    """One partition: its first record of the moment or later (None when there is none), its two ends, and how far the
    group has committed (None: never)."""

    later: int | None
    first: int
    end: int
    committed: int | None

    def is_handled(self) -> bool:
        """Whether nothing older than the moment is left to do."""
        target = self.end if self.later is None else self.later
        return max(self.committed or 0, self.first) >= target


class Progress:
    """How far one room has come in one topic. Remembers the latest moment that is known to be handled."""

    def __init__(
        self, bootstrap: str, topics: Topics, topic: TopicName, room: str, *, slack: timedelta = SLACK
    ) -> None:
        self._bootstrap = bootstrap
        self._slack = slack
        self._group = topics.group(room)
        self._partitions = [TopicPartition(topics.full(topic), n) for n in range(topics.partitions(topic))]
        self._handled = _BEGINNING
        self._refused: datetime | None = None
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()
        self._log = get_logger()

    async def handled_until(self, moment: datetime) -> bool:
        """Say whether every record of before `moment` is handled; False also when the broker does not say."""
        async with self._lock:
            if moment <= self._handled:
                return True
            lately = clock.monotonic() - self._asked_at < _PAUSE_SECONDS
            if lately and self._refused is not None and moment >= self._refused:
                return False
            return await self._find_out(moment)

    async def _find_out(self, moment: datetime) -> bool:
        """Ask about the latest moment that can be known first: it answers for all others of this batch."""
        latest = clock.now() - self._slack
        for asked in (latest, moment):
            if moment <= asked <= latest and await self._ask(asked + self._slack):
                self._handled = max(self._handled, asked)
                return True
        self._refused = moment
        self._asked_at = clock.monotonic()
        return False

    async def _ask(self, moment: datetime) -> bool:
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                return all(reached.is_handled() for reached in await self._reached(moment))
        except (KafkaError, OSError, TimeoutError) as error:
            self._log.warning("progress_not_known", err=type(error).__name__)
            return False

    async def _reached(self, moment: datetime) -> list[Reached]:
        """The committed offsets first: what they say stays true while the ends grow."""
        connection.quiet()
        async with admin(self._bootstrap) as client:
            committed = await client.list_consumer_group_offsets(self._group, partitions=self._partitions)
        reader = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, group_id=None, enable_auto_commit=False)
        await reader.start()
        try:
            return await _places(reader, self._partitions, committed, int(moment.timestamp() * 1000))
        finally:
            await reader.stop()


async def _places(
    reader: AIOKafkaConsumer, partitions: Sequence[TopicPartition], committed: Mapping[TopicPartition, object], ms: int
) -> list[Reached]:
    later = await reader.offsets_for_times(dict.fromkeys(partitions, ms))
    first = await reader.beginning_offsets(partitions)
    end = await reader.end_offsets(partitions)
    return [
        Reached(getattr(later.get(tp), "offset", None), first[tp], end[tp], _offset(committed.get(tp)))
        for tp in partitions
    ]


def _offset(committed: object) -> int | None:
    """A group that never committed a partition is given -1."""
    offset = getattr(committed, "offset", -1)
    return offset if offset >= 0 else None
