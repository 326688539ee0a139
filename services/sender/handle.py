"""Carry commands to WhatsApp: claim, call, settle. A command's whole way, top to bottom."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

import msgspec

from services.domain.errors import RecordError
from services.domain.events import Event
from services.domain.message import decode_command
from services.domain.policy import Evidence
from services.domain.workset import Deferral
from services.providers.contract import Refused, SendingNumber, SendOutcome
from services.runtime import clock, metrics
from services.sender import claim
from services.sender.claim import DECIDE_AT, Call, Ordered, Verdict
from services.sender.deps import Deps
from services.sender.said import answer, outgoing
from services.sender.settle import Answered
from services.sender.settling import Settling
from services.store import attempts
from services.store.deferred import UNAVAILABLE
from services.store.pools import Connection
from services.store.tenancy import in_tenant_groups
from services.store.worksets import Keys, open_worksets, save
from services.streams.batch import Batch, Dead, Handled
from services.streams.codec import Record

_CALL_SECONDS: Final = metrics.WHATSAPP_API.labels("cloud", "send")
_GATHER_SECONDS: Final = 0.010  # answers that come this close together share a transaction


class Item(msgspec.Struct, frozen=True):
    record: Record
    ordered: Ordered


async def handle(batch: Batch, deps: Deps, settling: Settling) -> AsyncIterator[Handled]:
    """Claim the chunk in one transaction, yield what needs no call, then yield answers as they settle.

    The loop took a connection slot for every record before it called us: a claim covers only what goes on the wire now.
    """
    lease_ends = clock.monotonic() + deps.lease_seconds
    claims = await claim_chunk(batch, deps)
    deps.crash.reach("after_claim")
    batch.release(len(batch.records) - len(claims.calls))
    answers = call_all(claims.calls, batch, deps, lease_ends)
    yield claims.handled
    async for answered in answers:
        yield await settling.settle(answered)


class Claims(NamedTuple):
    calls: list[tuple[Record, Call]]
    handled: Handled


async def claim_chunk(batch: Batch, deps: Deps) -> Claims:
    items, dead = await read(batch, deps)
    tried, appended = await deps.unavailable.part(items)
    done = await in_tenant_groups(deps.pools, deps.directory.cell_of, tried, partial(claim_group, deps))
    await deps.unavailable.put_away(merged(appended, done.unavailable), put_back)
    dead += [Dead(fail.item.record, *reason(fail.error), tenant=fail.tenant) for fail in done.failed]
    pairs = [pair for verdicts, _ in done.results for pair in verdicts]
    calls = [(item.record, verdict.call) for item, verdict in pairs if verdict.call]
    on_the_wire = {id(record) for record, _ in calls}
    handled = Handled(
        records=tuple(record for record in batch.records if id(record) not in on_the_wire),
        events=outgoing([event for _, events in done.results for event in events], deps),
        replies=[reply for item, verdict in pairs if verdict.reply for reply in answer(item.record, verdict.reply)],
        dead=dead,
    )
    return Claims(calls, handled)


async def read(batch: Batch, deps: Deps) -> tuple[dict[int, list[Item]], list[Dead]]:
    items: dict[int, list[Item]] = {}
    dead: list[Dead] = []
    for record in batch.records:
        try:
            ordered = await order(record, deps)
        except RecordError as error:
            dead.append(Dead(record, error.reason, str(error), tenant=None))
        else:
            items.setdefault(ordered.command.tenant, []).append(Item(record, ordered))
    return items, dead


async def order(record: Record, deps: Deps) -> Ordered:
    """Decode a command and find the account that sends it. Replayed records never reach WhatsApp."""
    if "replay" in record.headers:
        raise RecordError("replayed_command", "a replayed record is never sent")
    try:
        command = decode_command(record.value)
    except msgspec.MsgspecError as error:
        raise RecordError("unreadable", "no command of this version") from error
    account = deps.directory.book.accounts.get(command.account_id)
    if account is None:
        await deps.directory.refresh_if_older(1.0)
        account = deps.directory.book.accounts.get(command.account_id)
    if account is None or account.tenant != command.tenant:
        raise RecordError("unknown_account", "the account is not registered with this tenant")
    evidence = await weigh(record, deps)
    return Ordered(command=command, name=record.name, account=account, topic=record.topic, key=record.key,
                   evidence=evidence, window=deps.window)  # fmt: skip


async def weigh(record: Record, deps: Deps) -> Evidence:
    """A wait for an unknown outcome carries its window's end; ask whether all that came before it has been handled."""
    told = record.header(DECIDE_AT)
    if told is None:
        return Evidence()
    decide_at = datetime.fromisoformat(told)
    return Evidence(decide_at=decide_at, complete=await deps.progress.handled_until(decide_at))


