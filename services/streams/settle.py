"""From records to settled records: the room is called, what it settled is announced, and each kind of failure has its
answer (architecture §2.6). Not here: fetching, committing offsets."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from services.domain.errors import ConflictError, DependencyAwayError, RecordError, TenantUnavailableError
from services.runtime.logs import get_logger
from services.streams.announce import Announcer
from services.streams.assignment import Work
from services.streams.backoff import Backoff
from services.streams.batch import Batch, Dead, Handled, Handler
from services.streams.codec import Record
from services.streams.deadletter import BUG
from services.streams.errors import RoomStoppedError
from services.streams.flow import Grant
from services.streams.outage import Outage

CONFLICTS: Final = 8  # repeats before a conflict counts as an outage
RECHECK_SECONDS: Final = 0.02  # how often a repeat looks for free slots


class UnsettledError(Exception):
    """The room's handler ended without settling, or refusing, every record: a bug of the room."""


class Settler:
    """Works on one batch until all of it is settled, or until its partitions go."""

    def __init__(self, *, handler: Handler, announcer: Announcer, outage: Outage,
                 slots_for: Callable[[Sequence[Record]], Grant | None]) -> None:  # fmt: skip
        """`slots_for` takes the room's slots for these records, or returns None when too few are free now."""
        self._handler = handler
        self._announcer = announcer
        self._outage = outage
        self._slots_for = slots_for
        self._log = get_logger()

    async def settle(self, work: Work, grant: Grant) -> None:
        """Settle a batch; `grant` are slots that were taken for it already. Raises RoomStoppedError."""
        try:
            error = await self._attempt(work, work.records, grant)
            await self._go_on(work, work.records, error)
        finally:
            self._outage.leave(work)

    async def _settle(self, work: Work, records: Sequence[Record]) -> None:
        grant = await self._slots(work, records)
        if grant is not None:
            error = await self._attempt(work, records, grant)
            await self._go_on(work, records, error)

    async def _go_on(self, work: Work, records: Sequence[Record], error: Exception | None) -> None:
        """Answer failure after failure until these records are settled or the partitions go."""
        backoff = Backoff()
        conflicts = 0
        while (left := work.left(records)) and not work.ending.is_set():
            conflicts += isinstance(error, ConflictError)
            if _is_away(error, conflicts, len(left)):
                self._outage.begin(work, str(error))
            elif isinstance(error, ConflictError):
                pass  # the same transaction once more
            elif len(left) > 1:
                # halves, in order: the failing record is found in log2 steps and each key's order is kept
                middle = len(left) // 2
                await self._settle(work, left[:middle])
                await self._settle(work, left[middle:])
                return
            else:
                await self._set_aside(work, left[0], error)
                return
            await self._outage.wait(backoff, work.ending)
            grant = await self._slots(work, left)
            if grant is None:
                return
            error = await self._attempt(work, left, grant)

    async def _attempt(self, work: Work, records: Sequence[Record], grant: Grant) -> Exception | None:
        """Call the room once. What it settled is announced; once that fails the rest is left for the next try, but the
        handler runs to its end: a call on its way is never given up."""
        work.move()
        batch = Batch(tuple(records), work.polled_at, work.ending, grant)
        announced: list[asyncio.Task[None]] = []
        failure: Exception | None = None
        try:
            async for handled in self._handler(batch):
                if failure is None:
                    failure = await self._announce(work, handled, announced)
        except RoomStoppedError:
            raise
        except Exception as error:  # noqa: BLE001 - the loop: every failure of a room has an answer above
            failure = failure or error
        finally:
            grant.close()
            late = await _failure_of(announced)
        if isinstance(failure, RoomStoppedError):
            raise failure
        failure = failure or late
        if failure is None:
            self._outage.end()
            if work.left(records):
                failure = UnsettledError()
        return failure

    async def _announce(self, work: Work, handled: Handled, announced: list[asyncio.Task[None]]) -> Exception | None:
        try:
            task = await self._announcer.announce(work, handled)
        except (DependencyAwayError, RecordError, RoomStoppedError) as error:
            return error
        if task is not None:
            announced.append(task)
        return None

    async def _set_aside(self, work: Work, record: Record, error: Exception | None) -> None:
        """Write the dead letter; `detail` names the kind of a bug and no data."""
        if isinstance(error, RecordError):
            reason, detail = error.reason, str(error)
        else:
            reason, detail = BUG, type(error).__name__
            self._log.error("record_failed", err=detail, where=_where(error), name=str(record.name))
        dead = Handled((record,), dead=(Dead(record, reason, detail, record.tenant),))
        backoff = Backoff()
        while not work.ending.is_set():
            announced: list[asyncio.Task[None]] = []
            failure = await self._announce(work, dead, announced) or await _failure_of(announced)
            if failure is None:
                self._outage.end()
                return
            if isinstance(failure, RoomStoppedError):
                raise failure
            self._outage.begin(work, str(failure))
            await self._outage.wait(backoff, work.ending)

    async def _slots(self, work: Work, records: Sequence[Record]) -> Grant | None:
        """Take slots for a repeat, when its turn comes; None when the partitions go first."""
        recheck = Backoff(RECHECK_SECONDS, RECHECK_SECONDS)
        while not work.ending.is_set():
            grant = self._slots_for(records)
            if grant is not None:
                return grant
            await self._outage.wait(recheck, work.ending)
        return None


def _is_away(error: Exception | None, conflicts: int, records: int) -> bool:
    """Whether to wait for somebody else: a dependency, an end of conflicts, or a tenant that the room did not defer."""
    if isinstance(error, TenantUnavailableError):
        return records == 1
    return isinstance(error, DependencyAwayError) or (isinstance(error, ConflictError) and conflicts > CONFLICTS)


async def _failure_of(announced: Sequence[asyncio.Task[None]]) -> Exception | None:
    """Wait for all and return the first failure, in the order they were sent."""
    results = await asyncio.gather(*announced, return_exceptions=True)
    return next((result for result in results if isinstance(result, Exception)), None)


def _where(error: BaseException | None) -> str:
    """File and line of a bug; its message may hold a customer's words."""
    trace = error.__traceback__ if error is not None else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
