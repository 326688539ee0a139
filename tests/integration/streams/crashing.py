"""A room as a process of its own, so that it can die at a crash point. Run by test_crash.py; ends when all is done."""

import asyncio
import sys
from collections.abc import AsyncIterator

from services.runtime.crash import CrashPoints
from services.runtime.health import Health
from services.runtime.lifecycle import run_room
from services.runtime.settings import Settings
from services.streams.batch import Batch, Handled
from services.streams.consumer import Consumer
from services.streams.producer import Producer
from services.streams.topics import TopicName, Topics
from tests.integration.streams.kit import echo

ROOM = "sender"


async def room(settings: Settings, stop: asyncio.Event) -> None:
    """Settle one record after the other, each with two events; stop after as many as the command line says."""
    left = int(sys.argv[1])

    async def handle(batch: Batch) -> AsyncIterator[Handled]:
        nonlocal left
        for one in batch.records:
            yield Handled((one,), events=[echo(one), echo(one)])
            left -= 1
        if left <= 0:
            stop.set()

    topics = Topics(settings.topic_prefix, settings.profile)
    producer = Producer(settings, topics)
    await producer.start(stop)
    consumer = Consumer(
        settings=settings, topics=topics, room=ROOM, group=ROOM, subscribed=[TopicName.RAW], handler=handle,
        producer=producer, crash=CrashPoints(ROOM, settings.crash_at), health=Health(),
    )  # fmt: skip
    try:
        await consumer.run(stop)
    finally:
        await producer.stop()


if __name__ == "__main__":
    run_room(ROOM, room)
