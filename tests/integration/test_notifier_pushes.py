"""The notifier on a real PostgreSQL against the orchestrator simulator: what is pushed, what waits, what is kept.

Kafka is played by the test: it hands over records, and gives back what waited as the scheduler would.
"""

import asyncio
import base64
import json
import secrets
import uuid
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from standardwebhooks import Webhook

from services.domain.events import MESSAGE_TOPIC
from services.domain.ids import RecordName, parse_record_name
from services.domain.tenants import Endpoint
from services.notifier.handle import Deps, handle
from services.notifier.plan import APPENDED, Push, conclude
from services.notifier.slots import EndpointSlots
from services.runtime import clock, crypto
from services.runtime.http import session
from services.scheduler.returning import record_of
from services.simulator.orchestrator import orchestrator_simulator
from services.store import deliveries, provision
from services.store.accounts import put_endpoint
from services.store.deferred import Waiting
from services.store.deliveries import Change, Delivery, PushKey
from services.store.directory import ROLE as DIRECTORY_ROLE
from services.store.directory import Directory
from services.store.pools import Pools, transaction
from services.streams.batch import Batch
from services.streams.codec import Record
from services.streams.topics import TopicName

CONVERSATION = "conv_00000000000000000000000001"


@dataclass
class Room:
    """One notifier, one tenant with endpoints at the simulator, and a broker that the test plays."""

    deps: Deps
    directory: Directory
    pools: Pools
    owner: psycopg.AsyncConnection
    tenant: int
    url: str
    control_url: str
    secret: str
    dead: list = field(default_factory=list)
    settled: list = field(default_factory=list)

    async def push(self, *records: Record, polled_ago: float = 0.0) -> list[Record]:
        batch = Batch(records, polled_at=clock.monotonic() - polled_ago)
        before = len(self.settled)
        async for handled in handle(batch, self.deps):
            self.settled += handled.records
            self.dead += handled.dead
        return self.settled[before:]

    async def register(self, path: str = "/events", **fields) -> str:
        endpoint = f"end_{uuid.uuid5(uuid.NAMESPACE_URL, f'{self.tenant}{path}').hex[:26]}"
        key = self.directory.data_key(self.tenant)
        async with transaction(self.pools.directory, DIRECTORY_ROLE) as connection:
            await put_endpoint(connection, key, endpoint_id=endpoint, tenant=self.tenant, url=self.url + path,
                               secrets=[self.secret.encode()], **fields)  # fmt: skip
        await self.directory.refresh()
        return endpoint

    async def returned(self, *, due: bool = True) -> list[Record]:
        """Take what waits and is due now, or all that ever will be, as the scheduler would give it back."""
        cursor = await self.owner.execute(
            """DELETE FROM recado.deferred WHERE tenant_id = %s AND due_at IS NOT NULL
            AND (due_at <= clock_timestamp() OR NOT %s)
            RETURNING id, due_at, tenant_id, reason, topic, key, base, n, payload, headers""",
            (self.tenant, due),
        )
        rows = sorted((Waiting(*row) for row in await cursor.fetchall()), key=lambda row: row.id)
        return [given_back(row) for row in rows]

    async def rows(self, table: str, columns: str, order: str) -> list[tuple]:
        cursor = await self.owner.execute(
            f"SELECT {columns} FROM recado.{table} WHERE tenant_id = %s ORDER BY {order}",  # noqa: S608 - the test's own
            (self.tenant,),
        )
        return await cursor.fetchall()

    async def somebody_waits_for_a_lock(self) -> bool:
        cursor = await self.owner.execute("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return await cursor.fetchone() is not None

    async def received(self, path: str = "/events") -> list[dict]:
        async with self.deps.session.get(f"{self.control_url}/control/received", params={"match": path}) as answer:
            items = (await answer.json())["items"]
        return [item for item in items if item["path"] == path]

    async def got(self, path: str = "/events") -> list[str]:
        return [item["headers"]["webhook-id"] for item in await self.received(path)]

    async def fault(self, path: str = "/events", times: int = 1, **action) -> None:
        fault = {"match": {"path": path}, "action": action, "times": times}
        async with self.deps.session.post(f"{self.control_url}/control/faults", json=fault) as answer:
            answer.raise_for_status()

    async def event(self, conversation: str = CONVERSATION, **changes) -> Record:
        name = uuid.UUID(int=secrets.randbits(128))
        value = json.dumps({"event_id": str(name), "data": {"content": "¡hola!"}}).encode()
        known: dict[str, Any] = {
            "topic": TopicName(MESSAGE_TOPIC), "partition": 0, "offset": secrets.randbits(31), "key": conversation,
            "value": value, "timestamp_ms": 0, "name": RecordName(name, 0),
            "headers": {"tenant": str(self.tenant).encode(), "ce_type": b"message_received"},
        }  # fmt: skip
        return Record(**(known | changes))


async def until(ask):
    """Ask again and again; the suite's own timeout is the only limit."""
    while True:
        if await ask():
            return
        await asyncio.sleep(0.02)


def given_back(row: Waiting) -> Record:
    out = record_of(row, clock.now())
    headers = dict(out.headers)
    return Record(topic=TopicName(out.topic), partition=1, offset=row.id, key=out.key, value=out.value, headers=headers,
                  timestamp_ms=0, name=parse_record_name(headers["ce_id"].decode()))  # fmt: skip


@asynccontextmanager
async def running_room(database, settings, default=lambda _: None):
    kek = crypto.read_key_file(settings.key_file)
    tenant = provision.create_tenant(database, f"company_{secrets.token_hex(6)}", kek)
    pools = Pools(settings)
    await pools.open()
    directory = Directory(pools, kek)
    await directory.refresh()
    http = session(timeout_seconds=10, limit=100)
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    owner = await psycopg.AsyncConnection.connect(database, autocommit=True)
    async with (
        orchestrator_simulator() as url,
        owner,
        http,
    ):
        deps = Deps(pools, directory, http, EndpointSlots(), default)
        yield Room(deps, directory, pools, owner, tenant, url, url, secret)
    await pools.close()


@pytest.fixture
async def room(database, settings_for):
    async with running_room(database, settings_for("notifier")) as made:
        yield made


async def test_an_event_is_posted_as_its_stored_bytes_and_signed_by_the_standard(room):
    await room.register()
    event = await room.event()

    assert await room.push(event) == [event]

    (item,) = await room.received()
    assert item["body"].encode() == event.value
    assert item["headers"]["content-type"] == "application/json"
    assert item["headers"]["user-agent"] == "Recado"
    assert item["headers"]["webhook-id"] == str(event.name.base)
    Webhook(room.secret).verify(item["body"], item["headers"])
    assert await room.rows("deliveries", "event_id, n, outcome, http_status", "n") == [
        (event.name.base, 0, "acknowledged", 200)
    ]
    assert await room.rows("delivery_queues", "1", "1") == []


async def test_an_acknowledged_event_is_not_pushed_again(room):
    await room.register()
    event = await room.event()

    await room.push(event)
    assert await room.push(event) == [event]

    assert len(await room.received()) == 1


async def test_events_of_many_conversations_go_out_together(room):
    await room.register()
    events = [await room.event(f"conv_{n}") for n in range(40)]

    assert Counter(record.name for record in await room.push(*events)) == Counter(event.name for event in events)

    assert sorted(await room.got()) == sorted(str(event.name.base) for event in events)


async def test_what_fails_waits_by_schedule_and_comes_back_under_the_next_number(room):
    endpoint = await room.register(schedule_seconds=[5, 30])
    event = await room.event()
    await room.fault(kind="status", status=500)

    assert await room.push(event) == [event]

    ((due, queue, topic, n, payload, headers),) = await room.rows(
        "deferred", "extract(epoch FROM due_at - created_at), queue, topic, n, payload, headers", "id"
    )
    assert 4.4 < due < 5.6
    assert (queue, topic, n, payload) == (f"{endpoint}|{CONVERSATION}", "wa.notify.due", 1, event.value)
    assert headers == {"endpoint": endpoint, "tenant": str(room.tenant), "ce_type": "message_received"}
    assert await room.returned() == []

    (again,) = await room.returned(due=False)
    assert (again.name, again.header("endpoint")) == (RecordName(event.name.base, 1), endpoint)
    assert await room.push(again) == [again]
    assert await room.got() == [str(event.name.base)] * 2
    assert await room.rows("deliveries", "n, outcome, http_status", "n") == [
        (0, "failed", 500), (1, "acknowledged", 200),
    ]  # fmt: skip
    assert await room.rows("delivery_queues", "1", "1") == []


async def test_later_events_of_the_conversation_wait_behind_the_one_that_failed_and_keep_their_order(room):
    await room.register()
    first, second, third = [await room.event() for _ in range(3)]
    elsewhere = await room.event("conv_other")
    await room.fault(kind="status", status=503)

    for event in (first, second, third, elsewhere):
        assert await room.push(event) == [event]

    assert await room.got() == [str(first.name.base), str(elsewhere.name.base)]
    assert await room.rows("deferred", "n, due_at IS NULL", "id") == [(1, False), (0, True), (0, True)]
    for expected in (first, second, third):
        (again,) = await room.returned(due=False)
        assert again.name.base == expected.name.base
        await room.push(again)
    assert await room.got() == [
        str(event.name.base) for event in (first, elsewhere, first, second, third)
    ]  # fmt: skip
    assert await room.rows("delivery_queues", "1", "1") == []
    assert await room.rows("deferred", "1", "1") == []


async def test_the_next_of_a_queue_is_due_at_once_when_its_head_is_settled(room):
    await room.register()
    first, second = [await room.event() for _ in range(2)]
    await room.fault(kind="status", status=500)
    await room.push(first)
    await room.push(second)

    (again,) = await room.returned(due=False)
    assert await room.returned() == []
    await room.push(again)

    assert [record.name for record in await room.returned()] == [second.name]


async def test_a_record_returned_twice_is_pushed_once(room):
    await room.register()
    first, second = [await room.event() for _ in range(2)]
    await room.fault(kind="status", status=500)
    await room.push(first)
    await room.push(second)
    (again,) = await room.returned(due=False)

    await room.push(again)
    await room.push(again)

    assert await room.got() == [str(first.name.base)] * 2
    assert await room.rows("delivery_queues", "head_event_id", "1") == [(second.name.base,)]


async def test_a_stale_number_has_no_effect_while_a_later_wait_is_stored(room):
    await room.register()
    event = await room.event()
    await room.fault(kind="status", status=500, times=2)
    await room.push(event)
    (once,) = await room.returned(due=False)
    await room.push(once)

    assert await room.push(once) == [once]
    assert await room.push(event) == [event]

    assert len(await room.received()) == 2
    assert await room.rows("deferred", "n", "id") == [(2,)]


async def test_an_event_whose_schedule_is_through_is_set_aside_and_its_queue_goes_on(room):
    await room.register(schedule_seconds=[1])
    first, second = [await room.event() for _ in range(2)]
    await room.fault(kind="status", status=400, times=2)
    await room.push(first)
    await room.push(second)

    (again,) = await room.returned(due=False)
    await room.push(again)

    assert [(dead.record.name, dead.reason, dead.tenant) for dead in room.dead] == [
        (again.name, "undeliverable", room.tenant)
    ]
    assert await room.rows("deliveries", "n, outcome", "n") == [(0, "failed"), (1, "dead")]
    (next_one,) = await room.returned()
    await room.push(next_one)
    assert (await room.got())[-1] == str(second.name.base)


async def test_a_dead_letter_that_may_not_have_got_out_is_said_again_on_redo(room):
    await room.register(schedule_seconds=[])
    event = await room.event()
    await room.fault(kind="status", status=500)

    await room.push(event)
    await room.push(event)

    assert [dead.record.name for dead in room.dead] == [event.name] * 2
    assert len(await room.received()) == 1


async def test_410_ends_the_event_without_another_try(room):
    await room.register()
    event = await room.event()
    await room.fault(kind="status", status=410)

    await room.push(event)

    assert await room.rows("deliveries", "outcome, http_status", "n") == [("gone", 410)]
    assert await room.rows("deferred", "1", "1") == []
    assert [dead.reason for dead in room.dead] == ["undeliverable"]


@pytest.mark.parametrize(
    ("action", "detail"),
    [
        ({"kind": "reset_before"}, "connection_broken"),
        ({"kind": "reset_after"}, "connection_broken"),
        ({"kind": "hang"}, "timeout"),
        ({"kind": "status", "status": 302}, "3xx"),
        ({"kind": "status", "status": 429}, "4xx"),
    ],
)
async def test_whatever_an_endpoint_does_the_event_is_kept_and_tried_again(room, action, detail):
    await room.register(timeout_seconds=0.3)
    event = await room.event()
    await room.fault(**action)

    await room.push(event)
    assert await room.rows("deliveries", "outcome, detail", "n") == [("failed", detail)]

    (again,) = await room.returned(due=False)
    await room.push(again)
    assert await room.rows("deliveries", "outcome", "n DESC LIMIT 1") == [("acknowledged",)]


async def test_an_endpoint_where_nobody_listens_is_tried_again(room):
    await room.register()
    room.url = "http://127.0.0.1:9"
    await room.register()

    await room.push(await room.event())

    assert await room.rows("deliveries", "outcome, detail", "n") == [("failed", "not_connected")]


async def test_what_finds_no_slot_in_time_waits_a_second_without_an_attempt_and_heads_its_queue(room):
    endpoint = await room.register(max_in_flight=0)
    event = await room.event()

    assert await room.push(event, polled_ago=3.0) == [event]

    assert await room.received() == []
    assert await room.rows("deliveries", "1", "1") == []
    assert await room.rows("deferred", "reason, n, due_at - created_at = interval '1 s'", "id") == [
        ("push_slot", 0, True)
    ]
    assert await room.rows("delivery_queues", "endpoint_id, head_event_id", "1") == [(endpoint, event.name.base)]


async def test_a_slow_endpoint_holds_back_only_its_own_records(room, database, settings_for):
    await room.register(max_in_flight=1, timeout_seconds=3)
    async with running_room(database, settings_for("notifier")) as other:
        await other.register()
        await room.directory.refresh()
        await room.fault(kind="delay", seconds=1.0)
        slow, fast = await room.event(), await other.event()

        assert await room.push(slow, fast) == [fast, slow]
        assert len(await room.received()) == len(await other.received()) == 1


async def test_each_endpoint_of_a_tenant_gets_the_event_and_one_that_fails_is_tried_alone(room):
    await room.register("/one")
    two = await room.register("/two")
    await room.fault("/two", kind="status", status=500)
    event = await room.event()

    assert await room.push(event) == [event]

    (again,) = await room.returned(due=False)
    assert again.header("endpoint") == two
    await room.push(again)
    assert (len(await room.received("/one")), len(await room.received("/two"))) == (1, 2)


async def test_a_tenant_without_endpoints_is_pushed_to_the_operators_default(database, settings_for):
    def default(tenant):
        secret = made[0].secret.encode()
        return Endpoint(id="default", tenant=tenant, url=made[0].url + "/default", secrets=(secret,), timeout_seconds=5,
                        max_in_flight=5, schedule_seconds=(1,), status="active")  # fmt: skip

    made: list[Room] = []
    async with running_room(database, settings_for("notifier"), default) as room:
        made.append(room)
        await room.fault("/default", kind="status", status=500)
        event = await room.event()

        await room.push(event)
        await room.push(*await room.returned(due=False))

        assert await room.got("/default") == [str(event.name.base)] * 2
        assert await room.rows("deliveries", "endpoint_id, outcome", "n DESC LIMIT 1") == [("default", "acknowledged")]


async def test_an_event_that_nobody_wants_is_settled(room):
    event = await room.event()

    assert await room.push(event) == [event]
    assert await room.rows("deliveries", "1", "1") == []


async def test_a_replayed_event_is_not_told_again(room):
    await room.register()
    event = await room.event()
    event = await room.event(headers=event.headers | {"replay": b"1"})

    assert await room.push(event) == [event]
    assert await room.received() == []


async def test_a_record_without_a_tenant_is_set_aside_and_the_others_go_on(room):
    await room.register()
    lost, good = await room.event("conv_1", headers={}), await room.event("conv_2")

    await room.push(lost, good)

    assert [(dead.record, dead.reason) for dead in room.dead] == [(lost, "unreadable")]
    assert await room.got() == [str(good.name.base)]


async def test_a_disabled_endpoint_gets_nothing_new_and_what_waited_for_it_ends(room):
    endpoint = await room.register()
    first, second = [await room.event() for _ in range(2)]
    await room.fault(kind="status", status=500)
    await room.push(first)
    await room.owner.execute(
        "UPDATE recado_directory.endpoints SET status = 'disabled', changed_at = clock_timestamp() WHERE id = %s",
        (endpoint,),
    )
    await room.directory.refresh()

    assert await room.push(second) == [second]
    await room.push(*await room.returned(due=False))

    assert len(await room.received()) == 1
    assert await room.rows("deliveries", "outcome", "n") == [("failed",), ("gone",)]
    assert await room.rows("delivery_queues", "1", "1") == []


async def test_a_paused_endpoint_keeps_its_events_without_an_attempt(room):
    endpoint = await room.register()
    await room.owner.execute(
        "UPDATE recado_directory.endpoints SET status = 'paused', changed_at = clock_timestamp() WHERE id = %s",
        (endpoint,),
    )
    await room.directory.refresh()
    first, second = [await room.event() for _ in range(2)]

    await room.push(first)
    await room.push(second)

    assert await room.received() == []
    assert await room.rows("deferred", "reason, due_at IS NULL", "id") == [
        ("push_paused", False), ("push_behind", True),
    ]  # fmt: skip


async def test_when_partitions_are_taken_away_what_was_not_begun_is_left_to_the_next_owner(room):
    await room.register()
    batch = Batch((await room.event(),), polled_at=clock.monotonic())
    batch.ending.set()

    handled = [record async for each in handle(batch, room.deps) for record in each.records]

    assert handled == []
    assert await room.received() == []
    assert await room.rows("deliveries", "1", "1") == []


async def test_an_answer_that_came_while_the_database_went_away_is_stored_when_it_is_back_and_not_asked_again(room):
    await room.register()
    event = await room.event()
    await room.fault(kind="delay", seconds=0.5)

    pushing = asyncio.create_task(room.push(event))
    await until(room.received)
    await room.owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'recado_login'")

    assert await pushing == [event]
    assert len(await room.received()) == 1
    assert await room.rows("deliveries", "n, outcome", "n") == [(0, "acknowledged")]


async def test_an_event_that_was_to_wait_goes_out_itself_when_its_queue_closes_in_that_moment(room):
    endpoint = await room.register()
    first, second = [await room.event() for _ in range(2)]
    await room.fault(kind="status", status=500)
    await room.push(first)
    await room.returned(due=False)
    key = PushKey(room.tenant, endpoint, CONVERSATION, first.name.base)

    async with transaction(room.pools.cell("default"), deliveries.ROLE) as connection:
        await deliveries.lock(connection, [key], [])
        appending = asyncio.create_task(room.push(second))
        await until(room.somebody_waits_for_a_lock)
        acknowledged = Delivery(1, "acknowledged", 200, None)
        await deliveries.write(connection, [Change(key=key, delivery=acknowledged, closed=True)])

    assert await appending == [second]
    assert (await room.got())[-1] == str(second.name.base)
    assert await room.rows("deferred", "1", "1") == []


async def test_one_that_joins_a_queue_in_the_moment_its_head_is_settled_is_not_forgotten(room):
    endpoint = await room.register()
    first, second = [await room.event() for _ in range(2)]
    await room.fault(kind="status", status=500)
    await room.push(first)
    (again,) = await room.returned(due=False)
    key = PushKey(room.tenant, endpoint, CONVERSATION, second.name.base)

    async with transaction(room.pools.cell("default"), deliveries.ROLE) as connection:
        (seen,) = await deliveries.lock(connection, [key], [])
        settling = asyncio.create_task(room.push(again))
        await until(room.somebody_waits_for_a_lock)
        late = Push(key=key, n=0, returned=False, kind="message_sent", body=second.value)
        await deliveries.write(connection, [conclude(late, APPENDED, seen, (), 0.0)])

    assert await settling == [again]
    assert [record.name for record in await room.returned()] == [second.name]
