"""Builds the normaliser's real things and runs its loop. Not here: what an update means."""

import asyncio
from functools import partial
from typing import Final

from services.normaliser.handle import Deps, handle
from services.runtime.crash import CrashPoints
from services.runtime.health import Health, serve
from services.runtime.lifecycle import freeze_garbage
from services.runtime.settings import Settings
from services.store.opening import opened
from services.store.unavailable import Unavailable
from services.streams.consumer import Consumer
from services.streams.probe import probe
from services.streams.producer import Producer
from services.streams.topics import TopicName, Topics

ROOM: Final = "normaliser"
_WRITES: Final = (TopicName.EVENT_MESSAGE, TopicName.EVENT_ACCOUNT, TopicName.DEAD_NORMALISER)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run one copy of the normaliser until it is told to stop."""
    topics = Topics(settings.topic_prefix, settings.profile)
    health = Health()
    serve(health, settings.metrics_port)
    await probe(settings, topics, [TopicName.RAW, *_WRITES], stop)
    async with opened(settings, health, stop, size=6, secrets=False) as store:
        producer = Producer(settings, topics)
        await producer.start(stop)
        deps = Deps(store.pools, store.directory, Unavailable(store.pools, store.directory.cell_of))
        consumer = Consumer(
            settings=settings, topics=topics, room=ROOM, group=ROOM, subscribed=[TopicName.RAW],
            handler=partial(handle, deps=deps), producer=producer, abreast=2,
            crash=CrashPoints(ROOM, settings.crash_at), health=health,
        )  # fmt: skip
        freeze_garbage()
        try:
            await consumer.run(stop)
        finally:
            await producer.stop()
