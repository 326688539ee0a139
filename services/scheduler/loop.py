"""Gives back what waited: claims due rows, produces them, awaits the broker, commits. Any number of copies.

Not here: what a record looks like (returning.py), how fast to go (pace.py), SQL.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from services.domain.errors import DependencyAwayError, RecordError, WorkError
from services.domain.limits import PRODUCE_WITHIN
from services.runtime import clock, logs, metrics
from services.runtime.health import Health, State
from services.scheduler.pace import DuePace
from services.scheduler.returning import STUCK_WAIT, put_back, sort_out
from services.store import deferred
from services.store.deferred import Waiting
from services.store.pools import Connection, Pools, transaction
from services.streams.backoff import Backoff
from services.streams.producer import Producer
from services.streams.topics import Topics

ROLE: Final = "recado_scheduler"
STUCK: Final = "stuck"
_IDLE_SECONDS: Final = 0.1  # between empty polls, at most
_BUSY_SECONDS: Final = 0.02  # after a lot that was not full
_MEASURE_SECONDS: Final = 5.0
_MEASURE_SHARE: Final = 20  # measuring takes at most one part in so many of the time
_LATE_SECONDS: Final = 30.0  # a turn takes 5 s to find no connection, 2 s to find no broker, 10 s to find a lock


class BrokerAwayError(DependencyAwayError):
    """The broker did not take a lot in time."""


class Scheduler:
    """One copy: what it needs, and what its health says."""

    def __init__(self, pools: Pools, producer: Producer, topics: Topics, health: Health) -> None:
        self.pools = pools
        self._producer = producer
        self._topics = frozenset(topic.name for topic in topics.all())
        self._health = health
        self._log = logs.get_logger()
        self._turned: dict[str, float] = {}
        self._reasons: set[str] = set()
        health.set("database", "down", "not asked yet")
        health.set("kafka", "ok")
        health.probe("loop", self._loop)

    async def give_back_due(self, cell: str, stop: asyncio.Event) -> None:
        """Give back this cell's due rows until told to stop."""
        pace = DuePace()
        await self.keep_turning(f"due:{cell}", lambda: self.due_turn(cell, pace), stop)

    async def due_turn(self, cell: str, pace: DuePace) -> float:
        """Claim and give back one lot; return how long to wait before the next."""
        bound = pace.bound(clock.monotonic())
        try:
            async with transaction(self.pools.cell(cell), ROLE) as connection:
                rows = await deferred.claim_due(connection, pace.lot, bound)
                await self.give_back(connection, rows)
        except WorkError:
            pace.failed()
            raise
        full = len(rows) >= pace.lot
        pace.given_back(rows, bound, clock.monotonic())
        count(rows)
        if full:
            return 0.0
        return random.uniform(0.5, 1.0) * (_BUSY_SECONDS if rows else _IDLE_SECONDS)  # noqa: S311 - jitter

    async def give_back(self, connection: Connection, rows: Sequence[Waiting]) -> None:
        """Produce claimed rows and await the broker: the only transaction that is open across a bounded produce.

        An error rolls the claim back; what had arrived nevertheless comes twice, which its name makes harmless.
        """
        if not rows:
            return
        sorted_out = sort_out(rows, clock.now(), self._topics)
        stuck = sorted_out.stuck
        try:
            await self._producer.produce(sorted_out.outgoing, PRODUCE_WITHIN.total_seconds())
        except DependencyAwayError as error:
            raise BrokerAwayError(str(error)) from error
        except RecordError:
            if len(rows) > 1:
                raise  # smaller lots find the row that does not fit
            stuck = list(rows)
        self._health.set("kafka", "ok")
        for row in stuck:
            self._log.error("row_not_returnable", topic=row.topic, name=f"{row.base}.{row.n}", tenant=row.tenant)
        await deferred.put(connection, [put_back(row, STUCK, STUCK_WAIT) for row in stuck])

    async def keep_turning(self, name: str, turn: Callable[[], Awaitable[float]], stop: asyncio.Event) -> None:
        """Repeat a turn until told to stop; while something is away, with growing pauses."""
        backoff = Backoff()
        away = False
        while not stop.is_set():
            try:
                pause = await turn()
                away = False
                backoff.reset()
                self._health.set("database", "ok")
            except WorkError as error:
                pause = backoff.next()
                if not away:
                    self._log.warning("turn_failed", loop=name, err=str(error))
                away = True
                self._blame(error)
            self._turned[name] = clock.monotonic()
            await sleep(stop, pause)

    async def measure(self, stop: asyncio.Event) -> None:
        """Count what waits, every few seconds, less often when counting takes long."""
        while not stop.is_set():
            started = clock.monotonic()
            with contextlib.suppress(WorkError):  # the loops say it
                await self._measure()
            took = clock.monotonic() - started
            await sleep(stop, max(_MEASURE_SECONDS, took * _MEASURE_SHARE))

    async def _measure(self) -> None:
        waiting: Counter[str] = Counter()
        for cell in self.pools.cells:
            async with transaction(self.pools.cell(cell), ROLE) as connection:
                for reason, rows, _ in await deferred.waiting_by_reason(connection):
                    waiting[reason] += rows
        self._reasons |= set(waiting)
        for reason in self._reasons:
            metrics.DEFERRED_ROWS.labels(reason).set(waiting[reason])
        self.pools.observe()

    def _blame(self, error: WorkError) -> None:
        """Tell which of the two is away; a broker is only met after the database has answered."""
        answered = isinstance(error, BrokerAwayError | RecordError)
        self._health.set("database", "ok" if answered else "down", "" if answered else str(error))
        if isinstance(error, BrokerAwayError):
            self._health.set("kafka", "down", str(error))

    def _loop(self) -> tuple[State, str]:
        now = clock.monotonic()
        late = [name for name, at in self._turned.items() if now - at > _LATE_SECONDS]
        return ("down", f"no turn for a while: {', '.join(late)}") if late else ("ok", "")


def count(rows: Sequence[Waiting]) -> None:
    for topic, many in Counter(row.topic for row in rows).items():
        metrics.RETURNED.labels(topic).inc(many)


async def sleep(stop: asyncio.Event, seconds: float) -> None:
    if seconds > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)
