"""The only producer: durable, not sent or unknown, never later than a deadline; rebuilt on fatal errors.

Not here: the client's settings (connection.py), what is produced.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.domain.errors import DependencyAwayError, RecordError
from services.runtime.clock import monotonic
from services.runtime.logs import get_logger
from services.runtime.settings import Settings
from services.streams import connection
from services.streams.backoff import Backoff
from services.streams.breaker import Breaker
from services.streams.codec import Outgoing
from services.streams.countdown import Countdown
from services.streams.errors import StartUpError
from services.streams.topics import Topics

Sent = asyncio.Future[Any]

RECORD_OVERHEAD_BYTES: Final = 128  # the record's own fields; generous
CHECK_SECONDS: Final = 5.0  # how often the cluster's id and the sender's life are looked at
FLUSH_SECONDS: Final = 1.0  # what a rebuilt producer's predecessor gets for its other partitions
TELL_SECONDS: Final = 1.0


class Outcome(Enum):
    """What is known of a record at the deadline. UNKNOWN may still arrive; its name makes that harmless."""

    DURABLE = "durable"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


class Flight:
    """Records on their way, in the order they were handed to one client; `failure` says why the rest were not."""

    def __init__(
        self,
        client: AIOKafkaProducer | None,
        doubt: Callable[[AIOKafkaProducer, str], None],
        counts: Counter[str],
    ) -> None:
        self._client = client
        self._doubt = doubt
        self._counts = counts
        self.sent: list[Sent] = []
        self.failure: str | None = None

    async def landed(self, deadline: float) -> list[Outcome]:
        """Wait until all are durable, but not beyond `deadline` (monotonic seconds)."""
        pending = [future for future in self.sent if not future.done()]
        if pending:
            await Countdown(pending).wait(deadline - monotonic())
        return [self._outcome(future) for future in self.sent]

    def leave(self) -> None:
        """Wait no longer: each result is counted when it comes."""
        for future in self.sent:
            future.add_done_callback(self._note_late)

    def why(self) -> str:
        """Say why the first one that is not durable is not."""
        return next((reason for reason in map(_why, self.sent) if reason), self.failure or "")

    def _outcome(self, future: Sent) -> Outcome:
        if not future.done():
            future.add_done_callback(self._note_late)
            return Outcome.UNKNOWN
        if _why(future):
            self._suspect(future)
            return Outcome.UNKNOWN
        return Outcome.DURABLE

    def _note_late(self, future: Sent) -> None:
        reason = _why(future)
        self._counts["late_failed" if reason else "late_durable"] += 1
        if reason:
            self._suspect(future)

    def _suspect(self, future: Sent) -> None:
        """With idempotence everything retriable is retried for ever, so an error from a future has used up a sequence
        number, and its partition refuses all that follows (facts §3.1, 3.3)."""
        if self._client is not None and not future.cancelled():
            self._doubt(self._client, _why(future))


class Producer:
    """Idempotent, acks=all. One a process: order holds within one producer."""

    def __init__(self, settings: Settings, topics: Topics, *, callers: int = 2000) -> None:
        """`callers`: how many `produce_each` may wait at once; the client itself has no bound (facts §1.5)."""
        self._bootstrap = settings.kafka_bootstrap_servers
        self._topics = topics
        self._log = get_logger()
        self._client: AIOKafkaProducer | None = None
        self._cluster: str | None = None
        self._breaker = Breaker()
        self._callers = asyncio.Semaphore(callers)
        self._suspect: AIOKafkaProducer | None = None
        self._doubt = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self.counts: Counter[str] = Counter()

    @property
    def is_connected(self) -> bool:
        """Whether a record would be tried at all: started, and no row of deadlines just now."""
        return self._client is not None and not self._breaker.is_open

    async def start(self, stop: asyncio.Event | None = None) -> None:
        """Connect, trying again for ever; returns without a connection only when `stop` is set meanwhile."""
        if not self._bootstrap:
            raise StartUpError("no broker is named: set RECADO_KAFKA_BOOTSTRAP_SERVERS")
        connection.quiet()
        self._client = await self._connect(stop)
        if self._client is None:
            return
        self._cluster = await connection.cluster_id(self._client)
        self._keeper = asyncio.create_task(self._keep(), name="producer-keeper")

    async def stop(self, seconds: float = 5.0) -> None:
        """Flush and close, bounded; what is left unfinished is unknown."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        client, self._client = self._client, None
        if client is not None:
            await connection.stop(client, seconds)

    async def produce(self, outgoing: Sequence[Outgoing], deadline_seconds: float = 10.0) -> None:
        """Send all in order, pipelined, and wait until all are durable.

        Raises DependencyAwayError when one is not at the deadline, RecordError for one that is too large.
        """
        deadline = monotonic() + deadline_seconds
        await self.landed(await self.post(outgoing, deadline), deadline)

    async def post(self, outgoing: Sequence[Outgoing], deadline: float) -> Flight:
        """Send all in order without waiting for the acknowledgement; errors as `produce`."""
        for record in outgoing:
            self._check_size(record)
        flight = await self._send(outgoing, deadline)
        if flight.failure is not None:
            flight.leave()
            raise DependencyAwayError(f"a record could not be sent: {flight.failure}")
        return flight

    async def landed(self, flight: Flight, deadline: float) -> None:
        """Wait for what was posted; raise DependencyAwayError when something is not durable at the deadline."""
        outcomes = await flight.landed(deadline)
        if any(outcome is not Outcome.DURABLE for outcome in outcomes):
            raise DependencyAwayError(f"a record was not durable at its deadline: {flight.why()}")

    async def tell(self, outgoing: Sequence[Outgoing]) -> None:
        """Send what may be lost (replies); nothing is raised, and nothing awaited but a place in the batch."""
        fitting = [record for record in outgoing if self._fits(record)]
        flight = await self._send(fitting, monotonic() + TELL_SECONDS)
        flight.leave()

    async def produce_one(self, outgoing: Outgoing, deadline_seconds: float) -> Outcome:
        """Send one record and say what became of it. Raises RecordError("too_large") before anything is sent."""
        return (await self.produce_each((outgoing,), deadline_seconds))[0]

    async def produce_each(self, outgoing: Sequence[Outgoing], deadline_seconds: float) -> list[Outcome]:
        """Send several records, pipelined, and say what became of each at the deadline; else as `produce_one`."""
        for record in outgoing:
            self._check_size(record)
        outcomes = await self._outcomes(outgoing, monotonic() + deadline_seconds)
        durable = outcomes.count(Outcome.DURABLE)
        self.counts["durable"] += durable
        if durable < len(outcomes):
            self.counts.update(outcome.value for outcome in outcomes if outcome is not Outcome.DURABLE)
        return outcomes

    async def _outcomes(self, outgoing: Sequence[Outgoing], deadline: float) -> list[Outcome]:
        nothing_sent = [Outcome.NOT_SENT] * len(outgoing)
        if not self._breaker.allows(monotonic()):
            return nothing_sent
        if not await self._has_place(deadline):
            return nothing_sent
        try:
            flight = await self._send(outgoing, deadline)
            try:
                outcomes = await flight.landed(deadline)
            except asyncio.CancelledError:
                flight.leave()
                raise
        finally:
            self._callers.release()
        outcomes += nothing_sent[len(outcomes) :]
        if outcomes.count(Outcome.DURABLE) == len(outgoing):
            self._breaker.succeeded()
        else:
            self._breaker.failed(monotonic())
        return outcomes

    async def _has_place(self, deadline: float) -> bool:
        """Take one of the callers' places; False when none became free in time."""
        if not self._callers.locked():
            return await self._callers.acquire()  # returns at once: no clock is needed
        try:
            async with asyncio.timeout(deadline - monotonic()):
                return await self._callers.acquire()
        except TimeoutError:
            return False

    async def _send(self, outgoing: Sequence[Outgoing], deadline: float) -> Flight:
        """Hand records over in order; one that raises here was surely not written, nor those after it (facts §1.2)."""
        client = self._client
        flight = Flight(client, self._doubt_about, self.counts)
        if client is None:
            flight.failure = "there is no connection"
            return flight
        try:
            for record in outgoing:
                topic, key = self._topics.full(record.topic), record.key.encode()
                future = connection.put(client, topic, record.partition, key, record.value, record.headers)
                if future is None:
                    async with asyncio.timeout(deadline - monotonic()):
                        future = await client.send(
                            topic, record.value, key, record.partition, headers=list(record.headers)
                        )
                flight.sent.append(future)
        except (TimeoutError, KafkaError, AssertionError) as error:  # the last one: no such partition
            flight.failure = type(error).__name__
            if connection.is_dead(client):
                self._doubt_about(client, "its sender ended")
        return flight

    def check_sizes(self, outgoing: Sequence[Outgoing]) -> None:
        """Raise RecordError("too_large") for the first record that its topic would not take."""
        for record in outgoing:
            self._check_size(record)

    def _check_size(self, record: Outgoing) -> None:
        if not self._fits(record):
            raise RecordError("too_large", f"a record for {record.topic} is larger than that topic takes")

    def _fits(self, record: Outgoing) -> bool:
        size = len(record.value) + 3 * len(record.key) + RECORD_OVERHEAD_BYTES
        for name, value in record.headers:
            size += len(name) + len(value) + 8
        return size <= self._topics.topic(record.topic).max_record_bytes

    def _doubt_about(self, client: AIOKafkaProducer, reason: str) -> None:
        if client is self._client and self._suspect is not client:
            self._suspect = client
            self._log.warning("producer_doubted", reason=reason)
            self._doubt.set()

    async def _connect(self, stop: asyncio.Event | None = None) -> AIOKafkaProducer | None:
        backoff = Backoff()
        said = False
        while stop is None or not stop.is_set():
            try:
                return await connection.connect(self._bootstrap)
            except (KafkaError, OSError, TimeoutError) as error:
                if not said:
                    self._log.warning("producer_start_failed", err=type(error).__name__)
                    said = True
            await asyncio.sleep(backoff.next())
        return None

    async def _keep(self) -> None:
        """Rebuild on doubt, and when another cluster answers: its producer ids start anew and would be mistaken for
        ours, acknowledged and not written (facts §3.4)."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._doubt.wait()
            client = self._client
            if client is None:
                return
            self._doubt.clear()
            if self._suspect is client or connection.is_dead(client):
                await self._rebuild(client)
            elif await self._is_another_cluster(client):
                self._log.error("cluster_changed", cluster=self._cluster)
                self._client = None
                await connection.abandon(client)
                self._client = await self._connect()

    async def _rebuild(self, old: AIOKafkaProducer) -> None:
        """The new one first, so that callers never wait; then end the old one, its healthy partitions flushed."""
        self._client = await self._connect()
        self.counts["rebuilt"] += 1
        self._log.warning("producer_rebuilt")
        flushing = asyncio.ensure_future(old.flush())
        await asyncio.wait({flushing}, timeout=FLUSH_SECONDS)
        flushing.cancel()
        await connection.abandon(old)

    async def _is_another_cluster(self, client: AIOKafkaProducer) -> bool:
        found = await connection.cluster_id(client)
        before, self._cluster = self._cluster, found or self._cluster
        return found is not None and before is not None and found != before


def _why(future: Sent) -> str:
    """What is wrong with a sent record; empty when it is durable."""
    if not future.done():
        return "no answer"
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    return "" if error is None else type(error).__name__
