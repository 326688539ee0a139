"""Waits with numbers on PostgreSQL: a queue has one head, followers keep their order, nothing is given back twice."""

# ruff: noqa: S608 - what is put into these statements is the name of a schema, made of a number

import asyncio

import psycopg
import pytest

from services.domain.message import Recipient
from services.domain.workset import Deferral
from services.providers.contract import NotSent, Refused, Sent, Unknown
from services.store import deferred
from services.store.deferred import UNAVAILABLE
from services.store.pools import transaction
from services.store.unavailable import Unavailable
from services.streams.topics import TopicName
from tests.integration.store.kit import account_of, again, new_base, new_wamid, ordered, record_of, somebody

NOT_SENT = NotSent(reason="throttled")
REFUSED = Refused(code="window_closed", title="t", detail="d", fault="caller")
SCHEDULER = "recado_scheduler"


@pytest.fixture
def account(tenant):
    return account_of(tenant)


@pytest.fixture
def user():
    return Recipient(phone=f"+{somebody().wa_id}")


def waiting(store, account):
    """What waits in a queue, in order: message, number, and whether it is due now (None: behind a head)."""
    return store.rows(
        """
        SELECT subject, n, due_at <= now() FROM recado.deferred
        WHERE tenant_id = %s AND queue IS NOT NULL ORDER BY id""",
        account.tenant,
    )


def queues_of(store, order):
    schema = f"t_{order.command.tenant:05d}"
    return store.one(
        f"SELECT queues FROM {schema}.conversations WHERE id = %s", store.message(order)["conversation_id"]
    )


async def due(store, account):
    """Take this account's due rows as the scheduler does, and leave everybody else's where they are."""
    async with transaction(store.pools.cell("default"), SCHEDULER) as connection, connection.transaction() as inner:
        mine = [row for row in await deferred.claim_due(connection, 1000, None) if row.tenant == account.tenant]
        raise psycopg.Rollback(inner)
    store.change("DELETE FROM recado.deferred WHERE id = ANY(%s)", [row.id for row in mine])
    return mine


async def a_line(store, account, user, count):
    """A head that waits for its retry, and so many behind it, all to one user."""
    head = ordered(account, to=user)
    await store.settle((await store.call_of(head), NOT_SENT))
    followers = [ordered(account, to=user) for _ in range(count)]
    for follower in followers:
        await store.claim(follower)
    return head, followers


async def sent(store, order, n):
    """The command returns from its n-th wait and WhatsApp takes it."""
    await store.settle((await store.call_of(again(order, n)), Sent(new_wamid())))


async def test_followers_wait_behind_a_head_that_waits(store, account, user):
    head, followers = await a_line(store, account, user, 3)
    assert queues_of(store, head) == {"normal": head.command.message_id}
    assert waiting(store, account) == [
        (head.command.message_id, 1, True),
        *((follower.command.message_id, 1, None) for follower in followers),
    ]


async def test_only_the_head_is_given_back(store, account, user):
    head, _ = await a_line(store, account, user, 3)
    (row,) = await due(store, account)
    assert (row.base, row.n, row.topic, row.reason) == (head.name.base, 1, "wa.send.normal", "retry")
    assert await due(store, account) == []


async def test_each_one_sets_the_next_one_due_until_the_line_is_through(store, account, user):
    head, followers = await a_line(store, account, user, 3)
    given_back = []
    for order in (head, *followers):
        (row,) = await due(store, account)
        given_back.append(row.base)
        await sent(store, order, row.n)
    assert given_back == [order.name.base for order in (head, *followers)]
    assert waiting(store, account) == []
    assert queues_of(store, head) == {}


@pytest.mark.parametrize("outcome", [REFUSED, Unknown("timeout")], ids=["refused", "unknown"])
async def test_whatever_settles_the_head_releases_the_next(store, account, user, outcome):
    head, (follower, last) = await a_line(store, account, user, 2)
    await due(store, account)
    await store.settle((await store.call_of(again(head, 1)), outcome))
    (row,) = await due(store, account)
    assert row.base == follower.name.base
    assert queues_of(store, head) == {"normal": follower.command.message_id}
    assert waiting(store, account) == [(last.command.message_id, 1, None)]


async def test_a_head_that_waits_again_still_leads(store, account, user):
    head, (follower,) = await a_line(store, account, user, 1)
    await due(store, account)
    await store.settle((await store.call_of(again(head, 1)), NOT_SENT))
    assert queues_of(store, head) == {"normal": head.command.message_id}
    (row,) = await due(store, account)
    assert (row.base, row.n) == (head.name.base, 2)
    assert waiting(store, account) == [(follower.command.message_id, 1, None)]


async def test_two_in_flight_that_were_both_not_sent_keep_their_order(store, account, user):
    first, second = ordered(account, to=user), ordered(account, to=user)
    calls = [await store.call_of(order) for order in (first, second)]
    for call in calls:
        await store.settle((call, NOT_SENT))
    third = ordered(account, to=user)
    await store.claim(third)
    given_back = []
    for _ in range(3):
        rows = await due(store, account)
        given_back += [row.base for row in rows]
        for row in rows:
            order = next(order for order in (first, second, third) if order.name.base == row.base)
            await sent(store, order, row.n)
    assert given_back == [order.name.base for order in (first, second, third)]


