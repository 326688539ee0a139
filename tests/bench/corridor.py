"""Parts `corridor` and `idle`: all rooms and both simulators on two cores, one tenant's webhooks from the first POST to
the orchestrator's last acknowledgement; then the same rooms at rest and at a gentle load. Not here: single rooms."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import httpx
import msgspec

from services.devstack import rooms
from services.devstack.progress import pause
from services.runtime import clock
from tests.bench import cores, loader
from tests.bench.figures import Figure
from tests.bench.ingress import write_requests
from tests.bench.stage import Stage, finish_worker, tell_orchestrator

PASSES: Final = 1500
GOAL: Final = 2200
CONNECTIONS: Final = 64
GENTLE_RATE: Final = 500
IDLE_SECONDS: Final = 10.0
IDLE_PERCENT: Final = 10
GENTLE_PERCENT: Final = 60
STREAM_ROOM_MIB: Final = 65
INGRESS_MIB: Final = 110

_RATE: Final = 2000
_LOOK_SECONDS: Final = 0.1
_LIMIT_SECONDS: Final = 180.0
_CALM_SECONDS: Final = 2.0


def measure_rate(stage: Stage, rounds: int, seconds: float) -> Iterator[Figure]:
    """Webhooks of one message and one status over the time until every message's event was acknowledged."""
    figure = Figure(
        part="corridor, two cores, one tenant", unit="webhooks/s", runs=[], passes=PASSES, goal=GOAL,
        detail={"cpu_us": [], "ack_p50_ms": [], "ack_p99_ms": [], "posted_in_s": []},
    )  # fmt: skip
    ours = Figure(part="the same by its CPU: two cores for us alone", unit="webhooks/s", runs=[])
    count = int(_RATE * seconds)
    with _everything(stage) as orchestrator:
        _push_through(stage, orchestrator, "W", GENTLE_RATE)  # caches, connections, prepared statements
        for turn in range(rounds):
            requests = write_requests(stage, count, f"C{turn}")
            plan = loader.Plan(port=stage.stack.ports.ingress, requests=requests, connections=CONNECTIONS)
            meter, began = cores.Meter(stage.pids()), clock.monotonic()
            seen, ended = _load(stage, orchestrator, plan, count)
            figure.runs.append(count / (ended - began))
            used = {"loader": seen.cpu_seconds, **meter.read()}
            used["elsewhere"] = max(0.0, used["elsewhere"] - seen.cpu_seconds)
            figure.detail["cpu_us"].append({name: round(cpu / count * 1e6, 1) for name, cpu in used.items()})
            ours.runs.append(round(2 * count / sum(cpu for name, cpu in used.items() if name != "elsewhere")))
            figure.detail["ack_p50_ms"].append(seen.p50_ms)
            figure.detail["ack_p99_ms"].append(seen.p99_ms)
            figure.detail["posted_in_s"].append(round(seen.seconds, 2))
    yield from (figure, ours)


def measure_rest(stage: Stage, rounds: int, seconds: float) -> Iterator[Figure]:
    """CPU of the rooms at rest and at 500 webhooks/s, then what each holds in memory."""
    idle = Figure(part=f"all rooms idle, {IDLE_SECONDS:.0f} s", unit="% of 2 cores", runs=[], passes=IDLE_PERCENT,
                  most=True, detail={"percent": []})  # fmt: skip
    gentle = Figure(part=f"all parts at {GENTLE_RATE} webhooks/s", unit="% of 2 cores", runs=[], passes=GENTLE_PERCENT,
                    most=True, detail={"percent": [], "ack_p50_ms": [], "ack_p99_ms": [], "behind": []})  # fmt: skip
    with _everything(stage) as orchestrator:
        _push_through(stage, orchestrator, "W", GENTLE_RATE)
        for turn in range(rounds):
            pause(_CALM_SECONDS)
            shares = _percent(stage, IDLE_SECONDS)
            idle.runs.append(round(sum(shares[room] for room in rooms.ROOMS), 2))
            idle.detail["percent"].append(shares)
            shares, seen = _at_gentle_rate(stage, orchestrator, f"G{turn}", seconds)
            gentle.runs.append(round(sum(share for name, share in shares.items() if name != "elsewhere"), 2))
            gentle.detail["percent"].append(shares)
            for name, value in (("ack_p50_ms", seen.p50_ms), ("ack_p99_ms", seen.p99_ms), ("behind", seen.behind)):
                gentle.detail[name].append(value)
        held = {room: cores.memory(stage.pids()[room]) for room in rooms.ROOMS}
    yield idle
    yield gentle
    for room, memory in held.items():
        yield Figure(
            part=f"{room}, resident after load", unit="MiB", runs=[memory.rss], most=True,
            passes=INGRESS_MIB if room == "ingress" else STREAM_ROOM_MIB, detail={"pss_mib": round(memory.pss, 1)},
        )  # fmt: skip


@contextmanager
def _everything(stage: Stage) -> Iterator[str]:
    """Run all rooms and the orchestrator; gives the latter's address. The Graph API is only called by sends."""
    stage.empty()
    with ExitStack() as stack:
        topics = stack.enter_context(stage.topics())
        orchestrator = stack.enter_context(stage.simulator("orchestrator"))
        tell_orchestrator(stage, orchestrator)
        for room in rooms.ROOMS:
            stack.enter_context(stage.room(room, topics))
        stage.together()
        yield orchestrator


def _push_through(stage: Stage, orchestrator: str, mark: str, count: int) -> None:
    requests = write_requests(stage, count, mark)
    _load(stage, orchestrator, loader.Plan(port=stage.stack.ports.ingress, requests=requests), count)


def _load(stage: Stage, orchestrator: str, plan: loader.Plan, count: int) -> tuple[loader.Seen, float]:
    """Send everything; return what the loader saw and when (monotonic) the last event was acknowledged."""
    before = _acknowledged(orchestrator)
    began = clock.monotonic()
    worker = stage.begin_worker("loader", plan)
    while (come := _acknowledged(orchestrator) - before) < count:
        if clock.monotonic() - began > _LIMIT_SECONDS:
            worker.kill()
            raise RuntimeError(f"the orchestrator got {come} of {count} events in {_LIMIT_SECONDS:.0f} s")
        pause(_LOOK_SECONDS)
    ended = clock.monotonic()
    return msgspec.json.decode(finish_worker(worker), type=loader.Seen), ended


def _at_gentle_rate(stage: Stage, orchestrator: str, mark: str, seconds: float) -> tuple[dict[str, float], loader.Seen]:
    count = int(GENTLE_RATE * seconds)
    requests = write_requests(stage, count, mark)
    plan = loader.Plan(port=stage.stack.ports.ingress, requests=requests, connections=CONNECTIONS, rate=GENTLE_RATE)
    meter, began = cores.Meter(stage.pids()), clock.monotonic()
    seen, _ = _load(stage, orchestrator, plan, count)
    return _shares(meter, clock.monotonic() - began), seen


def _percent(stage: Stage, seconds: float) -> dict[str, float]:
    meter, began = cores.Meter(stage.pids()), clock.monotonic()
    pause(seconds)
    return _shares(meter, clock.monotonic() - began)


def _shares(meter: cores.Meter, seconds: float) -> dict[str, float]:
    return {name: round(used / seconds / 2 * 100, 2) for name, used in meter.read().items()}


def _acknowledged(orchestrator: str) -> int:
    """Events that it took with a good signature. The first tenant's endpoint is the only one that is pushed to."""
    state = httpx.get(f"{orchestrator}/control/state", trust_env=False).json()
    valid: int = state["signatures"].get("valid", 0)
    return valid
