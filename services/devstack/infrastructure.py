"""Kafka, PostgreSQL and Memcached of a stack, together. Not here: rooms, topics, schemas."""

from typing import Final

import msgspec

from services.devstack import kafka, memcached, postgres, processes, procfs
from services.devstack.progress import say
from services.devstack.stack import HOST, Stack, StackError

PARTS: Final = (kafka.NAME, postgres.NAME, memcached.NAME)


def infrastructure_up(stack: Stack) -> None:
    """Start what is not there yet, all at once, and wait until everything answers."""
    refuse_other_base(stack)
    refuse_taken_ports(infrastructure_ports(stack))
    found = {name for name in PARTS if processes.running(stack, name)}
    for part in (kafka, postgres, memcached):  # the slowest first: the others start while it does
        part.begin(stack)
    _report(stack, memcached.NAME, memcached.finish(stack), found, memcached.address(stack))
    _report(stack, kafka.NAME, kafka.finish(stack), found, stack.kafka_bootstrap)
    where = f"{HOST}:{stack.ports.postgres}" if not stack.settings.database_url else "RECADO_DATABASE_URL"
    _report(stack, postgres.NAME, postgres.finish(stack), found, where)


def infrastructure_down(stack: Stack) -> None:
    """Stop what runs here; what was named by a setting is left alone."""
    for part in (kafka, postgres, memcached):
        if processes.running(stack, part.NAME):
            say(part.NAME, "stopping")
            part.stop(stack)


def infrastructure_ports(stack: Stack) -> dict[str, int]:
    """The ports that this stack has yet to take, by who will listen."""
    settings, ports = stack.settings, stack.ports
    wanted: dict[str, int] = {}
    if not settings.kafka_bootstrap_servers and not processes.running(stack, kafka.NAME):
        wanted |= {"kafka": ports.kafka, "kafka controller": ports.kafka_controller}
    if not settings.database_url and not processes.running(stack, postgres.NAME):
        wanted["postgres"] = ports.postgres
    if not settings.memcached_servers and not processes.running(stack, memcached.NAME):
        wanted["memcached"] = ports.memcached
    return wanted


def refuse_taken_ports(wanted: dict[str, int]) -> None:
    """Raise with every port that somebody else holds, by whom, and the variable that moves ours."""
    taken = [_taken(who, port) for who, port in wanted.items() if not procfs.is_free(HOST, port)]
    if taken:
        raise StackError(
            "\n".join([*taken, "stop what holds it, or set RECADO_PORT_BASE (every port is this plus its offset)"])
        )


def refuse_other_base(stack: Stack) -> None:
    """Two bases in one state folder would lose sight of each other's processes."""
    note = stack.state_dir / "port_base.json"
    known = msgspec.json.decode(note.read_bytes(), type=int) if note.exists() else stack.ports.base
    if known != stack.ports.base and any(processes.running(stack, name) for name in processes.names(stack)):
        raise StackError(
            f"a stack with RECADO_PORT_BASE={known} runs from {stack.state_dir}: type `make down` first, "
            "or give this one a RECADO_STATE_DIR of its own"
        )
    stack.state_dir.mkdir(parents=True, exist_ok=True)
    note.write_bytes(msgspec.json.encode(stack.ports.base))


def _taken(who: str, port: int) -> str:
    pid = procfs.listener(port)
    holder = f"by pid {pid} ({procfs.command_of(pid)})" if pid else "by a process of somebody else"
    return f"{who}: port {port} is taken {holder}"


def _report(stack: Stack, name: str, took: float | None, found: set[str], where: str) -> None:
    if took is None:
        return
    if name in found:
        say(name, f"runs already on {where}")
    elif processes.running(stack, name):
        say(name, f"ready in {took:.1f} s on {where}")
    else:
        say(name, f"not started: using {where}")
