"""Reading one partition from its end, without a group (replies). Nothing is committed, so nothing is promised."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.runtime.logs import get_logger
from services.runtime.settings import Settings
from services.streams import client, codec, connection
from services.streams.backoff import Backoff
from services.streams.codec import Record
from services.streams.topics import Topics

POLL_MS: Final = 500
REQUEST_TIMEOUT_MS: Final = 10_000
START_SECONDS: Final = 15.0


class Tail:
    """One partition, from where its end was when reading began."""

    def __init__(self, settings: Settings, topics: Topics, topic: str, partition: int) -> None:
        self._bootstrap = settings.kafka_bootstrap_servers
        self._topics = topics
        self._partition = TopicPartition(topics.full(topic), partition)
        self._next: int | None = None
        self._log = get_logger()
        self.ready = asyncio.Event()
        """Set once the end is known: what is written from then on will be seen."""

    async def run(self, stop: asyncio.Event, on_record: Callable[[Record], None]) -> None:
        """Call `on_record` for each record until `stop`; connects again by itself, and goes on where it was."""
        backoff = Backoff()
        while not stop.is_set():
            reader = _reader(self._bootstrap)
            try:
                await asyncio.wait_for(self._begin(reader), START_SECONDS)
                backoff.reset()
                await self._read(reader, stop, on_record)
            except (KafkaError, OSError, TimeoutError) as error:
                self._log.warning("tail_interrupted", topic=self._partition.topic, err=type(error).__name__)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(backoff.next()):
                        await stop.wait()
            finally:
                await client.close(reader)

    async def _begin(self, reader: AIOKafkaConsumer) -> None:
        await reader.start()
        reader.assign([self._partition])
        end = (await reader.end_offsets([self._partition]))[self._partition]
        # a log that ends before our place was begun anew: its beginning is news
        start = end if self._next is None else self._next if self._next <= end else 0
        reader.seek(self._partition, start)
        self.ready.set()

    async def _read(self, reader: AIOKafkaConsumer, stop: asyncio.Event, on_record: Callable[[Record], None]) -> None:
        while not stop.is_set():
            for records in (await reader.getmany(timeout_ms=POLL_MS)).values():
                for record in records:
                    self._next = record.offset + 1
                    on_record(codec.read(record, self._topics))


def _reader(bootstrap: str) -> AIOKafkaConsumer:
    connection.quiet()
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="latest",  # only where a seek fell out of the log: a tail has promised nothing
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        metadata_max_age_ms=int(connection.METADATA_AGE_SECONDS * 1000),
        retry_backoff_ms=connection.RETRY_BACKOFF_MS,
        max_poll_records=1000,
    )
