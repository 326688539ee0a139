"""The limit of the sender: bare aiohttp that posts the same bodies to the same simulator over as many connections.

No Kafka, no database, no claim. `python -m tests.bench.bare_sender PLAN`.
"""

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from services.runtime import clock, http
from services.runtime.lifecycle import freeze_garbage
from tests.bench.log import WARM, rate_of

_TIMEOUT_SECONDS: Final = 15.0


class Plan(msgspec.Struct, frozen=True):
    """`bodies`: file of JSON bodies, msgpack."""

    bodies: str
    url: str
    token: str
    connections: int
    core: int


class Seen(msgspec.Struct, frozen=True):
    rate: float
    cpu_us: float


async def _run(plan: Plan, bodies: Sequence[bytes]) -> Seen:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {plan.token}"}
    warm = int(len(bodies) * WARM)
    times: list[float] = []
    used = 0.0
    left = iter(bodies)

    async def post_all(session: http.Session, mine: Iterator[bytes]) -> None:
        nonlocal used
        for body in mine:
            async with session.post(plan.url, data=body, headers=headers, allow_redirects=False) as response:
                await response.read()
                if response.status != HTTPStatus.OK:
                    raise RuntimeError(f"the simulator answered {response.status}")
            times.append(clock.monotonic())
            if len(times) == warm:
                used = _cpu()

    freeze_garbage()
    async with http.session(timeout_seconds=_TIMEOUT_SECONDS, limit=plan.connections) as session:
        await asyncio.gather(*(post_all(session, left) for _ in range(plan.connections)))
    return Seen(rate_of(times), (_cpu() - used) / (len(bodies) - warm) * 1e6)


def _cpu() -> float:
    times = os.times()
    return times.user + times.system


def main() -> None:
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    os.sched_setaffinity(0, {plan.core})
    bodies: list[bytes] = msgspec.msgpack.decode(Path(plan.bodies).read_bytes())
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_run(plan, bodies))))


if __name__ == "__main__":
    main()
