"""The local Memcached. Recado is correct without it, so a stack that cannot have one says so and goes on."""

import os
import socket
from typing import Final

from services.devstack import packages, processes
from services.devstack.progress import say
from services.devstack.stack import HOST, Stack, StackError

NAME: Final = "memcached"
MEGABYTES: Final = 64
CONNECTIONS: Final = 256
START_SECONDS: Final = 10.0
STOP_SECONDS: Final = 5.0
ASK_SECONDS: Final = 1.0


def begin(stack: Stack) -> None:
    """Start it unless it runs or servers were named; `finish` waits until it answers."""
    if stack.settings.memcached_servers or processes.running(stack, NAME):
        return
    try:
        program = packages.ensure(stack, NAME, NAME)
    except StackError as problem:
        say(NAME, f"running without it, which is slower and otherwise the same. {problem}")
        return
    command = [program, "-l", HOST, "-p", str(stack.ports.memcached), "-U", "0"]
    command += ["-m", str(MEGABYTES), "-c", str(CONNECTIONS)]
    if os.geteuid() == 0:
        command += ["-u", "nobody"]
    processes.start(stack, NAME, processes.Program(command, processes.inherited_environment()))


def finish(stack: Stack) -> float | None:
    """Wait until it answers; returns the seconds, or None when the stack runs without."""
    if stack.settings.memcached_servers:
        return 0.0  # whether it answers is the cache's own business: it has a breaker
    if not processes.running(stack, NAME):
        return None
    return processes.wait_ready(stack, NAME, START_SECONDS, lambda: answers(stack.ports.memcached))


def start(stack: Stack) -> None:
    begin(stack)
    finish(stack)


def stop(stack: Stack) -> None:
    processes.stop(stack, [NAME], grace_seconds=STOP_SECONDS)


def kill(stack: Stack) -> None:
    processes.kill(stack, NAME)


def address(stack: Stack) -> str:
    """`host:port` of what is there; empty when the stack runs without."""
    if stack.settings.memcached_servers or processes.running(stack, NAME):
        return stack.memcached_servers
    return ""


def answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=ASK_SECONDS) as connection:
            connection.sendall(b"version\r\n")
            return connection.recv(64).startswith(b"VERSION")
    except OSError:
        return False
