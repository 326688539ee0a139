"""The scheduler on a real PostgreSQL: what is due comes back, what is not stays, and nothing is lost on the way.

The broker is played by a list that can be away; the real one is in test_notifier_rooms.py.
"""

import asyncio
import secrets
import uuid

import psycopg
import pytest
from prometheus_client import REGISTRY

from services.domain.errors import DependencyAwayError, RecordError
from services.runtime import crypto
from services.runtime.health import Health
from services.scheduler.loop import Scheduler
from services.scheduler.pace import DuePace
from services.scheduler.tenants import Tenants
from services.store import provision
from services.store.names import role_of, schema_of
from services.store.pools import Pools
from services.streams.topics import Topics

TOPIC = "wa.webhook.raw"


class Broker:
    """Takes records, or is away, or waits until it is let go on."""

    def __init__(self):
        self.taken = []
        self.away = False
        self.most_bytes = 1000
        self.free = asyncio.Event()
        self.free.set()

    async def produce(self, outgoing, deadline_seconds):
        if any(len(record.value) > self.most_bytes for record in outgoing):
            raise RecordError("too_large", "a record is larger than its topic takes")
        await self.free.wait()
        if self.away:
            raise DependencyAwayError("a record was not durable at its deadline")
        self.taken += outgoing

    def of(self, tenant):
        """The tenant's records: base's low number and the number of the wait."""
        mine = [dict(record.headers) for record in self.taken]
        names = [headers["ce_id"].decode() for headers in mine if headers["tenant"] == str(tenant).encode()]
        return [(uuid.UUID(name.split(".")[0]).int, int(name.split(".")[1])) for name in names]


class Copy:
    """One scheduler, its broker, and a tenant of its own."""

    def __init__(self, pools, owner, tenant, broker):
        self.health = Health()
        self.broker = broker
        self.owner = owner
        self.tenant = tenant
        self.scheduler = Scheduler(pools, broker, Topics("", "local"), self.health)
        self.tenants = Tenants(self.scheduler, "default")
        self.pace = DuePace()

    async def turn(self):
        return await self.scheduler.due_turn("default", self.pace)

    async def wait(self, *numbers, due="now()", reason="retry", topic=TOPIC, payload=b"{}"):
        for number in numbers:
            await self.owner.execute(
                f"""INSERT INTO recado.deferred (due_at, tenant_id, reason, topic, key, base, n, payload)
                VALUES ({due}, %s, %s, %s, 'k', %s, 1, %s)""",
                (self.tenant, reason, topic, uuid.UUID(int=number), payload),
            )

    async def waiting(self, columns="base"):
        cursor = await self.owner.execute(
            f"SELECT {columns} FROM recado.deferred WHERE tenant_id = %s ORDER BY id", (self.tenant,)
        )
        rows = await cursor.fetchall()
        return [row[0].int for row in rows] if columns == "base" else rows


@pytest.fixture
async def copy(database, settings_for):
    settings = settings_for("scheduler")
    tenant = provision.create_tenant(
        database, f"company_{secrets.token_hex(6)}", crypto.read_key_file(settings.key_file)
    )
    pools = Pools(settings)
    await pools.open()
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as owner:
        yield Copy(pools, owner, tenant, Broker())
        await owner.execute("DELETE FROM recado.deferred WHERE tenant_id = %s", (tenant,))
    await pools.close()


async def test_what_is_due_comes_back_under_its_name_and_is_gone(copy):
    await copy.wait(1, 2, 3)

    await copy.turn()

    assert copy.broker.of(copy.tenant) == [(1, 1), (2, 1), (3, 1)]
    assert await copy.waiting() == []


async def test_what_is_not_due_and_what_waits_behind_a_head_stays(copy):
    await copy.wait(1, due="now() + interval '1 minute'")
    await copy.wait(2, due="NULL")

    await copy.turn()

    assert copy.broker.of(copy.tenant) == []
    assert await copy.waiting() == [1, 2]


async def test_while_the_broker_is_away_the_rows_stay_and_the_room_says_so(copy):
    await copy.wait(1, 2)
    copy.broker.away = True
    stop = asyncio.Event()

    running = asyncio.create_task(copy.scheduler.give_back_due("default", stop))
    while copy.health.answer()[0] != "down" or "kafka" not in _down(copy):
        await asyncio.sleep(0.01)
    assert await copy.waiting() == [1, 2]

    copy.broker.away = False
    while await copy.waiting():
        await asyncio.sleep(0.01)
    assert _down(copy) == []
    stop.set()
    await running
    assert copy.broker.of(copy.tenant) == [(1, 1), (2, 1)]


def _down(copy):
    return [name for name, check in copy.health.answer()[1]["checks"].items() if check["status"] == "down"]


async def test_two_copies_share_the_rows_and_give_each_back_once(copy):
    other = Copy(copy.scheduler.pools, copy.owner, copy.tenant, copy.broker)
    await copy.wait(*range(600))
    copy.broker.free.clear()

    turns = [asyncio.create_task(each.turn()) for each in (copy, other)]
    while not await _claimed_all(copy):
        await asyncio.sleep(0.01)
    copy.broker.free.set()
    await asyncio.gather(*turns)

    assert sorted(number for number, _ in copy.broker.of(copy.tenant)) == list(range(600))
    assert await copy.waiting() == []


