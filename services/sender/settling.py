"""Answers of all chunks are settled together: what has come while a transaction ran goes into the next one, as group
commit does. Not here: what an outcome means (settle.py), the calls (handle.py)."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

from services.domain.errors import DependencyAwayError, TenantUnavailableError
from services.domain.events import Event
from services.domain.replies import Reply
from services.domain.workset import Workset
from services.providers.contract import Sent
from services.runtime import clock
from services.sender import settle
from services.sender.deps import Deps
from services.sender.replies import present_state
from services.sender.said import answer, outgoing
from services.sender.settle import Answered
from services.store import attempts
from services.store.pools import Connection
from services.store.tenancy import GroupsDone, in_tenant_groups
from services.store.worksets import Keys, open_worksets, save_named
from services.streams.batch import Handled
from services.streams.codec import Record

_AT_ONCE: Final = 3  # transactions; claims need the pool's other connections
_PATIENCE_SECONDS: Final = 0.1  # a transaction that lasts longer waits for a lock, and holds up nobody else
_MOST: Final = 256  # answers in one transaction

Pair = tuple[Record, Answered]
Outcome = Handled | BaseException


class SettleResult(NamedTuple):
    """What one transaction made known: each record's reply, and the events stored under each base."""

    replies: list[tuple[Record, Reply]]
    events: list[tuple[int, UUID, Event]]


SettleDone = GroupsDone[Pair, SettleResult]
Transaction = asyncio.Task[list[Outcome]]
CarryOut = Callable[[Sequence[Sequence[Pair]]], Coroutine[None, None, list[Outcome]]]


class Lot(NamedTuple):
    """Answers that one chunk handed over, and who waits for them."""

    answers: Sequence[Pair]
    settled: "asyncio.Future[Handled]"


class Settling:
    """The line of answers that wait for a transaction. One a process."""

    def __init__(self, carry_out: CarryOut) -> None:
        self._carry_out = carry_out
        self._waiting: deque[Lot] = deque()
        self._running: set[Transaction] = set()
        self._newest: Transaction | None = None

    async def settle(self, answers: Sequence[Pair]) -> Handled:
        """Record what came of the calls, and answer whoever waits with the present state. Raises WorkErrors."""
        lot = Lot(answers, asyncio.get_running_loop().create_future())
        self._waiting.append(lot)
        self._begin()
        return await lot.settled

    def _begin(self) -> None:
        if not self._waiting or self._newest is not None or len(self._running) >= _AT_ONCE:
            return
        lots = self._take()
        task = self._newest = asyncio.create_task(self._carry_out([lot.answers for lot in lots]))
        self._running.add(task)
        task.add_done_callback(partial(self._ended, lots))
        asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, self._overtake, task)

    def _take(self) -> list[Lot]:
        lots = [self._waiting.popleft()]
        room = _MOST - len(lots[0].answers)
        while self._waiting and (room := room - len(self._waiting[0].answers)) >= 0:
            lots.append(self._waiting.popleft())
        return lots

    def _ended(self, lots: Sequence[Lot], task: Transaction) -> None:
        self._running.discard(task)
        self._overtake(task)
        tell(lots, task)
        self._begin()

    def _overtake(self, task: Transaction) -> None:
        """What waits need no longer wait for this one."""
        if self._newest is task:
            self._newest = None
            self._begin()


def tell(lots: Sequence[Lot], task: Transaction) -> None:
    """Let everybody who still waits go on, each with what concerns his own records."""
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    outcomes = [error] * len(lots) if error else task.result()
    for lot, outcome in zip(lots, outcomes, strict=True):
        if lot.settled.done():  # who waited was cancelled
            continue
        if isinstance(outcome, asyncio.CancelledError):
            lot.settled.cancel()
        elif isinstance(outcome, BaseException):
            lot.settled.set_exception(outcome)
        else:
            lot.settled.set_result(outcome)


async def carry_out(lots: Sequence[Sequence[Pair]], deps: Deps) -> list[Outcome]:
    """Settle these lots in one transaction (a group of tenants each) and say what became of each."""
    return shared_out(lots, await settle_for_certain(by_tenant(lots), deps), deps)


def by_tenant(lots: Sequence[Sequence[Pair]]) -> dict[int, list[Pair]]:
    found: dict[int, list[Pair]] = {}
    for lot in lots:
        for pair in lot:
            found.setdefault(pair[1].call.ordered.command.tenant, []).append(pair)
    return found


def shared_out(lots: Sequence[Sequence[Pair]], done: SettleDone, deps: Deps) -> list[Outcome]:
    """Give every lot the replies and events of its own records, or the failure of one of them."""
    failed: dict[int, BaseException] = {id(fail.item[1]): fail.error for fail in done.failed}
    for pairs in done.unavailable.values():
        for _, answered in pairs:
            failed[id(answered)] = TenantUnavailableError("the tenant went away while its messages were on the wire")
    replies = {id(record): reply for result in done.results for record, reply in result.replies}
    events = [named for result in done.results for named in result.events]
    outcomes: list[Outcome] = []
    for lot in lots:
        error = next((failed[id(answered)] for _, answered in lot if id(answered) in failed), None)
        outcomes.append(error or handled([record for record, _ in lot], replies, events, deps))
    return outcomes


def handled(
    records: Sequence[Record], replies: Mapping[int, Reply], events: Sequence[tuple[int, UUID, Event]], deps: Deps
) -> Handled:
    bases = {record.name.base for record in records}
    return Handled(
        records=tuple(records),
        events=outgoing([(tenant, event) for tenant, base, event in events if base in bases], deps),
        replies=[said for record in records for said in answer(record, replies[id(record)])],
    )


async def settle_for_certain(pairs: Mapping[int, list[Pair]], deps: Deps) -> SettleDone:
    """Repeat while the database is away: an answer that we hold must not be forgotten and become unknown."""
    backoff = 0.1
    while True:
        try:
            return await in_tenant_groups(deps.pools, deps.directory.cell_of, pairs, partial(settle_group, deps))
        except DependencyAwayError:
            await asyncio.sleep(backoff * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            backoff = min(backoff * 2, 5.0)


async def settle_group(deps: Deps, connection: Connection, group: Mapping[int, list[Pair]]) -> SettleResult:
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
    events = await save_named(connection, works, bases, extra)
    replies = [(record, told(works[tenant], answered)) for tenant, pairs in group.items() for record, answered in pairs]
    return SettleResult(replies, events)


def told(work: Workset, answered: Answered) -> Reply:
    held = answered.outcome.whatsapp_status if isinstance(answered.outcome, Sent) else None
    return present_state(work.messages[answered.call.ordered.command.message_id], whatsapp_status=held)


def too_late(answered: Answered) -> bool:
    """Whether another owner may have met this claim's record already, and left it to a wait."""
    return answered.ending or clock.monotonic() > answered.lease_ends
