"""Push what was announced to the companies' endpoints: an event's whole way out, top to bottom.

The room announces nothing: what came of a push, and what waits because of it, is one transaction per cell.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, Protocol

import msgspec

from services.domain.errors import RecordError
from services.domain.limits import ENDPOINT_SLOT_WAIT
from services.domain.tenants import Endpoint, Phonebook
from services.notifier.plan import (
    APPENDED,
    NO_SLOT,
    NO_SLOT_WAIT,
    PAUSED,
    PAUSED_WAIT,
    Answer,
    Passed,
    Push,
    Put,
    Result,
    Step,
    buried_here,
    decide,
)
from services.notifier.push import post
from services.notifier.settle import Outcome, Task, look, settle
from services.notifier.slots import EndpointSlots
from services.notifier.tally import Tally
from services.runtime import logs
from services.runtime.http import Session
from services.store.deliveries import PushKey
from services.store.pools import Pools
from services.streams.batch import Batch, Dead, Handled
from services.streams.codec import CE_TYPE, Record
from services.streams.topics import TopicName

DEFAULT_ENDPOINT: Final = "default"
_GATHER_SECONDS: Final = 0.005  # answers that come this close together share a transaction
_log = logs.get_logger()


class Directory(Protocol):
    """What the notifier asks of the directory."""

    book: Phonebook

    def cell_of(self, tenant: int) -> str: ...

    async def refresh_if_older(self, seconds: float) -> None: ...


class Deps(msgspec.Struct, frozen=True):
    """`default` makes the endpoint of a tenant that has none of its own; it returns None where there is no such."""

    pools: Pools
    directory: Directory
    session: Session
    slots: EndpointSlots
    default: Callable[[int], Endpoint | None]


async def handle(batch: Batch, deps: Deps) -> AsyncIterator[Handled]:
    """Look what is stored, push what may go, store what came of it, and yield each record when all its pushes are."""
    tasks, dead = await read(batch, deps)
    tally = Tally(tasks)
    yield tally.without_push(batch, dead)
    pending: set[asyncio.Task[Outcome | None]] = set()
    try:
        while tasks or pending:
            outcomes = await begin(tasks, pending, batch, deps, tally) if tasks else await ended(pending)
            stored = await settle(deps.pools, outcomes)
            tasks = [one.task for one in stored if one.again]
            handled = tally.settled(stored)
            batch.release(len(handled.records))
            if handled.records:
                yield handled
    finally:
        for push in pending:
            push.cancel()


async def read(batch: Batch, deps: Deps) -> tuple[list[Task], list[Dead]]:
    tasks: list[Task] = []
    dead: list[Dead] = []
    for record in batch.records:
        try:
            tasks += await tasks_of(record, deps)
        except RecordError as error:
            dead.append(Dead(record, error.reason, str(error), tenant=record.tenant))
    return tasks, dead


async def tasks_of(record: Record, deps: Deps) -> list[Task]:
    """One push for each endpoint that the event goes to; a replayed record is not told again."""
    if "replay" in record.headers:
        return []
    tenant = record.tenant
    if tenant is None:
        raise RecordError("unreadable", "no tenant in the headers")
    if tenant not in deps.directory.book.tenants:
        await deps.directory.refresh_if_older(1.0)
    if tenant not in deps.directory.book.tenants:
        raise RecordError("unknown_tenant", f"tenant {tenant}")
    cell = deps.directory.cell_of(tenant)
    return [
        Task(record, push_of(record, tenant, name), endpoint, cell)
        for name, endpoint in receivers(record, tenant, deps)
    ]


def receivers(record: Record, tenant: int, deps: Deps) -> list[tuple[str, Endpoint | None]]:
    """A returned push names its endpoint; a new event goes to all of its tenant's."""
    if record.topic == TopicName.NOTIFY_DUE:
        name = record.header("endpoint") or ""
        endpoint = deps.default(tenant) if name == DEFAULT_ENDPOINT else deps.directory.book.endpoints.get(name)
        known = endpoint is not None and endpoint.tenant == tenant and endpoint.status != "disabled"
        return [(name, endpoint if known else None)]
    own = deps.directory.book.endpoints_of(tenant)
    default = None if own else deps.default(tenant)
    return [(each.id, each) for each in (*own, *([default] if default else [])) if each.status != "disabled"]


def push_of(record: Record, tenant: int, endpoint: str) -> Push:
    returned = record.topic == TopicName.NOTIFY_DUE
    conversation = record.key.partition("|")[2] if returned else record.key
    return Push(
        key=PushKey(tenant, endpoint, conversation, record.name.base), n=record.name.n, returned=returned,
        kind=record.header(CE_TYPE) or "", body=record.value,
    )  # fmt: skip


async def begin(
    tasks: Sequence[Task], pending: set[asyncio.Task[Outcome | None]], batch: Batch, deps: Deps, tally: Tally
) -> list[Outcome]:
    """Start what may go on the wire now; return what needs no attempt."""
    outcomes = []
    for task, seen in await look(deps.pools, tasks):
        step = decide(task.push, seen)
        if step is Step.ATTEMPT:
            pending.add(asyncio.create_task(attempt(task, batch, deps)))
            continue
        if buried_here(task.push, seen):
            tally.bury(task)
        outcomes.append(Outcome(task, APPENDED if step is Step.APPEND else Passed()))
    return outcomes


async def ended(pending: set[asyncio.Task[Outcome | None]]) -> list[Outcome]:
    """Wait for answers; those close together make one lot. A push that was not begun any more has no outcome."""
    done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    if len(done) < len(pending):
        near, _ = await asyncio.wait(pending - done, timeout=_GATHER_SECONDS)
        done |= near
    pending -= done
    return [outcome for outcome in (each.result() for each in done) if outcome]


async def attempt(task: Task, batch: Batch, deps: Deps) -> Outcome | None:
    """Push once a slot of its endpoint is free; what finds none in time waits elsewhere. None: it was not begun."""
    endpoint = task.endpoint
    if endpoint is None:
        return Outcome(task, Answer(verdict="gone", detail="endpoint_unknown"))
    if endpoint.status == "paused":
        return Outcome(task, Put(PAUSED, PAUSED_WAIT))
    until = batch.polled_at + ENDPOINT_SLOT_WAIT.total_seconds()
    if not await deps.slots.take(endpoint.id, endpoint.max_in_flight, until):
        return Outcome(task, Put(NO_SLOT, NO_SLOT_WAIT))
    try:
        if batch.ending.is_set():
            return None
        return Outcome(task, log_failure(task, await post(deps.session, endpoint, task.push)))
    finally:
        deps.slots.give(endpoint.id)


def log_failure(task: Task, answer: Answer) -> Result:
    if answer.verdict != "acknowledged":
        key = task.push.key
        _log.info("push_failed", tenant=key.tenant, endpoint=key.endpoint, event_id=str(key.event_id), n=task.push.n,
                  status=answer.status, detail=answer.detail)  # fmt: skip
    return answer
