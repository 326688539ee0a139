"""Who waits for WhatsApp's answer: each copy reads one partition of wa.reply, from its end, and keeps nothing.

A lost reply costs a waiting client its 201: it gets 202 and reads the message later. Not here: what is answered.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from services.domain.replies import Reply, ReplyTo
from services.runtime import clock, metrics
from services.streams.codec import Record

_DECODE: Final = msgspec.json.Decoder(Reply).decode


class Waiting:
    """One request's place in the waiting room."""

    def __init__(self, reply_to: ReplyTo, future: "asyncio.Future[Reply]") -> None:
        self.reply_to = reply_to
        self._future = future

    async def reply(self, seconds: float) -> Reply | None:
        """Return the answer, or None when it did not come in time."""
        await asyncio.wait({self._future}, timeout=seconds)
        return self._future.result() if self._future.done() and not self._future.cancelled() else None


class Replies:
    """The waiting requests of this copy. `closed`: the process is stopping, nobody waits any more."""

    def __init__(self, partitions: int, cap: int) -> None:
        self.copy = clock.new_uuid7().hex
        self.partition = clock.random64() % partitions
        self._cap = cap
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._closed = False

    @contextmanager
    def expect(self) -> Iterator[Waiting | None]:
        """Take a place for the length of the block; None when there is none left."""
        if self._closed or len(self._waiting) >= self._cap:
            yield None
            return
        request = f"{clock.random64():016x}"
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request] = future
        metrics.REPLY_WAITS.set(len(self._waiting))
        try:
            yield Waiting(ReplyTo(self.partition, self.copy, request), future)
        finally:
            del self._waiting[request]
            metrics.REPLY_WAITS.set(len(self._waiting))

    def take(self, record: Record) -> None:
        """Give a reply to its request; other copies share the partition, and late ones find nobody."""
        if record.header("copy") != self.copy:
            return
        future = self._waiting.get(record.header("request") or "")
        if future is None or future.done():
            return
        try:
            future.set_result(_DECODE(record.value))
        except msgspec.DecodeError:
            return  # the sender is newer than we are: the client reads the message instead

    def close(self) -> None:
        """Let everybody who waits go on with 202."""
        self._closed = True
        for future in self._waiting.values():
            future.cancel()
