"""Load from a process of its own: prebuilt HTTP requests over kept connections, as fast as they are answered or at a
rate. `python -m tests.bench.loader PLAN` prints what it saw as JSON. Not here: what the requests say."""

import asyncio
import os
import sys
from collections import Counter, deque
from pathlib import Path
from typing import Any, Final

import httptools
import msgspec
import uvloop

from services.runtime import clock
from services.runtime.lifecycle import freeze_garbage

_TICK_SECONDS: Final = 0.002  # of a paced load
_PATIENCE_SECONDS: Final = 15.0  # for the last answers
_RETRY: Final = 503


class Plan(msgspec.Struct, frozen=True):
    """`requests`: file of whole requests, msgpack. `seconds` 0: each request once, else round and round so long.
    `rate` 0: as fast as the answers come. `core` -1: anywhere."""

    port: int
    requests: str
    connections: int = 64
    seconds: float = 0.0
    rate: float = 0.0
    core: int = -1


class Seen(msgspec.Struct, frozen=True):
    """What came of it. `behind`: turns at which a paced load was late because no connection was free; `cpu_seconds`:
    what this program itself used."""

    seconds: float
    answers: dict[str, int]
    p50_ms: float
    p99_ms: float
    worst_ms: float
    behind: int
    broken: int
    cpu_seconds: float

    @property
    def rate(self) -> float:
        return self.answers.get("200", 0) / self.seconds


class _Connection(asyncio.Protocol):
    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._parser = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._began = 0.0
        self.request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self, request: bytes, began: float) -> None:
        self.request, self._began = request, began
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._load.answered(self, self._parser.get_status_code(), clock.monotonic() - self._began)
        self._parser = httptools.HttpResponseParser(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._load.broke(self)


class _Load:
    """The requests that are left, and what came of those that went out."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.requests: list[bytes] = msgspec.msgpack.decode(Path(plan.requests).read_bytes())
        self.next = 0
        self.idle: deque[_Connection] = deque()
        self.answers: Counter[int] = Counter()
        self.waits: list[float] = []
        self.behind = 0
        self.broken = 0
        self.under_way = 0
        self.done = asyncio.Event()
        self.ends = 0.0

    def take(self) -> bytes | None:
        """The next request; None when there is none any more."""
        if self.plan.seconds:
            if clock.monotonic() >= self.ends:
                return None
            self.next += 1
            return self.requests[self.next % len(self.requests)]
        if self.next >= len(self.requests):
            return None
        self.next += 1
        return self.requests[self.next - 1]

    def begin(self, connection: _Connection, began: float) -> None:
        request = self.take()
        if request is None:
            self.idle.append(connection)
            if not self.under_way:
                self.done.set()
            return
        self.under_way += 1
        connection.ask(request, began)

    def answered(self, connection: _Connection, status: int, seconds: float) -> None:
        self.under_way -= 1
        self.answers[status] += 1
        self.waits.append(seconds)
        if status == _RETRY and not self.plan.seconds:
            self.requests.append(connection.request)  # Meta repeats what was not taken
        if self.plan.rate:
            self.idle.append(connection)
        else:
            self.begin(connection, clock.monotonic())

    def broke(self, _connection: _Connection) -> None:
        if not self.done.is_set():
            self.broken += 1
            self.done.set()

    async def keep_pace(self) -> None:
        """Send at the rate; a request's time counts from when it was due, so a stall shows in every wait behind it."""
        began = clock.monotonic()
        sent = 0
        while not self.done.is_set():
            due = int((clock.monotonic() - began) * self.plan.rate)
            while sent < due and self.idle:
                self.begin(self.idle.popleft(), began + sent / self.plan.rate)
                sent += 1
                if self.done.is_set():
                    return
            self.behind += due > sent
            await asyncio.sleep(_TICK_SECONDS)


async def _run(plan: Plan) -> Seen:
    load = _Load(plan)
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Connection(load), "127.0.0.1", plan.port) for _ in range(plan.connections)
    ]
    freeze_garbage()
    began = clock.monotonic()
    load.ends = began + plan.seconds
    if plan.rate:
        load.idle.extend(protocol for _, protocol in made)
        pacing = asyncio.create_task(load.keep_pace())
        await load.done.wait()
        await pacing
    else:
        for _, protocol in made:
            load.begin(protocol, began)
        await asyncio.wait_for(load.done.wait(), plan.seconds + _PATIENCE_SECONDS if plan.seconds else None)
    seconds = clock.monotonic() - began
    load.done.set()
    for transport, _ in made:
        transport.close()
    return _seen(load, seconds)


def _seen(load: _Load, seconds: float) -> Seen:
    waits = sorted(load.waits) or [0.0]

    def at(share: float) -> float:
        return round(waits[min(len(waits) - 1, int(len(waits) * share))] * 1000, 2)

    answers = {str(status): count for status, count in load.answers.items()}
    used = os.times()
    return Seen(seconds, answers, at(0.5), at(0.99), at(1.0), load.behind, load.broken, used.user + used.system)


def main() -> None:
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    if plan.core >= 0:
        os.sched_setaffinity(0, {plan.core})
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_run(plan))))


if __name__ == "__main__":
    main()
