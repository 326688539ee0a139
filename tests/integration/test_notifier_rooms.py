"""Notifier and scheduler as rooms, on real Kafka and PostgreSQL: what fails comes back, in order, until it is taken."""

import asyncio
import base64
import json
import secrets
import uuid
from collections import defaultdict
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError

from services.domain.events import MESSAGE_TOPIC, Event
from services.notifier.wiring import run as run_notifier
from services.runtime import crypto
from services.runtime.http import session
from services.scheduler.wiring import run as run_scheduler
from services.simulator.orchestrator import orchestrator_simulator
from services.store import provision
from services.store.accounts import put_endpoint
from services.store.directory import ROLE, Directory
from services.store.pools import Pools, transaction
from services.streams.admin import admin, create_topics
from services.streams.codec import event_outgoing
from services.streams.producer import Producer
from services.streams.topics import Topics

AT = datetime(2026, 11, 24, tzinfo=UTC)


class House:
    """Topics of its own, both rooms running on them, and companies whose endpoints the test watches."""

    def __init__(self, settings, database, url, control):
        self.settings = settings
        self.database = database
        self.topics = Topics(settings.topic_prefix, settings.profile)
        self.url = url
        self.control = control
        self.sent = defaultdict(list)

    async def company(self, path, **fields):
        kek = crypto.read_key_file(self.settings.key_file)
        tenant = provision.create_tenant(self.database, f"company_{secrets.token_hex(6)}", kek)
        pools = Pools(self.settings)
        await pools.open()
        directory = Directory(pools, kek)
        await directory.refresh()
        secret = b"whsec_" + base64.b64encode(secrets.token_bytes(24))
        async with transaction(pools.directory, ROLE) as connection:
            await put_endpoint(connection, directory.data_key(tenant), endpoint_id=f"end_{secrets.token_hex(13)}",
                               tenant=tenant, url=self.url + path, secrets=[secret], **fields)  # fmt: skip
        await pools.close()
        return tenant

    async def announce(self, producer, tenant, conversation, count):
        outgoing = []
        for _ in range(count):
            name = uuid.UUID(int=secrets.randbits(128))
            event = Event(event_id=name, event_type="message_received", topic=MESSAGE_TOPIC, key=conversation, at=AT,
                          value=json.dumps({"event_id": str(name)}).encode())  # fmt: skip
            outgoing.append(event_outgoing(event, tenant))
            self.sent[conversation].append(str(name))
        await producer.produce(outgoing)

    async def fault(self, path, times, **action):
        fault = {"match": {"path": path}, "action": action, "times": times}
        async with self.control.post(f"{self.url}/control/faults", json=fault) as answer:
            answer.raise_for_status()

    async def taken(self, path):
        """The ids that the endpoint answered with 2xx, in order."""
        async with self.control.get(f"{self.url}/control/received", params={"match": path}) as answer:
            items = (await answer.json())["items"]
        return [
            item["headers"]["webhook-id"] for item in items if item["path"] == path and item["answer"]["status"] == 200
        ]

    async def settled(self):
        """Wait until the notifier has committed all that was announced."""
        async with admin(self.settings.kafka_bootstrap_servers) as client:
            await until(self.committed, client, sum(map(len, self.sent.values())))

    async def committed(self, client):
        """How many of the announced records lie below the group's offsets; none while the group has no coordinator."""
        try:
            offsets = await client.list_consumer_group_offsets(self.topics.group("notifier"))
        except GroupCoordinatorNotAvailableError:
            return 0
        topic = self.topics.full(MESSAGE_TOPIC)
        return sum(place.offset for tp, place in offsets.items() if tp.topic == topic)

    async def books(self, tenant):
        async with await psycopg.AsyncConnection.connect(self.database) as connection:
            cursor = await connection.execute(
                """SELECT (SELECT count(*) FROM recado.deferred WHERE tenant_id = %(t)s),
                (SELECT count(*) FROM recado.delivery_queues WHERE tenant_id = %(t)s),
                (SELECT count(*) FROM recado.deliveries WHERE tenant_id = %(t)s AND outcome = 'acknowledged')""",
                {"t": tenant},
            )
            return await cursor.fetchone()


async def until(ask, about, expected):
    """Ask again and again; the suite's own timeout is the only limit."""
    while True:
        if await ask(about) == expected:
            return
        await asyncio.sleep(0.1)


@asynccontextmanager
async def running(*rooms):
    stop = asyncio.Event()
    tasks = [asyncio.create_task(room(stop)) for room in rooms]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


@pytest.fixture
async def house(database, settings_for):
    settings = settings_for("notifier", topic_prefix=f"n{secrets.token_hex(3)}.")
    topics = Topics(settings.topic_prefix, settings.profile)
    await create_topics(settings.kafka_bootstrap_servers, topics)
    async with orchestrator_simulator() as url, session(timeout_seconds=10, limit=10) as control:
        yield House(settings, database, url, control)


@asynccontextmanager
async def producing(house):
    producer = Producer(house.settings, house.topics)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def rooms_of(house):
    return (lambda stop: run_notifier(house.settings, stop)), (lambda stop: run_scheduler(house.settings, stop))


async def test_every_event_arrives_in_its_conversations_order_though_the_endpoint_fails(house):
    tenant = await house.company("/shaky", schedule_seconds=[0, 1, 1, 1])
    await house.fault("/shaky", times=6, kind="status", status=500)
    await house.fault("/shaky", times=2, kind="reset_before")

    async with producing(house) as producer, running(*rooms_of(house)):
        for conversation in ("conv_a", "conv_b", "conv_c"):
            await house.announce(producer, tenant, conversation, 6)
        await house.settled()
        await until(house.books, tenant, (0, 0, 18))

    taken = await house.taken("/shaky")
    for events in house.sent.values():
        assert [event for event in taken if event in events] == events


async def test_an_endpoint_that_hangs_holds_up_nobody_else(house):
    hangs = await house.company("/hangs", max_in_flight=2, timeout_seconds=5.0)
    works = await house.company("/works")
    await house.fault("/hangs", times=1000, kind="hang")

    async with producing(house) as producer, running(*rooms_of(house)):
        for n in range(10):
            await house.announce(producer, hangs, f"conv_hangs_{n}", 1)
            await house.announce(producer, works, f"conv_works_{n}", 3)
        await until(house.books, works, (0, 0, 30))
        await until(house.books, hangs, (8, 8, 0))  # two hang, the others found no slot


async def test_what_a_stopped_notifier_left_is_pushed_by_the_next_one(house):
    tenant = await house.company("/later")

    async with producing(house) as producer:
        await house.announce(producer, tenant, "conv_a", 5)
        async with running(*rooms_of(house)):
            await house.settled()
        await house.announce(producer, tenant, "conv_a", 5)
        async with running(*rooms_of(house)):
            await house.settled()

    assert await house.taken("/later") == house.sent["conv_a"]
    assert await house.books(tenant) == (0, 0, 10)
