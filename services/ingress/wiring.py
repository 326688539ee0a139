"""Builds ingress's real things and runs it: spool, Kafka if it comes, directory, then the door. Not here: routes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.domain.ids import MessageIds
from services.ingress import broker
from services.ingress.app import App, make_api
from services.ingress.auth import Policy
from services.ingress.cursors import Cursors
from services.ingress.deps import Deps, Producing
from services.ingress.languages import Languages
from services.ingress.replies import Replies
from services.ingress.server import make_server, serve_until
from services.ingress.signatures import Signatures
from services.ingress.spool_report import reporting
from services.ingress.spooling import Durable, away, draining, make_spool, show
from services.ingress.webhook import Webhook
from services.runtime import crypto
from services.runtime.cache import Cache, servers
from services.runtime.health import Health, State, serve
from services.runtime.lifecycle import freeze_garbage
from services.runtime.settings import Settings
from services.store.opening import Store, opened
from services.store.reads.engine import Reads
from services.streams.probe import probe
from services.streams.producer import Producer
from services.streams.spool import Spool
from services.streams.tail import Tail
from services.streams.topics import LANE_TOPICS, TopicName, Topics

ROOM: Final = "ingress"
_CLOSED: Final = "the API's port is not open yet: Kafka or the database has not answered"
_KAFKA_FIRST_SECONDS: Final = 10.0
_NEEDED: Final = (TopicName.RAW, TopicName.REPLY, *LANE_TOPICS.values())


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run one copy of ingress until it is told to stop; what runs is finished."""
    topics = Topics(settings.topic_prefix, settings.profile)
    health = Health()
    health.set("http", "down", _CLOSED)
    serve(health, settings.metrics_port)
    spool = make_spool(settings)
    await spool.start()
    watch = broker.watch(settings.kafka_bootstrap_servers, health, stop, lambda: away(spool))
    watching = asyncio.create_task(watch, name="broker")
    try:
        await _open_door(settings, topics, health, stop, spool)
    finally:
        watching.cancel()
        await asyncio.wait({watching})
        await spool.stop()


async def _open_door(settings: Settings, topics: Topics, health: Health, stop: asyncio.Event, spool: Spool) -> None:
    """Wait for what the work needs, however long it stays away, then serve."""
    producer = Producer(settings, topics)
    async with _connected(settings, topics, producer, stop), opened(settings, health, stop, size=2) as store:
        if stop.is_set():
            return
        show(health, spool, producer)
        deps = make_deps(settings, topics, health, store, Durable(producer, spool))
        async with (
            reporting(spool, store.pools), draining(spool, producer, stop, settings.spool_stop_seconds),
            _beside(settings, topics, deps, stop),
        ):  # fmt: skip
            freeze_garbage()
            server = make_server(make_app(deps), settings.http_port or settings.port_base)
            health.probe("http", lambda: ("ok", "") if server.started else ("down", _CLOSED))
            await serve_until(server, stop)


@asynccontextmanager
async def _connected(
    settings: Settings, topics: Topics, producer: Producer, stop: asyncio.Event
) -> AsyncIterator[None]:
    """Kafka first when it comes soon; else it is waited for behind the open door, and the spool takes everything.

    Raises StartUpError when the topics do not fit, whenever that turns out.
    """
    reaching = asyncio.create_task(_reach(settings, topics, producer, stop), name="kafka")
    try:
        await asyncio.wait({reaching}, timeout=_KAFKA_FIRST_SECONDS)
        if reaching.done():
            reaching.result()
        reaching.add_done_callback(lambda ended: None if ended.cancelled() or not ended.exception() else stop.set())
        yield
    finally:
        reaching.cancel()
        await asyncio.wait({reaching})
        await producer.stop()
    if not reaching.cancelled():
        reaching.result()


async def _reach(settings: Settings, topics: Topics, producer: Producer, stop: asyncio.Event) -> None:
    await probe(settings, topics, _NEEDED, stop)
    await producer.start(stop)


def make_deps(settings: Settings, topics: Topics, health: Health, store: Store, producer: Producing) -> Deps:
    kek = crypto.read_key_file(settings.key_file)
    reads = Reads(settings)
    cache = Cache(servers(settings.memcached_servers), kek)
    if settings.memcached_servers:
        health.probe("memcached", lambda: _state_of(cache))
    return Deps(
        settings=settings, directory=store.directory, producer=producer, ids=MessageIds(kek),
        replies=Replies(topics.partitions(TopicName.REPLY), settings.reply_waits_cap),
        policy=Policy(settings.policy_file), cursors=Cursors(kek), languages=Languages(reads), pools=store.pools,
        reads=reads, cache=cache, health=health, kek=kek,
    )  # fmt: skip


def make_app(deps: Deps) -> App:
    signatures = Signatures(deps.directory.book)
    deadline = deps.settings.produce_deadline_seconds
    webhook = Webhook(signatures, deps.producer, deps.directory.loaded.is_set, deadline)
    return App(webhook, make_api(deps))


@asynccontextmanager
async def _beside(settings: Settings, topics: Topics, deps: Deps, stop: asyncio.Event) -> AsyncIterator[None]:
    """What runs beside the server: replies are read, and those who wait for one are let go at the end."""
    tail = Tail(settings, topics, TopicName.REPLY, deps.replies.partition)
    tasks = {
        asyncio.create_task(tail.run(stop, deps.replies.take), name="replies"),
        asyncio.create_task(_let_go(deps.replies, stop), name="let-go"),
    }
    try:
        yield
    finally:
        await asyncio.wait(tasks, timeout=5.0)
        for task in tasks:
            task.cancel()
        await deps.reads.close()
        deps.cache.close()


async def _let_go(replies: Replies, stop: asyncio.Event) -> None:
    await stop.wait()
    replies.close()


def _state_of(cache: Cache) -> tuple[State, str]:
    """Memcached saves reads; without it everything is right and slower."""
    return ("ok", "") if cache.available else ("degraded", "memcached does not answer in time")