async def _claimed_all(copy):
    """Whether every row is locked by one of the copies."""
    cursor = await copy.owner.execute(
        "SELECT FROM recado.deferred WHERE tenant_id = %s FOR UPDATE SKIP LOCKED LIMIT 1", (copy.tenant,)
    )
    return await cursor.fetchone() is None


async def test_a_row_for_no_topic_is_kept_for_later_and_the_others_go(copy):
    await copy.wait(1, topic="wa.no.such")
    await copy.wait(2)

    await copy.turn()

    assert copy.broker.of(copy.tenant) == [(2, 1)]
    assert await copy.waiting("base, reason, due_at > now() + interval '59 minutes'") == [
        (uuid.UUID(int=1), "stuck", True)
    ]


async def test_a_row_that_no_topic_takes_is_found_in_smaller_lots_and_kept(copy):
    await copy.wait(1, 2, 3)
    await copy.wait(4, payload=b"x" * 2000)
    stop = asyncio.Event()

    running = asyncio.create_task(copy.scheduler.give_back_due("default", stop))
    copy.pace.lot = 8
    while await copy.waiting() != [4] or (await copy.waiting("reason"))[0] != ("stuck",):
        await asyncio.sleep(0.05)
    stop.set()
    await running

    assert sorted(copy.broker.of(copy.tenant)) == [(1, 1), (2, 1), (3, 1)]


async def test_a_tenants_records_stay_while_its_schema_is_missing(copy):
    await copy.wait(1, 2, due="NULL", reason="tenant_unavailable")
    schema = schema_of(copy.tenant)
    await copy.owner.execute(f"ALTER SCHEMA {schema} RENAME TO away_{schema}")

    await copy.tenants.turn()
    await copy.turn()

    assert copy.broker.of(copy.tenant) == []
    assert await copy.waiting() == [1, 2]
    assert not await copy.tenants.answers(copy.tenant)
    await copy.owner.execute(f"ALTER SCHEMA away_{schema} RENAME TO {schema}")
    assert await copy.tenants.answers(copy.tenant)


async def test_a_tenants_records_stay_while_it_may_not_use_a_table(copy):
    await copy.owner.execute(f"REVOKE ALL ON {schema_of(copy.tenant)}.events FROM {role_of(copy.tenant)}")

    assert not await copy.tenants.answers(copy.tenant)


async def test_a_tenants_records_come_back_in_order_a_few_first_then_all(copy):
    await copy.wait(*range(1, 31), due="NULL", reason="tenant_unavailable")

    await copy.tenants.turn()
    assert copy.broker.of(copy.tenant) == [(n, 1) for n in range(1, 11)]
    assert {dict(record.headers)["returned"] for record in copy.broker.taken} == {b"tenant_unavailable"}

    while await copy.waiting():
        await asyncio.sleep(0.05)
        await copy.tenants.turn()
    assert copy.broker.of(copy.tenant) == [(n, 1) for n in range(1, 31)]


async def test_what_waits_again_goes_before_what_never_came_back_yet(copy):
    await copy.wait(*range(1, 21), due="NULL", reason="tenant_unavailable")
    await copy.tenants.turn()
    await copy.wait(*range(1, 11), due="NULL", reason="tenant_unavailable")  # put away once more, with higher ids

    while len(copy.broker.of(copy.tenant)) < 20:
        await asyncio.sleep(0.05)
        await copy.tenants.turn()

    assert copy.broker.of(copy.tenant)[10:] == [(n, 1) for n in range(1, 11)]
    assert await copy.waiting() == list(range(11, 21))


async def test_only_one_copy_at_a_time_gives_back_a_tenants_lots(copy):
    await copy.wait(*range(1, 21), due="NULL", reason="tenant_unavailable")
    other = Copy(copy.scheduler.pools, copy.owner, copy.tenant, copy.broker)
    copy.broker.free.clear()

    first = asyncio.create_task(copy.tenants.turn())
    while await _claimed_none(copy):
        await asyncio.sleep(0.01)
    await other.tenants.turn()
    copy.broker.free.set()
    await first

    assert copy.broker.of(copy.tenant) == [(n, 1) for n in range(1, 11)]


async def _claimed_none(copy):
    cursor = await copy.owner.execute(
        "SELECT base FROM recado.deferred WHERE tenant_id = %s FOR UPDATE SKIP LOCKED", (copy.tenant,)
    )
    return len(await cursor.fetchall()) == 20


async def test_what_waits_is_counted_by_reason(copy):
    await copy.wait(1, 2, due="now() + interval '1 hour'", reason="test_reason")
    stop = asyncio.Event()

    measuring = asyncio.create_task(copy.scheduler.measure(stop))
    while not REGISTRY.get_sample_value("recado_deferred_rows", {"reason": "test_reason"}):
        await asyncio.sleep(0.01)
    stop.set()
    await measuring

    assert REGISTRY.get_sample_value("recado_deferred_rows", {"reason": "test_reason"}) == 2
