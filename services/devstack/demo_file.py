"""`demo.json`: everything that is needed to drive the stack from outside. Not here: where tenants come from."""

from pathlib import Path
from typing import Any

import msgspec

from services.devstack import memcached, rooms
from services.devstack.stack import Stack


def path(stack: Stack) -> Path:
    return stack.state_dir / "demo.json"


def write(stack: Stack, prepared: dict[str, Any]) -> None:
    """The stack's addresses with what `prepare` gave: tenants, tokens and an operator's database URL."""
    content = _addresses(stack) | prepared
    target = path(stack)
    fresh = target.with_suffix(".json.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)  # it holds tokens
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2))
    fresh.rename(target)


def _addresses(stack: Stack) -> dict[str, Any]:
    return {
        "ingress": stack.ingress_url,
        "graph": stack.graph_url,
        "orchestrator": stack.orchestrator_url,
        "kafka": stack.kafka_bootstrap,
        "memcached": memcached.address(stack),
        "rooms": {room: _first_copy(stack, room) for room in rooms.ROOMS},
    }


def _first_copy(stack: Stack, room: str) -> dict[str, Any]:
    copy = rooms.known_copy(stack, f"{room}-{rooms.FIRST}")
    return {"pid": copy.pid, "metrics": copy.metrics} if copy else {}