async def test_another_user_of_the_account_is_not_held_up(store, account, user):
    await a_line(store, account, user, 1)
    (verdict,), _ = await store.claim(ordered(account))
    assert verdict.call is not None


async def test_another_lane_of_the_conversation_is_not_held_up(store, account, user):
    await a_line(store, account, user, 1)
    (verdict,), _ = await store.claim(ordered(account, to=user, lane="urgent"))
    assert verdict.call is not None


async def test_a_record_that_returns_twice_is_called_once(store, account, user):
    head, _ = await a_line(store, account, user, 0)
    (row,) = await due(store, account)
    call = await store.call_of(again(head, row.n))
    await store.settle((call, Sent(new_wamid())))
    (verdict,), _ = await store.claim(again(head, row.n))
    assert (verdict.call, verdict.reply.status) == (None, "sent")


async def test_a_stale_number_has_no_effect(store, account, user):
    head, _ = await a_line(store, account, user, 0)
    before = store.everything_of(account.tenant)
    (verdict,), events = await store.claim(head)
    assert (verdict.call, verdict.reply.status, events) == (None, "waiting", [])
    assert store.everything_of(account.tenant) == before


async def test_a_schedule_waits_for_its_time(store, account):
    now = store.one("SELECT now()")
    order = ordered(account, not_before=now.replace(year=now.year + 1))
    await store.claim(order)
    assert await due(store, account) == []
    ((late,),) = store.rows("SELECT due_at - %s FROM recado.deferred WHERE base = %s",
                            order.command.not_before, order.name.base)  # fmt: skip
    assert abs(late.total_seconds()) < 1


async def test_a_due_row_comes_back_as_it_was_put_away(store, account, user):
    head, _ = await a_line(store, account, user, 0)
    (row,) = await due(store, account)
    assert (row.tenant, row.key, row.headers) == (account.tenant, head.key, {})
    assert store.message(head)["wait_no"] == row.n


async def test_two_schedulers_never_take_the_same_row(store, account):
    orders = [ordered(account) for _ in range(10)]
    for order in orders:
        await store.settle((await store.call_of(order), NOT_SENT))
    holding, taken = asyncio.Event(), asyncio.Event()

    async def first():
        pool = store.pools.cell("default")
        async with transaction(pool, SCHEDULER) as connection, connection.transaction() as inner:
            rows = await deferred.claim_due(connection, 4, None)
            holding.set()
            await taken.wait()
            raise psycopg.Rollback(inner)
        return rows

    one = asyncio.create_task(first())
    await holding.wait()
    async with transaction(store.pools.cell("default"), SCHEDULER) as connection, connection.transaction() as inner:
        others = await deferred.claim_due(connection, 1000, None)
        raise psycopg.Rollback(inner)
    taken.set()
    mine = {row.id for row in await one}
    assert mine.isdisjoint({row.id for row in others})
    assert len(mine) == 4


class Stranded:
    """A record whose tenant cannot be worked on."""

    def __init__(self, headers=None):
        self.record = record_of(new_base(), headers=headers or {})

    def deferral(self):
        return Deferral(reason=UNAVAILABLE, due_in_seconds=None, queue=None, topic=TopicName.RAW, key="key",
                        base=self.record.name.base, n=0, payload=b"{}")  # fmt: skip


async def test_records_of_an_unavailable_tenant_come_back_in_their_order_a_lot_at_a_time(store, account):
    records = [Stranded() for _ in range(5)]
    away = Unavailable(store.pools, lambda _tenant: "default")
    await away.put_away({account.tenant: records}, Stranded.deferral)
    lots = []
    for _ in range(3):
        async with transaction(store.pools.cell("default"), SCHEDULER) as connection:
            lots.append([row.base for row in await deferred.claim_lot(connection, account.tenant, 2)])
    bases = [one.record.name.base for one in records]
    assert lots == [bases[:2], bases[2:4], bases[4:]]


async def test_while_records_wait_the_tenant_s_new_ones_are_appended_and_returned_ones_are_tried(store, account):
    waiting_before = Stranded()
    await Unavailable(store.pools, lambda _tenant: "default").put_away(
        {account.tenant: [waiting_before]}, Stranded.deferral
    )
    new, returned, somebody_else = Stranded(), Stranded({"returned": b"1"}), Stranded()
    another_copy = Unavailable(store.pools, lambda _tenant: "default")
    tried, appended = await another_copy.part({account.tenant: [new, returned], 900_000_001: [somebody_else]})
    assert (tried, appended) == (
        {account.tenant: [returned], 900_000_001: [somebody_else]},
        {account.tenant: [new]},
    )


async def test_a_tenant_that_waits_is_never_due_by_itself(store, account):
    await Unavailable(store.pools, lambda _tenant: "default").put_away(
        {account.tenant: [Stranded()]}, Stranded.deferral
    )
    assert await due(store, account) == []
    async with transaction(store.pools.cell("default"), SCHEDULER) as connection:
        assert account.tenant in await deferred.unavailable_tenants(connection)
