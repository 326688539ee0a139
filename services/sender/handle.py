"""Carry commands to WhatsApp: claim, call, settle. A command's whole way, top to bottom."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, Protocol

import msgspec

from services.domain.errors import DependencyAwayError, RecordError, TenantUnavailableError
from services.domain.events import Event
from services.domain.limits import RECONCILE_WINDOW
from services.domain.message import decode_command
from services.domain.policy import Evidence
from services.domain.replies import Reply, parse_reply_to
from services.domain.retry import RetryPolicy
from services.domain.tenants import Phonebook
from services.domain.workset import Deferral, Workset
from services.providers.contract import Provider, Refused, SendingNumber, SendOutcome, Sent
from services.runtime import clock, metrics
from services.runtime.crash import CrashPoints
from services.sender import claim, settle
from services.sender.claim import DECIDE_AT, Call, Ordered, Verdict
from services.sender.replies import present_state
from services.sender.settle import Answered
from services.store import attempts
from services.store.deferred import UNAVAILABLE
from services.store.pools import Connection, Pools
from services.store.tenancy import GroupsDone, in_tenant_groups
from services.store.unavailable import Unavailable
from services.store.worksets import Keys, open_worksets, save
from services.streams.batch import Batch, Dead, Handled
from services.streams.codec import Outgoing, Record, event_outgoing
from services.streams.topics import TopicName

_GATHER_SECONDS = 0.010  # answers that come this close together share a transaction


class Directory(Protocol):
    """What the sender asks of the directory."""

    book: Phonebook

    def cell_of(self, tenant: int) -> str: ...

    async def refresh_if_older(self, seconds: float) -> None: ...


class Progress(Protocol):
    """What the sender asks of the log of updates."""

    async def handled_until(self, moment: datetime) -> bool: ...


class Deps(msgspec.Struct, frozen=True):
    pools: Pools
    directory: Directory
    unavailable: Unavailable
    provider: Provider
    crash: CrashPoints
    retry: RetryPolicy
    lease_seconds: float
    progress: Progress
    window: timedelta = RECONCILE_WINDOW


class Item(msgspec.Struct, frozen=True):
    record: Record
    ordered: Ordered


async def handle(batch: Batch, deps: Deps) -> AsyncIterator[Handled]:
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
        yield await settle_answers(answered, deps)


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


SettleResult = tuple[list[tuple[Record, Reply]], list[tuple[int, Event]]]
SettleDone = GroupsDone[tuple[Record, Answered], SettleResult]
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
    metrics.WHATSAPP_API.labels("cloud", "send").observe(clock.monotonic() - started)
    return record, Answered(
        call=call, outcome=outcome, at=clock.now(), lease_ends=lease_ends, ending=batch.ending.is_set()
    )


async def settle_answers(answers: list[tuple[Record, Answered]], deps: Deps) -> Handled:
    """Record what came of the calls in one transaction, and answer whoever waits with the present state."""
    by_tenant: dict[int, list[tuple[Record, Answered]]] = {}
    for pair in answers:
        by_tenant.setdefault(pair[1].call.ordered.command.tenant, []).append(pair)
    done = await settle_for_certain(by_tenant, deps)
    replies = [reply for replies, _ in done.results for record, said in replies for reply in answer(record, said)]
    events = [event for _, events in done.results for event in events]
    return Handled(
        records=tuple(record for record, _ in answers), events=outgoing(events, deps), replies=replies, dead=()
    )


async def settle_for_certain(by_tenant: dict[int, list[tuple[Record, Answered]]], deps: Deps) -> SettleDone:
    """Repeat while the database is away: an answer that we hold must not be forgotten and become unknown."""
    backoff = 0.1
    while True:
        try:
            done = await in_tenant_groups(deps.pools, deps.directory.cell_of, by_tenant, partial(settle_group, deps))
        except DependencyAwayError:
            await asyncio.sleep(backoff * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            backoff = min(backoff * 2, 5.0)
            continue
        if done.failed:
            raise done.failed[0].error
        if done.unavailable:
            raise TenantUnavailableError("the tenant went away while its messages were on the wire")
        return done


async def settle_group(
    deps: Deps, connection: Connection, group: Mapping[int, list[tuple[Record, Answered]]]
) -> SettleResult:
    keys = {tenant: Keys() for tenant in group}
    for tenant, pairs in group.items():
        for _, answered in pairs:
            settle.keys_of(answered, keys[tenant])
    works = await open_worksets(connection, keys)
    rows = {
        tenant: [settle.settle(works[tenant], one, deps.retry, late=too_late(one)) for _, one in pairs]
        for tenant, pairs in group.items()
    }
    extra = {tenant: attempts.settle(tenant, own) for tenant, own in rows.items()}
    bases = {tenant: [record.name.base for record, _ in pairs] for tenant, pairs in group.items()}
    events = await save(connection, works, bases, extra)
    replies = [(record, told(works[tenant], answered)) for tenant, pairs in group.items() for record, answered in pairs]
    return replies, events


def told(work: Workset, answered: Answered) -> Reply:
    held = answered.outcome.whatsapp_status if isinstance(answered.outcome, Sent) else None
    return present_state(work.messages[answered.call.ordered.command.message_id], whatsapp_status=held)


def too_late(answered: Answered) -> bool:
    """Whether another owner may have met this claim's record already, and left it to a wait."""
    return answered.ending or clock.monotonic() > answered.lease_ends


def answer(record: Record, reply: Reply) -> list[Outgoing]:
    """The reply goes to the partition of the ingress copy that waits, if one does."""
    waiting = parse_reply_to(record.headers.get("reply_to", b"").decode("ascii", "replace"))
    if waiting is None:
        return []
    headers = (("copy", waiting.copy.encode()), ("request", waiting.request.encode()))
    return [Outgoing(TopicName.REPLY, waiting.copy, msgspec.json.encode(reply), headers, partition=waiting.partition)]


def outgoing(events: Sequence[tuple[int, Event]], deps: Deps) -> list[Outgoing]:
    for tenant, event in events:
        metrics.count_message("outbound", event.event_type, deps.directory.book.tenants[tenant].company_id)
    return [event_outgoing(event, tenant) for tenant, event in events]


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