ClaimResult = tuple[list[tuple[Item, Verdict]], list[tuple[int, Event]]]


async def claim_group(deps: Deps, connection: Connection, group: Mapping[int, list[Item]]) -> ClaimResult:
    """One transaction: messages and conversations in and locked, the decision, claims and events written."""
    keys = {tenant: Keys() for tenant in group}
    for tenant, items in group.items():
        for item in items:
            claim.keys_of(item.ordered, keys[tenant])
    works = await open_worksets(connection, keys)
    verdicts = {
        tenant: [(item, claim.decide(works[tenant], item.ordered, deps.lease_seconds)) for item in items]
        for tenant, items in group.items()
    }
    extra = {tenant: attempts.claim(tenant, called(pairs), deps.lease_seconds) for tenant, pairs in verdicts.items()}
    bases = {tenant: [item.record.name.base for item in items] for tenant, items in group.items()}
    events = await save(connection, works, bases, extra)
    return [pair for pairs in verdicts.values() for pair in pairs], events


def called(pairs: Sequence[tuple[Item, Verdict]]) -> list[tuple[str, int]]:
    return [(v.ordered.command.message_id, v.call.attempt) for _, v in pairs if v.call]


def call_all(
    calls: Sequence[tuple[Record, Call]], batch: Batch, deps: Deps, lease_ends: float
) -> AsyncIterator[list[tuple[Record, Answered]]]:
    """Begin every call at once; each gives its slot back when it ends, however it ends."""
    pending = set()
    for record, call in calls:
        task = asyncio.create_task(call_one(record, call, batch, deps, lease_ends))
        task.add_done_callback(lambda _: batch.release())
        pending.add(task)
    return answers_of(pending, deps)


async def answers_of(
    pending: set[asyncio.Task[tuple[Record, Answered]]], deps: Deps
) -> AsyncIterator[list[tuple[Record, Answered]]]:
    """Hand out answers as they come, those close together in one lot."""
    try:
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if pending:
                near, pending = await asyncio.wait(pending, timeout=_GATHER_SECONDS)
                done |= near
            deps.crash.reach("after_answer")
            yield [task.result() for task in done]
    finally:
        for task in pending:
            task.cancel()


async def call_one(record: Record, call: Call, batch: Batch, deps: Deps, lease_ends: float) -> tuple[Record, Answered]:
    started = clock.monotonic()
    outcome: SendOutcome
    account = call.ordered.account
    try:
        outcome = await deps.provider.send(
            call.ordered.command, origin=SendingNumber(account.phone_number_id or "", account.api_key),
            attempt=call.attempt, lease_ends=lease_ends, to=call.to, context_wamid=call.context_wamid,
        )  # fmt: skip
    except RecordError as error:
        outcome = Refused(code=error.reason, title="The message cannot be sent", detail=str(error), fault="caller")
    _CALL_SECONDS.observe(clock.monotonic() - started)
    return record, Answered(
        call=call, outcome=outcome, at=clock.now(), lease_ends=lease_ends, ending=batch.ending.is_set()
    )


def put_back(item: Item) -> Deferral:
    """A command of a tenant that cannot be worked on returns to its lane under its old name."""
    record = item.record
    return Deferral(reason=UNAVAILABLE, due_in_seconds=None, queue=None, topic=record.topic, key=record.key,
                    base=record.name.base, n=record.name.n, payload=record.value)  # fmt: skip


def merged(one: dict[int, list[Item]], other: dict[int, list[Item]]) -> dict[int, list[Item]]:
    return {tenant: one.get(tenant, []) + other.get(tenant, []) for tenant in one.keys() | other.keys()}


def reason(error: BaseException) -> tuple[str, str]:
    if isinstance(error, RecordError):
        return error.reason, str(error)
    return "bug", type(error).__name__
