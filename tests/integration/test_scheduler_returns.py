"""The scheduler on a real PostgreSQL: what is due comes back, what is not stays, and nothing is lost on the way.

The broker is played by a list that can be away; the real one is in test_notifier_rooms.py.
"""

import asyncio
import contextlib
import secrets
import uuid
from datetime import timedelta

import psycopg
import pytest
from prometheus_client import REGISTRY

from services.domain.errors import DependencyAwayError, RecordError
from services.domain.limits import PRODUCE_WITHIN
from services.runtime import crypto
from services.runtime.health import Health
from services.scheduler.loop import Scheduler
from services.scheduler.pace import DuePace
from services.scheduler.tenants import Tenants
from services.store import provision
from services.store.names import role_of, schema_of
from services.store.pools import Pools
from services.store.unavailable import answers
from services.streams.topics import Topics

TOPIC = "wa.webhook.raw"
NOW = timedelta()
NEVER = None


class Broker:
    """Takes records, or is away, or waits until it is let go on."""

    def __init__(self):
        self.taken = []
        self.offered = 0
        self.away = False
        self.most_bytes = 1000
        self.free = asyncio.Event()
        self.free.set()

    async def produce(self, outgoing, deadline_seconds):
        assert deadline_seconds == PRODUCE_WITHIN.total_seconds()
        if any(len(record.value) > self.most_bytes for record in outgoing):
            raise RecordError("too_large", "a record is larger than its topic takes")
        self.offered += len(outgoing)
        await self.free.wait()
        if self.away:
            raise DependencyAwayError("a record was not durable at its deadline")
        self.taken += outgoing

    def of(self, tenant):
        """The tenant's records: base's low number and the number of the wait."""
        mine = [dict(record.headers) for record in self.taken]
        names = [headers["ce_id"].decode() for headers in mine if headers["tenant"] == str(tenant).encode()]
        return [(uuid.UUID(name.split(".")[0]).int, int(name.split(".")[1])) for name in names]


