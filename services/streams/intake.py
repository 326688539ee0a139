"""How much is fetched, of which topic, and when to wait a moment first. Not here: what becomes of it."""

from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.streams.assignment import Assignment
from services.streams.flow import Flow
from services.streams.offsets import Slot
from services.streams.outage import Outage
from services.streams.topics import TopicName, Topics

Fetched = dict[TopicPartition, list[Any]]

IDLE_MS: Final = 500
BUSY_MS: Final = 100  # something runs whose offsets are to be committed soon
FULL_MS: Final = 20  # a topic is held at its cap and may have room again any moment
PAUSE_SECONDS: Final = 0.02
RESUME_AT: Final = 0.75  # of the cap: reading goes on in portions, not record by record
UNCOMMITTED: Final = 10  # times the cap: records settled behind a slow one, which a crash would repeat


def pause_seconds(records: int, most: int) -> float:
    """Wait before the next poll: nothing after a full batch, up to 20 ms after a small one.

    Without it six idle rooms burn both cores; an empty poll has waited already.
    """
    if records == 0 or records >= most:
        return 0.0
    return PAUSE_SECONDS * (1 - records / most)


class Intake:
    """Per-topic caps by pausing partitions, so that a flood of one topic never keeps another from being fetched."""

    def __init__(self, topics: Topics, subscribed: Sequence[TopicName], flow: Flow | None, outage: Outage) -> None:
        self._names = {topic: topics.full(topic) for topic in subscribed}
        self._first = self._names[subscribed[0]]
        self._flow = flow
        self._outage = outage
        self._full: set[str] = set()

    async def fetch(
        self, client: AIOKafkaConsumer, assignment: Assignment | None, beside: frozenset[Slot] = frozenset()
    ) -> Fetched:
        """Fetch what there is room for, the first of the topics first; bare: no cancellation, no second timeout.

        `beside` are partitions that a batch under way holds: of the others, what is here already.
        """
        if assignment is not None and not assignment.over:
            self._pause(client, assignment)
        if beside and not self._outage.is_on:
            held = {TopicPartition(self._names[topic], number) for topic, number in beside}
            free: set[TopicPartition] = client.assignment() - held
            return await client.getmany(*free, timeout_ms=0) if free else {}
        fetched: Fetched = {}
        if self._flow is not None and len(self._names) > 1:
            first = [tp for tp in client.assignment() if tp.topic == self._first]
            if first:
                fetched = await client.getmany(*first, timeout_ms=0)
        rest: Fetched = await client.getmany(timeout_ms=0 if fetched else self._wait_ms(assignment))
        for partition, records in rest.items():
            fetched.setdefault(partition, []).extend(records)
        return fetched

    def _wait_ms(self, assignment: Assignment | None) -> int:
        if self._full:
            return FULL_MS
        if self._outage.is_on or (assignment is not None and (assignment.running or assignment.offsets.committable())):
            return BUSY_MS
        return IDLE_MS

    def _pause(self, client: AIOKafkaConsumer, assignment: Assignment) -> None:
        """A rebalance drops every pause, so what is paused is compared with what should be, at each turn."""
        self._measure(assignment)
        held: set[TopicPartition] = client.assignment()
        wanted = held if self._outage.is_on else {tp for tp in held if tp.topic in self._full}
        paused: set[TopicPartition] = client.paused()
        if wanted != paused:
            client.pause(*(wanted - paused))
            client.resume(*(paused - wanted))

    def _measure(self, assignment: Assignment) -> None:
        if self._flow is None or assignment.queues is None:
            return
        cap = self._flow.in_flight
        for topic, name in self._names.items():
            held = assignment.queues.held(topic)
            behind = assignment.offsets.open(topic)
            if held >= cap or behind >= cap * UNCOMMITTED:
                self._full.add(name)
            elif held <= cap * RESUME_AT and behind < cap * UNCOMMITTED:
                self._full.discard(name)
