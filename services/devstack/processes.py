"""Child processes that outlive their parent: started, found again, signalled, stopped. Not here: which ones.

A process leaves `run/<name>.json` with its pid and the mark of its start, so that a pid which the system gave to
somebody else later is recognised and never signalled.
"""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from services.devstack import procfs
from services.devstack.progress import POLL_SECONDS, InterruptedStackError, check, pause, say, wait_until
from services.devstack.stack import CHECKOUT, Stack, StackError
from services.runtime import clock
from services.runtime.settings import ALIASES, PREFIX, environment

LOG_ROTATE_BYTES: Final = 50_000_000
TAIL_LINES: Final = 15
KILL_SECONDS: Final = 5.0  # what a process killed with -9 may take to vanish; a large JVM needs more than one


class Running(msgspec.Struct, frozen=True):
    """One process as its pid file has it; `at` is the monotonic second of its start."""

    pid: int
    started: str
    at: float


# The ones this process started: somebody has to collect them, or their zombies keep their pids.
_children: dict[Running, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Program:
    """What to start. `user` only means something to root."""

    command: Sequence[str]
    environment: Mapping[str, str]
    user: str | None = None


def python(module: str, settings: Mapping[str, str], *arguments: str) -> Program:
    """A module of ours with these settings and no others."""
    command = [sys.executable, "-m", module, *arguments]
    return Program(command, inherited_environment() | dict(settings))


def settings_of(stack: Stack) -> dict[str, str]:
    """The variables that make a child see this very stack."""
    return environment(stack.settings)


def inherited_environment() -> dict[str, str]:
    """Our own environment without Recado's settings: a child gets those explicitly, and only once."""
    own = os.environ  # noqa: TID251 - what is passed on here is everything that is not a setting
    return {name: value for name, value in own.items() if not name.startswith(PREFIX) and name not in ALIASES}


def start(stack: Stack, name: str, program: Program) -> Running:
    """Start it in a session of its own: Ctrl-C at the terminal does not reach it."""
    say(name, "starting")
    log = _open_log(stack, name)
    with log.open("ab") as output:
        child = subprocess.Popen(
            list(program.command),
            env=dict(program.environment),
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=program.user,
            group=_group(program.user),
            extra_groups=[] if program.user else None,
        )
    former = peek(stack, name)
    if former is not None:
        is_alive(former)  # collects one that ended by itself: without its pid file nobody would find it again
    running = Running(child.pid, procfs.start_mark(child.pid) or "gone", clock.monotonic())
    _children[running] = child
    _pid_file(stack, name).write_bytes(msgspec.json.encode(running))
    return running


def running(stack: Stack, name: str) -> Running | None:
    """The process of that name, or None when there is none; a stale pid file is removed and said so."""
    known = peek(stack, name)
    if known is None:
        return None
    ours = known in _children
    if is_alive(known):
        return known
    if not ours:
        say(name, f"ended without being stopped (it had pid {known.pid}): its pid file was stale and is removed")
    forget(stack, name, known)
    return None


def peek(stack: Stack, name: str) -> Running | None:
    """What the pid file says, true or not; changes nothing."""
    try:
        return msgspec.json.decode(_pid_file(stack, name).read_bytes(), type=Running)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:  # cut off by a full disk or a power loss
        return Running(0, "unreadable", 0.0)


def run_here(who: str, program: Program) -> int:
    """Run a program to its end with its output at the terminal; Ctrl-C ends it. Returns its exit code."""
    child = subprocess.Popen(list(program.command), env=dict(program.environment), cwd=CHECKOUT)
    try:
        while child.poll() is None:
            pause(POLL_SECONDS)
    except InterruptedStackError:
        say(who, "stopping")
        _end(child)
        raise
    return child.returncode


def is_alive(known: Running) -> bool:
    """Whether this very process still runs; also collects it when it was ours and has ended."""
    child = _children.get(known)
    if child is not None and child.poll() is not None:
        del _children[known]
        return False
    return procfs.start_mark(known.pid) == known.started


def forget(stack: Stack, name: str, known: Running) -> None:
    """Remove the pid file of a process that has ended."""
    if peek(stack, name) == known:  # another devstack may have started it anew meanwhile
        _pid_file(stack, name).unlink(missing_ok=True)


def names(stack: Stack) -> list[str]:
    """Everything that has a pid file here."""
    return sorted(path.stem for path in stack.run_dir.glob("*.json"))


def wait_ready(stack: Stack, name: str, limit_seconds: float, ready: Callable[[], bool]) -> float:
    """Wait until `ready`, and return the seconds since its start.

    When the process ends before that, or takes too long, raise with the last lines of its log.
    """

    def settled() -> bool:
        return ready() or running(stack, name) is None

    try:
        wait_until(name, "starting", limit_seconds, settled)
    except StackError as problem:
        raise StackError(f"{problem}\n{tail(stack, name)}") from None
    known = running(stack, name)
    if known is None:
        raise StackError(f"{name}: ended while starting\n{tail(stack, name)}")
    return clock.monotonic() - known.at


def send(stack: Stack, name: str, number: signal.Signals) -> bool:
    """Signal the whole process group; False when there is nobody. After SIGSTOP nothing of it runs any more: the signal
    reaches the threads of a JVM one after the other, and one of them may answer a request meanwhile."""
    known = peek(stack, name)
    if known is None or not is_alive(known):
        return False
    try:
        os.killpg(known.pid, number)
    except ProcessLookupError:
        return False
    if number == signal.SIGSTOP:
        wait_until(name, "standing still", KILL_SECONDS, lambda: procfs.stands_still(known.pid))
    return True


def kill(stack: Stack, name: str) -> None:
    """Send -9 and wait until it is gone."""
    if send(stack, name, signal.SIGKILL):
        _wait_gone(stack, [name], KILL_SECONDS)


def stop(
    stack: Stack, wanted: Iterable[str], *, grace_seconds: float, number: signal.Signals = signal.SIGTERM
) -> list[str]:
    """Ask all of them to end, wait, kill who stays. Returns the names of those that ran."""
    asked = [name for name in wanted if send(stack, name, number)]
    for name in asked:
        send(stack, name, signal.SIGCONT)  # one that stands frozen would not hear the request
    for name in _wait_gone(stack, asked, grace_seconds):
        say(name, f"did not end within {grace_seconds:.0f} s: killed")
        kill(stack, name)
    return asked


def log_path(stack: Stack, name: str) -> Path:
    return stack.logs_dir / f"{name}.log"


def tail(stack: Stack, name: str) -> str:
    """The last lines of a log, indented, with its path."""
    path = log_path(stack, name)
    lines = path.read_text(errors="replace").splitlines()[-TAIL_LINES:] if path.exists() else []
    return "\n".join([f"  last lines of {path}:", *(f"  | {line}" for line in lines or ["(empty)"])])


def run_tool(who: str, command: Sequence[str], *, limit_seconds: float, log: Path, user: str | None = None) -> None:
    """Run a tool to its end with its output in a log; Ctrl-C ends it, a failure shows the last lines."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        tool = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=user,
            group=_group(user),
            extra_groups=[] if user else None,
        )
        try:
            wait_until(who, f"running {Path(command[0]).name}", limit_seconds, lambda: tool.poll() is not None)
        except (StackError, InterruptedStackError):
            _end(tool)
            raise
    if tool.returncode:
        lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        raise StackError("\n".join([f"{who}: `{' '.join(command)}` failed", *(f"  | {line}" for line in lines)]))


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(KILL_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _wait_gone(stack: Stack, wanted: Sequence[str], limit_seconds: float) -> list[str]:
    """Wait for their end; returns those that still run."""
    end = clock.monotonic() + limit_seconds
    left = [name for name in wanted if _still_runs(stack, name)]
    while left and clock.monotonic() < end:
        pause(0.02)
        left = [name for name in left if _still_runs(stack, name)]
    return left


def _still_runs(stack: Stack, name: str) -> bool:
    known = peek(stack, name)
    if known is None:
        return False
    if is_alive(known):
        return True
    forget(stack, name, known)
    return False


def _pid_file(stack: Stack, name: str) -> Path:
    return stack.run_dir / f"{name}.json"


def _open_log(stack: Stack, name: str) -> Path:
    check()
    path = log_path(stack, name)
    if path.exists() and path.stat().st_size > LOG_ROTATE_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path


def _group(user: str | None) -> int | None:
    if user is None:
        return None

    return pwd.getpwnam(user).pw_gid
