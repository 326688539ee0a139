"""Carry raw updates into tenant schemas and say what happened: a record's whole way, top to bottom."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol
from uuid import UUID

import msgspec

from services.domain.errors import RecordError
from services.domain.events import Event
from services.domain.tenants import Account, Phonebook, owners_of, quarantine
from services.domain.workset import Deferral, Workset
from services.normaliser.record import Told, is_first, keys_of, record
from services.providers.cloud.webhook import RawItem, interpret, natural_key, read_record
from services.providers.contract import AccountUpdate, Update
from services.runtime import clock, metrics
from services.store.deferred import UNAVAILABLE
from services.store.pools import Connection, Pools
from services.store.tenancy import GroupsDone, in_tenant_groups
from services.store.unavailable import Unavailable
from services.store.worksets import Keys, open_worksets, save
from services.streams.batch import Batch, Dead, Handled
from services.streams.codec import Outgoing, Record, event_outgoing


class Directory(Protocol):
    """What the normaliser asks of the directory."""

    book: Phonebook

    def cell_of(self, tenant: int) -> str: ...

    async def refresh_if_older(self, seconds: float) -> None: ...


class Deps(msgspec.Struct, frozen=True):
    pools: Pools
    directory: Directory
    unavailable: Unavailable


class Item(msgspec.Struct, frozen=True):
    """A record and what it tells each account that it concerns (one, or all of a WABA)."""

    record: Record
    told: tuple[Told, ...]


async def handle(batch: Batch, deps: Deps) -> AsyncIterator[Handled]:
    """Read, find the owners, record each tenant's updates in shared transactions, announce what is stored."""
    items, dead = await read(batch, deps)
    tried, appended = await deps.unavailable.part(items)
    done = await in_tenant_groups(deps.pools, deps.directory.cell_of, tried, record_updates)
    await deps.unavailable.put_away(merged(appended, done.unavailable), deferral)
    dead += [Dead(fail.item.record, *reason(fail.error), tenant=fail.tenant) for fail in done.failed]
    observe(items, done)
    yield Handled(records=batch.records, events=outgoing(done, deps), replies=(), dead=dead)


async def read(batch: Batch, deps: Deps) -> tuple[dict[int, list[Item]], list[Dead]]:
    """Decode and route; what cannot be read or must not be taken is a dead letter with its reason."""
    items: dict[int, list[Item]] = {}
    dead: list[Dead] = []
    for raw in batch.records:
        try:
            for tenant, item in (await route(raw, deps)).items():
                items.setdefault(tenant, []).append(item)
        except RecordError as error:
            dead.append(Dead(raw, error.reason, str(error), tenant=None))
    return items, dead


async def route(raw: Record, deps: Deps) -> dict[int, Item]:
    """Say whose the record is. An account's number decides, else its WABA; its own app must have signed."""
    if raw.headers.get("kind") == b"unreadable":
        raise RecordError("unreadable", "the signed body is no webhook")
    item = read_record(raw.value)
    update = interpret(item)
    owners = owners_of(deps.directory.book, item.number, *waba_of(item, update))
    if not owners:
        await deps.directory.refresh_if_older(1.0)  # PostgreSQL is read before a number is called unknown
        owners = owners_of(deps.directory.book, item.number, *waba_of(item, update))
    if why := quarantine(owners, item.app, getattr(update, "timestamp", None)):
        raise RecordError(why, f"number {item.number or '-'} of WABA {item.entry_id}, app {item.app}")
    key = natural_key(item)
    return by_tenant(raw, [tell(account, raw, item, update, key) for account in owners])


def waba_of(item: RawItem, update: Update) -> tuple[str, str | None]:
    """The WABA of an update and the number that it names in words; management fields may carry another WABA inside."""
    if isinstance(update, AccountUpdate):
        return update.waba_id, update.display_phone_number
    return item.entry_id, None


def tell(account: Account, raw: Record, item: RawItem, update: Update, key: tuple[str, ...]) -> Told:
    return Told(account=account, base=raw.name.base, update=update, received_at=item.received_at,
                partition=raw.partition, offset=raw.offset, natural_key=key)  # fmt: skip


def by_tenant(raw: Record, told: list[Told]) -> dict[int, Item]:
    tenants = {one.account.tenant for one in told}
    return {tenant: Item(raw, tuple(t for t in told if t.account.tenant == tenant)) for tenant in tenants}


async def record_updates(connection: Connection, group: Mapping[int, list[Item]]) -> list[tuple[int, Event]]:
    """The batch transaction: natural keys in and locked, the pure decision, each row once, events read back."""
    keys = {tenant: Keys() for tenant in group}
    for tenant, items in group.items():
        for item in items:
            for told in item.told:
                keys_of(told, keys[tenant])
    works = await open_worksets(connection, keys)
    again = {tenant: bases_to_read(works[tenant], items) for tenant, items in group.items()}
    for tenant, items in group.items():
        for item in items:
            for told in item.told:
                record(works[tenant], told)
    return await save(connection, works, again)


def bases_to_read(work: Workset, items: list[Item]) -> list[UUID]:
    """The bases under which events may be stored from an earlier time: of all but the wholly new records."""
    return [item.record.name.base for item in items if not all(is_first(work, told) for told in item.told)]


def outgoing(done: GroupsDone[Item, list[tuple[int, Event]]], deps: Deps) -> list[Outgoing]:
    events = [pair for result in done.results for pair in result]
    for tenant, event in events:
        metrics.count_message("inbound", event.event_type, deps.directory.book.tenants[tenant].company_id)
    return [event_outgoing(event, tenant) for tenant, event in events]


def deferral(item: Item) -> Deferral:
    """A record of a tenant that cannot be worked on: it returns to the raw topic under its old name."""
    raw = item.record
    return Deferral(reason=UNAVAILABLE, due_in_seconds=None, queue=None, topic=raw.topic, key=raw.key,
                    base=raw.name.base, n=raw.name.n, payload=raw.value)  # fmt: skip


def merged(one: dict[int, list[Item]], other: dict[int, list[Item]]) -> dict[int, list[Item]]:
    return {tenant: one.get(tenant, []) + other.get(tenant, []) for tenant in one.keys() | other.keys()}


def reason(error: BaseException) -> tuple[str, str]:
    if isinstance(error, RecordError):
        return error.reason, str(error)
    return "bug", type(error).__name__


def observe(items: dict[int, list[Item]], done: GroupsDone[Item, Any]) -> None:
    now = clock.now()
    for own in items.values():
        metrics.WEBHOOK_PROCESSING.observe((now - own[-1].told[0].received_at).total_seconds())
    for fail in done.failed:
        metrics.DEAD_LETTERS.labels("normaliser", reason(fail.error)[0]).inc()
