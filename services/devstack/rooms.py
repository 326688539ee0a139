"""The rooms and simulators of a stack as child processes. Not here: what they need made before they start."""

import http.client
import signal
from pathlib import Path
from typing import Any, Final

import msgspec

from services.devstack import memcached, processes, procfs
from services.devstack.ports import METRICS_ORDER
from services.devstack.stack import HOST, Stack, StackError
from services.runtime.settings import Settings, environment

ROOMS: Final = ("ingress", "normaliser", "sender", "notifier", "scheduler")
SIMULATORS: Final = ("graph", "orchestrator")
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 25.0  # a sender finishes its calls: 15 s each, and their transaction
SIMULATOR_STOP_SECONDS: Final = 5.0
ASK_SECONDS: Final = 2.0
FIRST: Final = 1


class Copy(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `rooms/<room>-<n>.json` tells outsiders; `http` only for ingress."""

    pid: int
    metrics: str
    http: str = ""


def room_settings(stack: Stack) -> Settings:
    """What every room is started with: the stack's addresses, and what `configure` has added."""
    known = stack.settings
    addresses = {
        "kafka_bootstrap_servers": stack.kafka_bootstrap,
        "memcached_servers": memcached.address(stack),
        "database_url": stack.database_url,
        "graph_url": stack.graph_url,
        "orchestrator_url": stack.orchestrator_url,
    }
    return msgspec.structs.replace(known, **(addresses | _configured(stack)))


def configure(stack: Stack, **fields: Any) -> None:
    """Keep settings for all rooms of this stack, such as their database login; later starts find them again."""
    fresh = stack.secret_path("room_settings")
    fresh.touch(mode=0o600)
    fresh.write_bytes(msgspec.json.encode(fields))


def start_room(stack: Stack, room: str, n: int = FIRST, **overrides: Any) -> Copy:
    """Start one copy; further copies listen on ports that happen to be free. `overrides` are fields of Settings."""
    name = f"{room}-{n}"
    first = n == FIRST
    metrics = stack.ports.metrics(room) if first else procfs.free_port(HOST)
    api = 0 if room != "ingress" else stack.ports.ingress if first else procfs.free_port(HOST)
    own = {"metrics_port": metrics} | (_of_ingress(stack, name, api) if api else {}) | overrides
    settings = msgspec.structs.replace(room_settings(stack), **own)
    started = processes.start(stack, name, processes.python(f"services.{room}", environment(settings)))
    copy = Copy(started.pid, f"http://{HOST}:{metrics}/metrics", f"http://{HOST}:{api}" if api else "")
    (stack.rooms_dir / f"{name}.json").write_bytes(msgspec.json.encode(copy))
    return copy


def _of_ingress(stack: Stack, name: str, api: int) -> dict[str, Any]:
    """A copy of the same name finds the spool of the one before; two never share one."""
    return {"http_port": api, "spool_dir": str(spools_dir(stack) / name)}


def spools_dir(stack: Stack) -> Path:
    """Where the spools of all copies of ingress lie, running or not."""
    return Path(stack.settings.spool_dir) if stack.settings.spool_dir else stack.state_dir / "spool"


def wait_room(stack: Stack, room: str, n: int = FIRST) -> float:
    """Wait until its /health is good; the error names the checks that are not. Returns the seconds."""
    name = f"{room}-{n}"
    port = copy_port(stack, room, n)
    try:
        return processes.wait_ready(stack, name, START_SECONDS, lambda: health(port)[0])
    except StackError as problem:
        raise StackError(f"{problem}\n  /health of {name}: {health(port)[1]}") from None


def stop_room(stack: Stack, room: str, n: int = FIRST) -> None:
    stop_copies(stack, [f"{room}-{n}"])


def kill_room(stack: Stack, room: str, n: int = FIRST, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal; after KILL also wait until it is gone."""
    if number is signal.SIGKILL:
        processes.kill(stack, f"{room}-{n}")
    else:
        processes.send(stack, f"{room}-{n}", number)


def restart_room(stack: Stack, room: str, n: int = FIRST, **overrides: Any) -> Copy:
    """Stop it if it runs, start it again and wait until its health is good."""
    stop_room(stack, room, n)
    copy = start_room(stack, room, n, **overrides)
    wait_room(stack, room, n)
    return copy


def copies(stack: Stack) -> list[str]:
    """The names `<room>-<n>` of all copies that have a pid file."""
    return [name for name in processes.names(stack) if name.rpartition("-")[0] in METRICS_ORDER]


def stop_copies(stack: Stack, names: list[str]) -> list[str]:
    """Stop them together; returns those that ran."""
    stopped = processes.stop(stack, names, grace_seconds=STOP_SECONDS)
    for name in names:
        (stack.rooms_dir / f"{name}.json").unlink(missing_ok=True)
    return stopped


def known_copy(stack: Stack, name: str) -> Copy | None:
    path = stack.rooms_dir / f"{name}.json"
    return msgspec.json.decode(path.read_bytes(), type=Copy) if path.exists() else None


def copy_port(stack: Stack, room: str, n: int = FIRST) -> int:
    """The port of its /metrics and /health."""
    copy = known_copy(stack, f"{room}-{n}")
    if copy is None:
        raise StackError(f"{room}-{n} is not running here")
    return int(copy.metrics.rpartition(":")[2].partition("/")[0])


def start_simulator(stack: Stack, name: str) -> None:
    """Start one of SIMULATORS on its port."""
    arguments = [name, "--port", str(simulator_port(stack, name))]
    if name == "graph":
        arguments += ["--webhook-url", f"{stack.ingress_url}/webhook"]
    settings = environment(stack.settings)
    processes.start(stack, name, processes.python("services.simulator", settings, *arguments))


def wait_simulator(stack: Stack, name: str) -> float:
    port = simulator_port(stack, name)
    return processes.wait_ready(stack, name, START_SECONDS, lambda: health(port)[0])


def simulator_port(stack: Stack, name: str) -> int:
    return stack.ports.graph if name == "graph" else stack.ports.orchestrator


def simulators(stack: Stack) -> list[str]:
    """Those that are needed: a setting may name the real thing instead."""
    urls = {"graph": stack.settings.graph_url, "orchestrator": stack.settings.orchestrator_url}
    return [name for name in SIMULATORS if not urls[name]]


def stop_simulators(stack: Stack) -> list[str]:
    return processes.stop(stack, SIMULATORS, grace_seconds=SIMULATOR_STOP_SECONDS)


def health(port: int) -> tuple[bool, str]:
    """Whether /health answers 200, and what it says."""
    connection = http.client.HTTPConnection(HOST, port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return answer.status == http.HTTPStatus.OK, answer.read(2000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as problem:
        return False, f"no answer on port {port} ({problem})"
    finally:
        connection.close()


def _configured(stack: Stack) -> dict[str, Any]:
    path = stack.secret_path("room_settings")
    known: dict[str, Any] = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
    return known
