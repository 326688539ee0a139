"""Builds the sender's real things and runs its loop. Not here: what a command means."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Final

from services.domain.limits import CLAIM_CHUNK
from services.domain.message import conversation_key
from services.domain.retry import RetryPolicy
from services.providers.registry import open_provider
from services.runtime.crash import CrashPoints
from services.runtime.health import Health, serve
from services.runtime.lifecycle import freeze_garbage
from services.runtime.settings import Settings
from services.sender.deps import Deps
from services.sender.evidence import Updates
from services.sender.handle import handle
from services.sender.settling import Settling, carry_out
from services.store.opening import opened
from services.store.unavailable import Unavailable
from services.streams.codec import Record
from services.streams.consumer import Consumer, Flow, Slots
from services.streams.probe import probe
from services.streams.producer import Producer
from services.streams.progress import Progress
from services.streams.topics import LANE_TOPICS, TopicName, Topics

ROOM: Final = "sender"
NORMALISER: Final = "normaliser"  # whose progress tells that no status is on its way any more
_LANES: Final = tuple(LANE_TOPICS.values())  # the most urgent first
_URGENT_SLOTS: Final = 16  # connections that only the urgent lane may take
_DRAIN_SECONDS: Final = 17.0  # a call of 15 s and its transaction
_WRITES: Final = (TopicName.EVENT_MESSAGE, TopicName.REPLY, TopicName.DEAD_SENDER)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run one copy of the sender until it is told to stop."""
    topics = Topics(settings.topic_prefix, settings.profile)
    health = Health()
    serve(health, settings.metrics_port)
    await probe(settings, topics, [*_LANES, *_WRITES], stop)
    async with opened(settings, health, stop, size=6) as store:
        producer = Producer(settings, topics)
        provider = open_provider("cloud_api", settings)
        await producer.start(stop)
        crash = CrashPoints(ROOM, settings.crash_at)
        deps = Deps(
            pools=store.pools, directory=store.directory, provider=provider, crash=crash,
            unavailable=Unavailable(store.pools, store.directory.cell_of),
            retry=RetryPolicy(timedelta(seconds=settings.send_retry_base_seconds), settings.send_retry_limit),
            lease_seconds=settings.send_lease_seconds,
            progress=Updates(
                Progress(settings.kafka_bootstrap_servers, topics, TopicName.RAW, NORMALISER), store.pools
            ),
            window=timedelta(seconds=settings.send_reconcile_seconds),
        )  # fmt: skip
        settling = Settling(partial(carry_out, deps=deps))
        consumer = Consumer(
            settings=settings, topics=topics, room=ROOM, group=ROOM, subscribed=_LANES,
            handler=partial(handle, deps=deps, settling=settling), producer=producer, crash=crash, health=health,
            flow=Flow(_conversation, Slots(settings.send_slots, reserved=_URGENT_SLOTS), chunk=CLAIM_CHUNK),
            drain_seconds=_DRAIN_SECONDS, request_timeout_seconds=20.0, equal_partitions=_LANES,
        )  # fmt: skip
        freeze_garbage()
        try:
            await consumer.run(stop)
        finally:
            await producer.stop()
            await provider.close()


def _conversation(record: Record) -> str:
    """Messages of one conversation and lane are sent one after the other."""
    return conversation_key(record.value) or str(record.name)
