"""Builds the notifier's real things and runs its loop. Not here: what becomes of a push."""

import asyncio
import resource
from collections.abc import Callable
from functools import partial
from typing import Final

from services.domain.tenants import Endpoint
from services.notifier.handle import DEFAULT_ENDPOINT, Deps, handle
from services.notifier.signature import SecretError, key_of
from services.notifier.slots import EndpointSlots
from services.runtime.crash import CrashPoints
from services.runtime.health import Health, serve
from services.runtime.http import session
from services.runtime.lifecycle import freeze_garbage
from services.runtime.settings import Settings
from services.store.opening import opened
from services.streams.codec import Record
from services.streams.consumer import Consumer, Flow, Slots
from services.streams.errors import StartUpError
from services.streams.probe import probe
from services.streams.producer import Producer
from services.streams.topics import TopicName, Topics

ROOM: Final = "notifier"
_READS: Final = (TopicName.EVENT_MESSAGE, TopicName.EVENT_ACCOUNT, TopicName.NOTIFY_DUE)
_CHUNK: Final = 100  # records that share a look at the database
_MOST_PUSHES: Final = 2000  # on their way at once; each slow endpoint keeps its max_in_flight of them
_OTHER_FILES: Final = 200  # what the process opens beside its pushes
_DEFAULT_IN_FLIGHT: Final = 50  # as api.md has it for an endpoint that says nothing
_DRAIN_SECONDS: Final = 12.0  # a push of 10 s and its transaction


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run one copy of the notifier until it is told to stop."""
    topics = Topics(settings.topic_prefix, settings.profile)
    health = Health()
    serve(health, settings.metrics_port)
    default = default_endpoint(settings)
    most = pushes_at_once()
    await probe(settings, topics, [*_READS, TopicName.DEAD_NOTIFIER], stop)
    async with opened(settings, health, stop, size=4) as store:
        producer = Producer(settings, topics)
        await producer.start(stop)
        http = session(timeout_seconds=settings.notify_timeout_seconds, limit=most)
        deps = Deps(store.pools, store.directory, http, EndpointSlots(), default)
        consumer = Consumer(
            settings=settings, topics=topics, room=ROOM, group=ROOM, subscribed=_READS,
            handler=partial(handle, deps=deps), producer=producer, crash=CrashPoints(ROOM, settings.crash_at),
            health=health, flow=Flow(_conversation, Slots(most), chunk=_CHUNK, in_flight=_MOST_PUSHES),
            drain_seconds=_DRAIN_SECONDS,
        )  # fmt: skip
        freeze_garbage()
        try:
            await consumer.run(stop)
        finally:
            await producer.stop()
            await http.close()


def default_endpoint(settings: Settings) -> Callable[[int], Endpoint | None]:
    """Return what gives a tenant without an endpoint the operator's own one. Raises StartUpError."""
    if not settings.orchestrator_url:
        return lambda _: None
    secret = settings.orchestrator_secret.encode()
    try:
        key_of(secret)
    except SecretError as error:
        raise StartUpError(f"RECADO_ORCHESTRATOR_SECRET must be whsec_ followed by base64: {error}") from error
    schedule = tuple(int(wait) for wait in settings.notify_schedule_seconds.split(",") if wait.strip())
    return lambda tenant: Endpoint(
        id=DEFAULT_ENDPOINT, tenant=tenant, url=settings.orchestrator_url, secrets=(secret,),
        timeout_seconds=settings.notify_timeout_seconds, max_in_flight=_DEFAULT_IN_FLIGHT, schedule_seconds=schedule,
        status="active",
    )  # fmt: skip


def pushes_at_once() -> int:
    """Raise the limit of open files as far as is needed and allowed, and say how many connections that makes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_PUSHES + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return _MOST_PUSHES if soft == resource.RLIM_INFINITY else min(_MOST_PUSHES, max(soft - _OTHER_FILES, 50))


def _conversation(record: Record) -> str:
    """A conversation's events go out one after the other; returned ones bear endpoint and conversation as key."""
    return record.key