async def until(ask):
    """Ask again and again; the suite's own timeout is the only limit."""
    while True:
        if await ask():
            return
        await asyncio.sleep(0.02)


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

    async def wait(self, *numbers, due=NOW, reason="retry", topic=TOPIC, payload=b"{}"):
        for number in numbers:
            await self.owner.execute(
                """INSERT INTO recado.deferred (due_at, tenant_id, reason, topic, key, base, n, payload)
                VALUES (now() + %s, %s, %s, %s, 'k', %s, 1, %s)""",
                (due, self.tenant, reason, topic, uuid.UUID(int=number), payload),
            )

    async def waiting(self, columns="base"):
        cursor = await self.owner.execute(
            f"SELECT {columns} FROM recado.deferred WHERE tenant_id = %s ORDER BY id",  # noqa: S608 - the test's own
            (self.tenant,),
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
    await copy.wait(1, due=timedelta(minutes=1))
    await copy.wait(2, due=NEVER)

    await copy.turn()

    assert copy.broker.of(copy.tenant) == []
    assert await copy.waiting() == [1, 2]


async def test_while_the_broker_is_away_the_rows_stay_and_the_room_says_so(copy):
    await copy.wait(1, 2)
    copy.broker.away = True
    stop = asyncio.Event()

    running = asyncio.create_task(copy.scheduler.give_back_due("default", stop))
    await until(lambda: _says_down(copy, ["kafka"]))
    assert await copy.waiting() == [1, 2]

    copy.broker.away = False
    await until(lambda: _says_down(copy, []))
    stop.set()
    await running
    assert copy.broker.of(copy.tenant) == [(1, 1), (2, 1)]


async def _says_down(copy, names):
    checks = copy.health.answer()[1]["checks"]
    return sorted(name for name, check in checks.items() if check["status"] == "down") == names


async def test_two_copies_share_the_rows_and_give_each_back_once(copy):
    other = Copy(copy.scheduler.pools, copy.owner, copy.tenant, copy.broker)
    await copy.wait(*range(60), due=timedelta(days=-1))
    copy.pace.lot = other.pace.lot = 30
    copy.broker.free.clear()

    turns = [asyncio.create_task(each.turn()) for each in (copy, other)]
    await until(lambda: _offered(copy, 60))
    copy.broker.free.set()
    await asyncio.gather(*turns)

    assert sorted(number for number, _ in copy.broker.of(copy.tenant)) == list(range(60))
    assert await copy.waiting() == []


async def _offered(copy, count):
    return copy.broker.offered == count


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

    for _ in range(30):
        with contextlib.suppress(RecordError):
            await copy.turn()

    assert sorted(copy.broker.of(copy.tenant)) == [(1, 1), (2, 1), (3, 1)]
    assert await copy.waiting("base, reason") == [(uuid.UUID(int=4), "stuck")]


async def test_a_tenants_records_stay_while_its_schema_is_missing(copy):
    await copy.wait(1, 2, due=NEVER, reason="tenant_unavailable")
    schema = schema_of(copy.tenant)
    await copy.owner.execute(f"ALTER SCHEMA {schema} RENAME TO away_{schema}")

    await copy.tenants.turn()
    await copy.turn()

    assert copy.broker.of(copy.tenant) == []
    assert await copy.waiting() == [1, 2]
    assert not await answers(copy.scheduler.pools, "default", copy.tenant)
    await copy.owner.execute(f"ALTER SCHEMA away_{schema} RENAME TO {schema}")
    assert await answers(copy.scheduler.pools, "default", copy.tenant)


async def test_a_tenants_records_stay_while_it_may_not_use_a_table(copy):
    await copy.owner.execute(f"REVOKE ALL ON {schema_of(copy.tenant)}.events FROM {role_of(copy.tenant)}")

    assert not await answers(copy.scheduler.pools, "default", copy.tenant)


async def test_a_tenant_whose_tables_are_locked_holds_up_no_other(copy, database, settings_for):
    kek = crypto.read_key_file(settings_for("scheduler").key_file)
    other = Copy(copy.scheduler.pools, copy.owner, provision.create_tenant(database, "company_after", kek), copy.broker)
    for each in (copy, other):
        await each.wait(1, due=NEVER, reason="tenant_unavailable")

    async with await psycopg.AsyncConnection.connect(database) as migration:
        await migration.execute(f"LOCK TABLE {schema_of(copy.tenant)}.messages IN ACCESS EXCLUSIVE MODE")
        await copy.tenants.turn()

    assert await copy.waiting() == [1]
    assert await other.waiting() == []


async def test_a_tenants_records_come_back_in_order_a_few_first_then_all(copy):
    await copy.wait(*range(1, 31), due=NEVER, reason="tenant_unavailable")

    await copy.tenants.turn()
    assert copy.broker.of(copy.tenant) == [(n, 1) for n in range(1, 11)]
    assert {dict(record.headers)["returned"] for record in copy.broker.taken} == {b"tenant_unavailable"}

    while await copy.waiting():
        await asyncio.sleep(0.05)
        await copy.tenants.turn()
    assert copy.broker.of(copy.tenant) == [(n, 1) for n in range(1, 31)]


async def test_what_waits_again_goes_before_what_never_came_back_yet(copy):
    await copy.wait(*range(1, 21), due=NEVER, reason="tenant_unavailable")
    await copy.tenants.turn()
    await copy.wait(*range(1, 11), due=NEVER, reason="tenant_unavailable")  # put away once more, with higher ids

    while len(copy.broker.of(copy.tenant)) < 20:
        await asyncio.sleep(0.05)
        await copy.tenants.turn()

    assert copy.broker.of(copy.tenant)[10:] == [(n, 1) for n in range(1, 11)]
    assert await copy.waiting() == list(range(11, 21))


async def test_only_one_copy_at_a_time_gives_back_a_tenants_lots(copy):
    await copy.wait(*range(1, 21), due=NEVER, reason="tenant_unavailable")
    other = Copy(copy.scheduler.pools, copy.owner, copy.tenant, copy.broker)
    copy.broker.free.clear()

    first = asyncio.create_task(copy.tenants.turn())
    await until(lambda: _offered(copy, 10))
    await other.tenants.turn()
    copy.broker.free.set()
    await first

    assert copy.broker.of(copy.tenant) == [(n, 1) for n in range(1, 11)]


async def test_what_waits_is_counted_by_reason(copy):
    await copy.wait(1, 2, due=timedelta(hours=1), reason="test_reason")
    stop = asyncio.Event()

    measuring = asyncio.create_task(copy.scheduler.measure(stop))
    await until(lambda: _counted("test_reason", 2))
    await copy.owner.execute("DELETE FROM recado.deferred WHERE reason = 'test_reason'")
    stop.set()
    await measuring

    await copy.scheduler._measure()
    assert await _counted("test_reason", 0)


async def _counted(reason, rows):
    return REGISTRY.get_sample_value("recado_deferred_rows", {"reason": reason}) == rows
