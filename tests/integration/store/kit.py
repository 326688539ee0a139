"""Drives the rooms' own batch transactions on a real database, without Kafka and WhatsApp. Not here: any statement."""

# ruff: noqa: S608 - what is put into these statements is the name of a schema, made of a number

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar, cast

import msgspec
import psycopg
from psycopg import sql

from services.domain.errors import DependencyAwayError
from services.domain.events import Event
from services.domain.ids import RecordName
from services.domain.message import Recipient
from services.domain.retry import RetryPolicy
from services.domain.tenants import Account
from services.normaliser import handle as normaliser
from services.normaliser.record import Told
from services.providers.contract import Identity, SendOutcome
from services.sender import handle as sender
from services.sender.claim import Call, Ordered, Verdict
from services.sender.deps import Deps as SenderDeps
from services.sender.settle import Answered
from services.sender.settling import settle_group
from services.store.names import schema_of
from services.store.pools import Connection, Pools
from services.store.tenancy import GroupsDone, in_tenant_groups
from services.streams.codec import Record
from services.streams.topics import TopicName
from tests.unit.domain.things import IDS, NOW, a_command, an_account

LEASE_SECONDS = 45.0
AT_ONCE = RetryPolicy(base=timedelta(0), limit=5)
"""Waits that are due as soon as they are written."""
TENANT_TABLES = ("contacts", "contact_identities", "conversations", "messages", "message_statuses", "wamids", "events")
SHARED_TABLES = ("account_state", "deferred", "send_attempts", "webhook_events")
_numbers = itertools.count(1)

T = TypeVar("T")
R = TypeVar("R")


async def as_the_loop_does(attempt: Callable[[], Awaitable[R]]) -> R:
    """Repeat while the database is away: other tests restart it under the pools that live as long as the session."""
    for _ in range(50):
        try:
            return await attempt()
        except DependencyAwayError:
            await asyncio.sleep(0.1)
    return await attempt()


def new_wamid() -> str:
    return f"wamid.{uuid.uuid4().hex}"  # noqa: TID251 - a name that no other test has; order does not matter


def new_base() -> uuid.UUID:
    return uuid.uuid4()  # noqa: TID251 - as above


def new_message_id(account: Account) -> str:
    return IDS.issue(account.no, new_base().int & (2**64 - 1))


def somebody() -> Identity:
    """A user whom no other test knows."""
    number = next(_numbers)
    unique = new_base().int % 10**6
    return Identity(wa_id=f"5939{unique:06d}{number % 1000:03d}", bsuid=f"EC.{unique}{number}", name="Ana")


def account_of(tenant: int) -> Account:
    return an_account(tenant, id=f"acc_of_tenant_{tenant}")


def record_of(base: uuid.UUID, n: int = 0, topic: TopicName = TopicName.RAW, headers: dict[str, bytes] | None = None,
              value: bytes = b"{}") -> Record:  # fmt: skip
    return Record(topic, 0, 0, "key", value, headers or {}, 0, RecordName(base, n))


def ordered(account: Account, *, n: int = 0, base: uuid.UUID | None = None, **over: Any) -> Ordered:
    """A command of this account; a new message to a new user unless it says otherwise."""
    fresh = {"message_id": new_message_id(account), "to": Recipient(phone=f"+{somebody().wa_id}")}
    command = a_command(account, **(fresh | over))
    name = RecordName(base or new_base(), n)
    return Ordered(command=command, name=name, account=account, topic="wa.send.normal", key=f"{account.id}#0")


def again(order: Ordered, n: int) -> Ordered:
    """The same command as it returns from its n-th wait."""
    return msgspec.structs.replace(order, name=order.name.deferred(n))


