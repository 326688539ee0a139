"""Part `ingress`: durable webhook answers of the whole process against a bare ASGI handler on the same server."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from services.devstack.processes import inherited_environment
from services.devstack.progress import wait_until
from services.devstack.stack import CHECKOUT
from services.streams.topics import Topics
from tests.bench import cores, loader
from tests.bench.figures import Figure
from tests.bench.material import post, webhook_bodies
from tests.bench.stage import Stage, reaches

PASSES: Final = 0.35
GOAL: Final = 0.47
CONNECTIONS: Final = 64
BODIES: Final = 5000
_START_SECONDS: Final = 20.0


def measure(stage: Stage, rounds: int, seconds: float) -> Iterator[Figure]:
    """Answers with 64 connections that each wait for theirs; both servers run all the time, one of them is asked."""
    acks = Figure(
        part="ingress, a message and a status each", unit="acks/s", runs=[], limits=[], passes=PASSES, goal=GOAL,
        detail={"p50_ms": [], "cpu_us": [], "limit_cpu_us": [], "loader": "tests/bench/loader.py, one process"},
    )  # fmt: skip
    single = Figure(part="ingress, a message each", unit="acks/s", runs=[], limits=acks.limits, detail={"cpu_us": []})
    waits = Figure(part="ingress, p99 of the answer", unit="ms", runs=[], most=True)
    with stage.topics() as topics, _both(stage, topics) as (bare_port, bare_pid, pid):
        both, one = write_requests(stage, BODIES, "I"), write_requests(stage, BODIES, "J", statuses=False)
        for _ in range(rounds):
            stage.alone(pid)
            plan = loader.Plan(
                port=stage.stack.ports.ingress, requests=both, connections=CONNECTIONS, seconds=seconds,
                core=cores.two()[1],
            )  # fmt: skip
            seen = _ask(stage, plan, pid, acks.detail["cpu_us"])
            acks.runs.append(seen.rate)
            acks.detail["p50_ms"].append(seen.p50_ms)
            waits.runs.append(seen.p99_ms)
            bare = msgspec.structs.replace(plan, port=bare_port)
            acks.limits.append(_ask(stage, bare, bare_pid, acks.detail["limit_cpu_us"]).rate)
            alone = msgspec.structs.replace(plan, requests=one)
            single.runs.append(_ask(stage, alone, pid, single.detail["cpu_us"]).rate)
    yield from (acks, single, waits)


def write_requests(stage: Stage, count: int, mark: str, *, statuses: bool = True) -> str:
    """Signed webhooks of the first number, for the loader; returns the file's path."""
    where = f"127.0.0.1:{stage.stack.ports.ingress}"
    bodies = webhook_bodies(stage.numbers[:1], count, mark, statuses=statuses)
    path = stage.path(f"requests-{mark}.bin")
    path.write_bytes(msgspec.msgpack.encode([post("/webhook", where, body, stage.secret) for body in bodies]))
    return str(path)


def _ask(stage: Stage, plan: loader.Plan, pid: int, cpu_us: list[float]) -> loader.Seen:
    """What the loader saw; notes the CPU that the server spent on an answer."""
    meter = cores.Meter({"server": pid})
    seen = msgspec.json.decode(stage.worker("loader", plan), type=loader.Seen)
    if seen.answers.keys() != {"200"}:
        raise RuntimeError(f"answers that are not 200: {seen.answers}")
    cpu_us.append(round(meter.read()["server"] / seen.answers["200"] * 1e6, 1))
    return seen


@contextmanager
def _both(stage: Stage, topics: Topics) -> Iterator[tuple[int, int, int]]:
    """Run ingress and the bare handler; gives the bare one's port and pid, and ingress's pid."""
    port = stage.stack.ports.base + 19
    command = [sys.executable, "-m", "tests.bench.bare_ingress", str(port), str(cores.two()[0])]
    bare = subprocess.Popen(command, cwd=CHECKOUT, env=inherited_environment())
    try:
        wait_until("bench", "starting the bare handler", _START_SECONDS, lambda: reaches(port))
        with stage.room("ingress", topics) as pid:
            yield port, bare.pid, pid
    finally:
        bare.terminate()
        bare.wait()
