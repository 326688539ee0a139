"""The whole stack up and down, in order, whatever state it was left in. Not here: how each part is started."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from services.devstack import demo_file, infrastructure, lock, postgres, processes, procfs, progress, rooms
from services.devstack.progress import InterruptedStackError, say
from services.devstack.stack import HOST, Stack, StackError
from services.runtime import clock

WATCH_SECONDS: Final = 1.0
ROOM_SETTINGS: Final = "room_settings"


def up(stack: Stack) -> None:
    """Start what is missing; when that fails or is interrupted, stop what this call has started."""
    with lock.held(stack), _undone_on_failure(stack):
        began = clock.monotonic()
        infrastructure.refuse_other_base(stack)
        if _is_whole(stack):
            say("devstack", f"is up already: {stack.ingress_url}")
            return
        infrastructure.refuse_taken_ports(infrastructure.infrastructure_ports(stack) | _room_ports(stack))
        infrastructure.infrastructure_up(stack)
        prepared = _prepare(stack)
        _start_missing(stack)
        demo_file.write(stack, prepared)
        say("devstack", f"ready in {clock.monotonic() - began:.1f} s: {stack.ingress_url}")


def down(stack: Stack) -> None:
    """Stop everything that has a pid file here, also what a killed devstack left behind."""
    with lock.held(stack), progress.undisturbed():
        running = [name for name in processes.names(stack) if processes.running(stack, name)]
        if not running:
            say("devstack", "is down already: nothing runs here")
        _stop(stack, running)
        _name_strangers(stack)


def run(stack: Stack) -> int:
    """Up, the demonstration, then stay until Ctrl-C; returns the demonstration's exit code."""
    code = 0
    try:
        up(stack)
        code = _demonstrate(stack)
        _where_everything_is(stack)
        _watch(stack)
    except InterruptedStackError:
        down(stack)
    return code


def clean(stack: Stack) -> None:
    """Down, and remove data that does not lie in the state folder. The Makefile removes `.local` itself."""
    down(stack)
    if not postgres.data_dir(stack).is_relative_to(stack.state_dir):
        shutil.rmtree(stack.outside_dir())


def _prepare(stack: Stack) -> dict[str, Any]:
    """Topics, schemas and the demonstration's tenants; what rooms need of it is kept for their later starts."""
    from services.devstack import prepare  # noqa: PLC0415 - brings Alembic; `down` and `status` shall be quick

    began = clock.monotonic()
    prepared = prepare.prepare(stack)
    rooms.configure(stack, **prepared.pop(ROOM_SETTINGS, {}))
    say("prepare", f"topics, schemas and tenants ready in {clock.monotonic() - began:.1f} s")
    progress.check()
    return prepared


def _start_missing(stack: Stack) -> None:
    """Start simulators and rooms together, then wait for each; health is asked of those that ran before, too."""
    from services.devstack import prepare  # noqa: PLC0415 - as above

    simulators = rooms.simulators(stack)
    first = {f"{room}-{rooms.FIRST}": room for room in rooms.ROOMS}
    found = {name for name in (*simulators, *first) if processes.running(stack, name)}
    for name in simulators:
        if name not in found:
            rooms.start_simulator(stack, name)
    for name, room in first.items():
        if name not in found:
            rooms.start_room(stack, room)
    for name in simulators:
        _report(name, rooms.wait_simulator(stack, name), runs_already=name in found)
    prepare.register_with_simulators(stack)
    for name, room in first.items():
        _report(room, rooms.wait_room(stack, room), runs_already=name in found)


def _report(name: str, took: float, *, runs_already: bool) -> None:
    say(name, "runs already" if runs_already else f"ready in {took:.1f} s")


def _is_whole(stack: Stack) -> bool:
    """Whether every part runs, every health is good and the file that tells of it is there."""
    first = [f"{room}-{rooms.FIRST}" for room in rooms.ROOMS]
    needed = [*first, *rooms.simulators(stack)]
    if infrastructure.infrastructure_ports(stack) or not demo_file.path(stack).exists():
        return False
    if not all(processes.running(stack, name) for name in needed):
        return False
    return all(rooms.health(rooms.copy_port(stack, room))[0] for room in rooms.ROOMS)


def _room_ports(stack: Stack) -> dict[str, int]:
    """The ports that rooms and simulators have yet to take."""
    wanted = {}
    for room in rooms.ROOMS:
        if not processes.running(stack, f"{room}-{rooms.FIRST}"):
            wanted[f"{room} metrics"] = stack.ports.metrics(room)
            if room == "ingress":
                wanted[room] = stack.ports.ingress
    for name in rooms.simulators(stack):
        if not processes.running(stack, name):
            wanted[f"{name} simulator"] = rooms.simulator_port(stack, name)
    return wanted


@contextmanager
def _undone_on_failure(stack: Stack) -> Iterator[None]:
    before = set(processes.names(stack))
    try:
        yield
    except (StackError, InterruptedStackError, OSError):
        fresh = [name for name in processes.names(stack) if name not in before]
        with progress.undisturbed():
            _stop(stack, fresh)
        raise


def _stop(stack: Stack, names: list[str]) -> None:
    """Rooms first, so that they can still finish what they hold; then simulators, then what they stand on."""
    copies = [name for name in rooms.copies(stack) if name in names]
    if copies:
        say("rooms", f"stopping {', '.join(copies)}")
        rooms.stop_copies(stack, copies)
    if any(name in names for name in rooms.SIMULATORS):
        say("simulators", "stopping")
        rooms.stop_simulators(stack)
    if any(name in names for name in infrastructure.PARTS):
        infrastructure.infrastructure_down(stack)


def _name_strangers(stack: Stack) -> None:
    """A port that is still held after all was stopped: by something that left no pid file here."""
    for who, port in (_room_ports(stack) | infrastructure.infrastructure_ports(stack)).items():
        pid = procfs.listener(port) if not procfs.is_free(HOST, port) else None
        if pid:
            say("devstack", f"port {port} ({who}) is held by pid {pid} ({procfs.command_of(pid)}), not started here")


def _demonstrate(stack: Stack) -> int:
    demo = processes.python("services.devstack.demo", processes.settings_of(stack))
    code = processes.run_here("demo", demo)
    if code:
        say("demo", f"ended with {code}: the stack stays up so that you can look at it")
    return code


def _where_everything_is(stack: Stack) -> None:
    say("ingress", f"{stack.ingress_url}/docs (webhook: {stack.ingress_url}/webhook)")
    say("graph", f"{stack.graph_url}/control/received")
    say("orchestrator", f"{stack.orchestrator_url}/control/received")
    say("kafka", stack.kafka_bootstrap)
    say("files", f"{demo_file.path(stack)} (addresses and tokens), logs in {_short(stack.logs_dir)}")
    say("more", "make status · make logs ROOM=sender · make demo SEED=2 · Ctrl-C stops all of it")


def _short(path: Path) -> str:
    return os.path.relpath(path)


def _watch(stack: Stack) -> None:
    """Stay until Ctrl-C; say when something ends by itself; leave when another command has stopped everything."""
    known = {name: processes.peek(stack, name) for name in processes.names(stack)}
    while known:
        progress.pause(WATCH_SECONDS)
        for name, was in list(known.items()):
            if was is not None and processes.is_alive(was):
                continue
            now = processes.peek(stack, name)
            known[name] = now
            if now is None:  # stopped by its name, as `make down` does
                del known[name]
            elif now == was:
                say(name, f"ended by itself\n{processes.tail(stack, name)}")
                processes.forget(stack, name, now)
                del known[name]
    say("devstack", "everything was stopped by another command")
