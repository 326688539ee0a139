"""The limit of the normaliser: bare psycopg that writes the same rows, decoded and decided beforehand.

One transaction a batch as in the room: the natural keys in one pipeline, the rows and events in a second one, each
tenant's under its own role. No locks, no reads, no decoding, no Kafka. With `whole` the room's locks and reads are sent
too: what lies between both figures is the price of being right. `python -m tests.bench.bare_normaliser PLAN`.
"""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import psycopg
import uvloop

from services.domain.ids import RecordName
from services.domain.workset import Workset
from services.normaliser.record import Told, keys_of, record
from services.providers.cloud.webhook import interpret, natural_key, read_record
from services.runtime import clock
from services.runtime.health import Health
from services.runtime.lifecycle import freeze_garbage
from services.runtime.settings import load
from services.store import contacts, conversations, events, messages, statuses
from services.store.directory import Directory
from services.store.names import role_of, schema_of
from services.store.opening import opened
from services.store.tenancy import SWITCH, Statement
from services.store.worksets import Keys
from tests.bench.log import WARM

_WRITES: Final = ("INSERT", "UPDATE")

Phase = list[tuple[tuple[str, str], list[tuple[bytes, tuple[Any, ...]]]]]


class Plan(msgspec.Struct, frozen=True):
    """`records`: file of the values of raw records, msgpack; `batch`: so many of them in a transaction."""

    records: str
    batch: int
    core: int
    whole: bool = False
    prepared: int = 400


class Seen(msgspec.Struct, frozen=True):
    rate: float
    cpu_us: float


class Ready(NamedTuple):
    """One transaction: its two phases, ready to send."""

    keys: Phase
    rows: Phase


class _Memory:
    """What the database will hold after the batches prepared so far, as far as the next one would find it."""

    def __init__(self) -> None:
        self.identities: dict[Any, str | None] = {}
        self.contacts: dict[str, Any] = {}
        self.conversations: dict[str, Any] = {}

    def lend(self, keys: Keys) -> Workset:
        work = Workset()
        work.new_inbound = set(keys.inbound)
        work.identities = {key: self.identities.get(key) for key in keys.identities}
        work.contacts = self.contacts
        work.conversations = self.conversations
        return work

    def keep(self, work: Workset) -> None:
        self.identities |= work.identities


def prepare(values: Sequence[bytes], plan: Plan, directory: Directory) -> list[Ready]:
    """Decode, decide and build the statements of every batch with the room's own functions."""
    memories: dict[int, _Memory] = {}
    ready = []
    for start in range(0, len(values), plan.batch):
        told: dict[int, list[Told]] = {}
        for value in values[start : start + plan.batch]:
            one = _told(value, directory)
            told.setdefault(one.account.tenant, []).append(one)
        ready.append(_ready(told, memories, whole=plan.whole))
    return ready


def _told(value: bytes, directory: Directory) -> Told:
    item = read_record(value)
    account = directory.book.by_number(item.number)
    if account is None:
        raise LookupError("the records are of another stage")
    return Told(
        account=account, base=RecordName(clock.new_uuid7(), 0).base, update=interpret(item),
        received_at=item.received_at, partition=0, offset=0, natural_key=natural_key(item),
    )  # fmt: skip


def _ready(told: Mapping[int, list[Told]], memories: dict[int, _Memory], *, whole: bool) -> Ready:
    first: Phase = []
    second: Phase = []
    for tenant, own in sorted(told.items()):
        keys = Keys()
        for one in own:
            keys_of(one, keys)
        work = memories.setdefault(tenant, _Memory()).lend(keys)
        for one in own:
            record(work, one)
        rows = [
            *contacts.write(work), *conversations.write(work), *messages.write(work), *statuses.write(work),
            *events.store_and_read_back(work, [one.base for one in own]),
        ]  # fmt: skip
        first.append(_of(tenant, keys.statements(), whole=whole))
        second.append(_of(tenant, rows, whole=whole))
        memories[tenant].keep(work)
    return Ready(first, second)


def _of(tenant: int, listed: Sequence[Statement], *, whole: bool) -> Any:
    schema = schema_of(tenant)
    chosen = [one for one in listed if whole or one.text.lstrip().startswith(_WRITES)]
    return (role_of(tenant), str(tenant)), [(one.text.replace("{s}", schema).encode(), one.params) for one in chosen]


async def write(connection: psycopg.AsyncConnection[Any], phase: Phase) -> None:
    cursors = []
    async with connection.pipeline():
        for role, statements in phase:
            await connection.execute(SWITCH, role)
            for text, params in statements:
                cursor = connection.cursor(binary=True)
                await cursor.execute(text, params)
                cursors.append(cursor)
    for cursor in cursors:
        if cursor.description is not None:
            await cursor.fetchall()


async def _run(plan: Plan, values: Sequence[bytes]) -> Seen:
    settings = load()
    async with opened(settings, Health(), asyncio.Event(), size=1) as store:
        ready = prepare(values, plan, store.directory)
    connection = await psycopg.AsyncConnection.connect(settings.database_url, prepare_threshold=5)
    connection.prepared_max = plan.prepared
    freeze_garbage()
    warm = int(len(ready) * WARM)
    began, used = 0.0, 0.0
    for place, batch in enumerate(ready):
        if place == warm:
            began, used = clock.monotonic(), _cpu()
        async with connection.transaction():
            await write(connection, batch.keys)
            await write(connection, batch.rows)
    seconds, used = clock.monotonic() - began, _cpu() - used
    await connection.close()
    counted = len(values) - warm * plan.batch
    return Seen(counted / seconds, used / counted * 1e6)


def _cpu() -> float:
    times = os.times()
    return times.user + times.system


def main() -> None:
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    os.sched_setaffinity(0, {plan.core})
    values: list[bytes] = msgspec.msgpack.decode(Path(plan.records).read_bytes())
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_run(plan, values))))


if __name__ == "__main__":
    main()
