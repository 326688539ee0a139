"""Builds the scheduler's real things and runs its loops, two for each cell. Not here: what they do."""

import asyncio
from typing import Final

from services.runtime.health import Health, serve
from services.runtime.lifecycle import freeze_garbage
from services.runtime.settings import Settings
from services.scheduler.loop import Scheduler
from services.scheduler.tenants import Tenants
from services.store.pools import Pools
from services.streams.probe import probe
from services.streams.producer import Producer
from services.streams.topics import LANE_TOPICS, TopicName, Topics

ROOM: Final = "scheduler"
_WRITES: Final = (*LANE_TOPICS.values(), TopicName.RAW, TopicName.NOTIFY_DUE)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run one copy of the scheduler until it is told to stop."""
    topics = Topics(settings.topic_prefix, settings.profile)
    health = Health()
    serve(health, settings.metrics_port)
    await probe(settings, topics, _WRITES, stop)
    pools = Pools(settings, size=3, directory_size=1)
    producer = Producer(settings, topics)
    await pools.open()
    await producer.start(stop)
    scheduler = Scheduler(pools, producer, topics, health)
    freeze_garbage()
    try:
        async with asyncio.TaskGroup() as loops:
            loops.create_task(scheduler.measure(stop), name="measure")
            for cell in pools.cells:
                loops.create_task(scheduler.give_back_due(cell, stop), name=f"due:{cell}")
                loops.create_task(Tenants(scheduler, cell).give_back(stop), name=f"tenants:{cell}")
    finally:
        await producer.stop()
        await pools.close()
