"""The spool: records that Kafka does not take now, on this copy's disk before they are acknowledged, drained in order.

Group commit, bounds, the drain. Not here: the files (spool_log.py), who goes through it when (ingress/spooling.py).
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from services.domain.errors import DependencyAwayError, RecordError
from services.runtime import clock, metrics
from services.runtime.logs import get_logger
from services.streams.backoff import Backoff
from services.streams.codec import CE_ID, Outgoing
from services.streams.producer import Flight
from services.streams.spool_frames import Entry, encode_entry
from services.streams.spool_log import DiskError, Log, Lot

GROUP_BYTES: Final = 8 * 1024 * 1024  # of one sync; what comes meanwhile shares the next one
SYNC_SECONDS: Final = 5.0  # a disk that is silent for longer has promised nothing
FEWEST: Final = 25  # records of a lot after a failure; doubled with each that lands
MOST: Final = 500
LOT_BYTES: Final = 1024 * 1024
LANDING_SECONDS: Final = 600.0
"""A lot is handed over once and waited for: handing it over again and again would fill the client's memory."""
PAUSE_SECONDS: Final = 1.0  # after the disk refused: until then nobody waits for it

T = TypeVar("T")


class Draining(Protocol):
    """What the drain asks of the producer."""

    def check_sizes(self, outgoing: Sequence[Outgoing]) -> None: ...

    async def post(self, outgoing: Sequence[Outgoing], deadline: float) -> Flight: ...

    async def landed(self, flight: Flight, deadline: float) -> None: ...


@dataclass(frozen=True)
class Bounds:
    """How much one copy keeps, and for how long it goes on taking while its oldest record waits."""

    most_bytes: int
    most_seconds: float

    def refusal(self, held_bytes: int, oldest_seconds: float) -> str:
        """Why no more is taken; empty when it is. Pure."""
        if held_bytes > self.most_bytes:
            return f"it holds {held_bytes} bytes, {self.most_bytes} are allowed (RECADO_SPOOL_MAX_BYTES)"
        if oldest_seconds > self.most_seconds:
            return f"its oldest record waits {oldest_seconds:.0f} s, {self.most_seconds:.0f} are allowed"
        return ""


class _Waiting:
    """Records of one request, until the sync that covers them has ended."""

    __slots__ = ("done", "payloads", "size")

    def __init__(self, payloads: list[bytes], done: "asyncio.Future[bool]") -> None:
        self.payloads = payloads
        self.size = sum(map(len, payloads))
        self.done = done


