"""What tests of streams share: a run of its own on the broker, rooms inside the test process, the log as it stands."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic, RecordsToDelete
from aiokafka.errors import GroupCoordinatorNotAvailableError

from services.domain.ids import RecordName
from services.runtime.clock import new_uuid7, now, random64
from services.runtime.crash import CrashPoints
from services.runtime.health import Health
from services.runtime.settings import Settings
from services.streams import codec, session
from services.streams.admin import admin, appeared
from services.streams.assignment import Assignment
from services.streams.batch import Batch, Handled
from services.streams.codec import Outgoing, Record, headers
from services.streams.consumer import Consumer
from services.streams.producer import Producer
from services.streams.topics import TopicName, Topics

SETTINGS = Settings(consumer_session_seconds=6.0)


class Run:
    """Topics with a prefix of their own, as few and as narrow as a test needs."""

    def __init__(self, bootstrap: str) -> None:
        self.settings = msgspec.structs.replace(
            SETTINGS, kafka_bootstrap_servers=bootstrap, topic_prefix=f"t{random64():x}."
        )
        self.topics = Topics(self.settings.topic_prefix, "local")
        self.bootstrap = bootstrap

    async def create(self, partitions: Mapping[TopicName, int], **config: str) -> None:
        async with admin(self.bootstrap) as client:
            await client.create_topics(
                [NewTopic(self.topics.full(t), n, 1, topic_configs=config) for t, n in partitions.items()]
            )
            await appeared(client, [self.topics.full(topic) for topic in partitions])

    @asynccontextmanager
    async def producer(self) -> AsyncIterator[Producer]:
        producer = Producer(self.settings, self.topics)
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop(1.0)

    async def write(self, *records: Outgoing) -> None:
        async with self.producer() as producer:
            await producer.produce(records)

    async def committed(self, group: str) -> dict[tuple[TopicName, int], int]:
        async with admin(self.bootstrap) as client:
            try:
                offsets = await client.list_consumer_group_offsets(self.topics.group(group))
            except GroupCoordinatorNotAvailableError:
                return {}  # a broker's first group: its coordinator is being made
        return {(self.topics.logical(tp.topic), tp.partition): found.offset for tp, found in offsets.items()}

    async def truncate(self, topic: TopicName, partition: int, before: int) -> None:
        async with admin(self.bootstrap) as client:
            place = TopicPartition(self.topics.full(topic), partition)
            await client.delete_records({place: RecordsToDelete(before_offset=before)})

    async def log(self, topic: TopicName) -> list[Record]:
        """Read everything that stands in a topic now."""
        async with AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
        ) as reader:
            described = await reader._client._wait_on_metadata(self.topics.full(topic))
            held = [TopicPartition(self.topics.full(topic), number) for number in described]
            ends = await reader.end_offsets(held)
            first = await reader.beginning_offsets(held)
            reader.assign(held)
            found: list[Record] = []
            left = sum(ends.values()) - sum(first.values())
            while len(found) < left:
                for batch in (await reader.getmany(timeout_ms=200)).values():
                    found += [codec.read(record, self.topics) for record in batch]
            return found

    @asynccontextmanager
    async def room(self, handler: Any, **options: Any) -> AsyncIterator["RunningRoom"]:
        """Run a room in this process until the block ends; an error of it fails the test there."""
        async with self.producer() as producer:
            running = RunningRoom(self, handler, producer, options)
            try:
                yield running
            finally:
                await running.end()


class RunningRoom:
    """A consumer and what it is doing."""

    def __init__(self, run: Run, handler: Any, producer: Producer, options: dict[str, Any]) -> None:
        settings = options.pop("settings", run.settings)
        self.health = Health()
        self.producer = producer
        self.stop = asyncio.Event()
        name = options.pop("room", "sender")
        known = {"group": name, "subscribed": [TopicName.RAW]} | options
        self.consumer = Consumer(
            settings=settings, topics=run.topics, room=name, handler=handler, producer=producer,
            crash=known.pop("crash", CrashPoints(name)), health=self.health, **known,
        )  # fmt: skip
        self.task = asyncio.create_task(self.consumer.run(self.stop))

    @property
    def session(self) -> session.Session:
        assert self.consumer._session is not None
        return self.consumer._session

    @property
    def assignment(self) -> Assignment:
        assert self.session.assignment is not None
        return self.session.assignment

    @property
    def is_away(self) -> bool:
        return self.consumer._outage.is_on

    def held(self) -> set[tuple[str, int]]:
        current = self.consumer._session
        if current is None or current.assignment is None or current.assignment.over:
            return set()
        return {(tp.topic, tp.partition) for tp in current.assignment.partitions}

    async def joined(self) -> None:
        await until(lambda: bool(self.held()) or self.task.done())

    async def end(self) -> None:
        self.stop.set()
        await self.task


class Gate:
    """A handler that notes what it was given, and settles it when it may."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.batches: list[tuple[Record, ...]] = []
        self.settled: list[Record] = []
        self.opened = asyncio.Event()
        if is_open:
            self.opened.set()

    async def __call__(self, batch: Batch) -> AsyncIterator[Handled]:
        self.batches.append(batch.records)
        await self.opened.wait()
        self.settled += batch.records
        yield Handled(batch.records, events=[echo(record) for record in batch.records])

    @property
    def seen(self) -> list[bytes]:
        return [record.value for batch in self.batches for record in batch]


def record(topic: TopicName, value: str, key: str = "k", **extra: str | int) -> Outgoing:
    """Make a record named at random, as ingress does."""
    partition = extra.pop("partition", None)
    name = RecordName(new_uuid7(), 0)
    made = Outgoing(topic, key, value.encode(), headers(name, "test", now(), **extra))
    return msgspec.structs.replace(made, partition=partition)


def records(topic: TopicName, values: Sequence[str] | range, **extra: Any) -> list[Outgoing]:
    return [record(topic, str(value), **extra) for value in values]


def echo(read: Record) -> Outgoing:
    """An event with the record's name and value."""
    return Outgoing(TopicName.EVENT_MESSAGE, read.key, read.value, (("ce_id", str(read.name).encode()),))


def by_key(read: Sequence[Record]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = defaultdict(list)
    for one in read:
        found[one.key].append(one.value)
    return dict(found)


async def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that must come; the limit only ends a test that has failed."""
    async with asyncio.timeout(seconds):
        for _ in itertools.count():
            if holds():
                return
            await asyncio.sleep(0.01)


async def until_committed(run: Run, group: str, wanted: Mapping[tuple[TopicName, int], int]) -> None:
    async with asyncio.timeout(20.0):
        for _ in itertools.count():
            if wanted.items() <= (await run.committed(group)).items():
                return
            await asyncio.sleep(0.05)