class Store:
    """A database that several rooms work on. `owner` is its owner's URL, for looking at what is really there."""

    def __init__(self, pools: Pools, owner: str, policy: RetryPolicy = AT_ONCE) -> None:
        self.pools = pools
        self.owner = owner
        self._deps = SenderDeps(
            pools=pools,
            directory=cast("Any", None),
            unavailable=cast("Any", None),
            provider=cast("Any", None),
            crash=cast("Any", None),
            retry=policy,
            lease_seconds=LEASE_SECONDS,
            progress=cast("Any", None),
        )

    async def in_groups(
        self, items: Mapping[int, list[T]], work: Callable[[Connection, Mapping[int, list[T]]], Awaitable[R]]
    ) -> GroupsDone[T, R]:
        return await as_the_loop_does(lambda: in_tenant_groups(self.pools, lambda _tenant: "default", items, work))

    async def hear(self, *told: Told) -> GroupsDone[normaliser.Item, list[tuple[int, Event]]]:
        """The normaliser's transaction for a batch of one record each."""
        items: dict[int, list[normaliser.Item]] = {}
        for one in told:
            items.setdefault(one.account.tenant, []).append(normaliser.Item(record_of(one.base), (one,)))
        return await self.in_groups(items, normaliser.record_updates)

    async def claim(self, *orders: Ordered) -> tuple[list[Verdict], list[Event]]:
        """The sender's first transaction; every command must come through it."""
        items: dict[int, list[sender.Item]] = {}
        for order in orders:
            record = record_of(order.name.base, order.name.n, TopicName.SEND_NORMAL)
            items.setdefault(order.command.tenant, []).append(sender.Item(record, order))
        done = await self.in_groups(items, partial(sender.claim_group, self._deps))
        assert_all_done(done)
        verdicts = [verdict for pairs, _ in done.results for _, verdict in pairs]
        return verdicts, [event for _, events in done.results for _, event in events]

    async def call_of(self, order: Ordered) -> Call:
        """Claim a command that nothing stands in the way of."""
        (verdict,), _ = await self.claim(order)
        assert verdict.call is not None
        return verdict.call

    async def settle(self, *outcomes: tuple[Call, SendOutcome]) -> list[Event]:
        """The sender's second transaction."""
        items: dict[int, list[tuple[Record, Answered]]] = {}
        for call, outcome in outcomes:
            name = call.ordered.name
            answered = Answered(call=call, outcome=outcome, at=NOW, lease_ends=float("inf"))
            record = record_of(name.base, name.n, TopicName.SEND_NORMAL)
            items.setdefault(call.ordered.command.tenant, []).append((record, answered))
        done = await self.in_groups(items, partial(settle_group, self._deps))
        assert_all_done(done)
        return [event for _, events in done.results for _, _, event in events]

    def rows(self, query: str, *params: Any) -> list[tuple[Any, ...]]:
        """Look as the owner does, past every policy."""
        with psycopg.connect(self.owner) as connection:
            return connection.execute(query.encode(), params).fetchall()

    def one(self, query: str, *params: Any) -> Any:
        """The only column of the only row."""
        ((value,),) = self.rows(query, *params)
        return value

    def change(self, statement: str, *params: Any) -> None:
        with psycopg.connect(self.owner) as connection:
            connection.execute(statement.encode(), params)

    def message(self, order: Ordered) -> dict[str, Any]:
        schema = schema_of(order.command.tenant)
        row: dict[str, Any] = self.one(
            f"SELECT to_jsonb(m) FROM {schema}.messages m WHERE id = %s", order.command.message_id
        )
        return row

    def everything_of(self, tenant: int) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of a tenant, in its schema and in the shared tables."""
        found = {}
        with psycopg.connect(self.owner) as connection:
            for table in TENANT_TABLES:
                name = sql.Identifier(schema_of(tenant), table)
                found[table] = connection.execute(sql.SQL("SELECT * FROM {} ORDER BY 1, 2, 3").format(name)).fetchall()
            for table in SHARED_TABLES:
                query = sql.SQL("SELECT * FROM {} WHERE tenant_id = %s ORDER BY 1, 2, 3")
                found[table] = connection.execute(query.format(sql.Identifier("recado", table)), (tenant,)).fetchall()
        return found


def events_of(done: GroupsDone[Any, list[tuple[int, Event]]]) -> list[tuple[int, Event]]:
    assert_all_done(done)
    return [pair for result in done.results for pair in result]


def assert_all_done(done: GroupsDone[Any, Any]) -> None:
    assert [repr(fail.error) for fail in done.failed] == []
    assert done.unavailable == {}


def types_of(events: list[Event]) -> list[str]:
    return [event.event_type for event in events]