class Spool:
    """One a process. All that touches the log happens in one thread; everything else in the event loop."""

    def __init__(self, log: Log, bounds: Bounds, now: Callable[[], float] = lambda: clock.now().timestamp()) -> None:
        """`now`: Unix seconds, because age has to outlive the process; only the bound on age looks at it."""
        self._log = log
        self._bounds = bounds
        self._now = now
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._queue: list[_Waiting] = []
        self._queued_bytes = 0
        self._unsettled = 0
        self._oldest_ms: int | None = None
        self._broken = ""
        self._broken_until = 0.0
        self._full = ""
        """Why the last request found no room; until the drain has made some."""
        self._came = asyncio.Event()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._committing: asyncio.Task[None] | None = None
        self._words = get_logger()

    @property
    def is_empty(self) -> bool:
        """Whether a record may go to Kafka directly: nothing older of this copy waits here."""
        return not self._unsettled and self._log.is_empty

    @property
    def records(self) -> int:
        return self._log.records

    @property
    def size_bytes(self) -> int:
        return self._log.size_bytes + self._queued_bytes

    @property
    def folder(self) -> str:
        return str(self._log.folder)

    @property
    def damaged(self) -> int:
        return sum(self._log.found.values())

    def oldest_seconds(self) -> float:
        oldest = self._oldest_ms
        return 0.0 if oldest is None else max(0.0, self._now() - oldest / 1000)

    def refusal(self) -> str:
        """Why a record would not be taken now; empty when it would."""
        return self._disk() or self._full or self._bounds.refusal(self.size_bytes, self.oldest_seconds())

    def _disk(self) -> str:
        is_broken = self._broken and clock.monotonic() < self._broken_until
        return f"its disk does not take records ({self._broken})" if is_broken else ""

    async def start(self) -> None:
        """Take the folder. Raises StartUpError."""
        await self._in_thread(self._log.open)
        await self._learn_oldest()
        metrics.SPOOL_BYTES.set_function(lambda: self.size_bytes)
        metrics.SPOOL_RECORDS.set_function(lambda: self.records)
        metrics.SPOOL_OLDEST.set_function(self.oldest_seconds)
        if not self._log.is_empty:
            self._filled.set()
        self._committing = asyncio.create_task(self._commit(), name="spool-commit")

    async def stop(self) -> None:
        """Close the files; what is left stays for the next process."""
        if self._committing is not None:
            self._committing.cancel()
            await asyncio.wait({self._committing})
        await self._in_thread(self._log.close)
        self._thread.shutdown(wait=False)

    async def drained(self, seconds: float) -> bool:
        """Wait until nothing is left, but not longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.is_empty:
                    await self._emptied.wait()
                    self._emptied.clear()
        return self.is_empty

    async def take(self, outgoing: Sequence[Outgoing]) -> bool:
        """Return True once all of them are on the disk; False: none is promised (full, too old, the disk refuses)."""
        at_ms = int(self._now() * 1000)
        payloads = [encode_entry(Entry(at_ms, _name(record), record)) for record in outgoing]
        waiting = _Waiting(payloads, asyncio.get_running_loop().create_future())
        self._full = self._bounds.refusal(self.size_bytes + waiting.size, self.oldest_seconds())
        if self._full or self._disk():
            metrics.SPOOL_REFUSED.inc(len(outgoing))
            return False
        if self._oldest_ms is None:
            self._oldest_ms = at_ms
        self._unsettled += 1
        self._queued_bytes += waiting.size
        self._queue.append(waiting)
        self._came.set()
        await asyncio.wait({waiting.done}, timeout=SYNC_SECONDS)
        return waiting.done.done() and waiting.done.result()

    async def _commit(self) -> None:
        """One sync for all that came during the last one."""
        while await self._came.wait():
            self._came.clear()
            while self._queue:
                group = self._next_group()
                durable = await self._write(group)
                self._unsettled -= len(group)
                self._queued_bytes -= sum(waiting.size for waiting in group)
                for waiting in group:
                    waiting.done.set_result(durable)
                if durable:
                    self._filled.set()
                elif self.is_empty:
                    self._oldest_ms = None

    def _next_group(self) -> list[_Waiting]:
        size = count = 0
        for waiting in self._queue:
            size += waiting.size
            if count and size > GROUP_BYTES:
                break
            count += 1
        group, self._queue = self._queue[:count], self._queue[count:]
        return group

    async def _write(self, group: list[_Waiting]) -> bool:
        payloads = [payload for waiting in group for payload in waiting.payloads]
        try:
            await self._in_thread(self._log.append, payloads)
        except DiskError as error:
            self._broken, self._broken_until = str(error), clock.monotonic() + PAUSE_SECONDS
            self._words.error("spool_not_written", err=str(error), records=len(payloads))
            metrics.SPOOL_REFUSED.inc(len(payloads))
            return False
        self._broken = ""
        metrics.SPOOL_TAKEN.inc(len(payloads))
        return True

    async def drain(self, producer: Draining) -> None:
        """Hand everything over in order, for ever; a lot leaves the disk once Kafka has all of it."""
        backoff, most, said = Backoff(first=0.1, most=2.0), FEWEST, False
        while True:
            await self._filled.wait()
            try:
                lot = await self._in_thread(self._log.read, most, LOT_BYTES)
                if lot is not None:
                    await self._hand_over(producer, lot)
                    await self._in_thread(self._log.drop, lot)
                    metrics.SPOOL_DRAINED.inc(len(lot.entries))
                    backoff.reset()
                    most, said = min(most * 2, MOST), False
            except (DependencyAwayError, OSError) as error:
                if not said:
                    self._words.warning("spool_waits", records=self.records, err=type(error).__name__)
                most, said = FEWEST, True
                await asyncio.sleep(backoff.next())
                continue
            await self._settle()

    async def _hand_over(self, producer: Draining, lot: Lot) -> None:
        """Raises DependencyAwayError unless every record is durable; one that no topic takes is set aside."""
        fitting = []
        for entry in lot.entries:
            try:
                producer.check_sizes((entry.record,))
            except RecordError as error:
                await self._in_thread(self._log.set_aside, lot.segment, entry.name, encode_entry(entry), error.reason)
            else:
                fitting.append(entry.record)
        deadline = clock.monotonic() + LANDING_SECONDS
        flight = await producer.post(fitting, deadline)
        try:
            await producer.landed(flight, deadline)
        except asyncio.CancelledError:
            flight.leave()
            raise

    async def _settle(self) -> None:
        self._full = ""
        await self._learn_oldest()
        if self._log.is_empty:
            self._filled.clear()
            self._emptied.set()
            if not self._unsettled:
                self._words.info("spool_drained")

    async def _learn_oldest(self) -> None:
        with contextlib.suppress(OSError):
            first = await self._in_thread(self._log.first)
            if first is not None or self.is_empty:
                self._oldest_ms = first.at_ms if first else None

    async def _in_thread(self, work: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *given)


def _name(record: Outgoing) -> str:
    return next((value.decode() for name, value in record.headers if name == CE_ID), "")
