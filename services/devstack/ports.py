"""The local ports: one base and the offsets of every part. Not here: who listens on them."""

from dataclasses import dataclass
from typing import Final

GRAPH: Final = 10
ORCHESTRATOR: Final = 11
METRICS: Final = 20
KAFKA: Final = 30
KAFKA_CONTROLLER: Final = 31
POSTGRES: Final = 32
MEMCACHED: Final = 33

LOWEST: Final = 1024  # below it only root may listen
HIGHEST: Final = 65535

# The place of a room in this list is its offset behind METRICS, also for the rooms that later issues bring.
METRICS_ORDER: Final = ("ingress", "normaliser", "sender", "notifier", "scheduler", "supervisor", "metering")


class PortBaseError(Exception):
    """The base leaves no room for the offsets."""


@dataclass(frozen=True)
class Ports:
    """Every port of one checkout, on 127.0.0.1."""

    base: int

    def __post_init__(self) -> None:
        if not LOWEST <= self.base <= HIGHEST - MEMCACHED:
            raise PortBaseError(f"RECADO_PORT_BASE={self.base}: choose one from {LOWEST} to {HIGHEST - MEMCACHED}")

    @property
    def ingress(self) -> int:
        return self.base

    @property
    def graph(self) -> int:
        return self.base + GRAPH

    @property
    def orchestrator(self) -> int:
        return self.base + ORCHESTRATOR

    @property
    def kafka(self) -> int:
        return self.base + KAFKA

    @property
    def kafka_controller(self) -> int:
        return self.base + KAFKA_CONTROLLER

    @property
    def postgres(self) -> int:
        return self.base + POSTGRES

    @property
    def memcached(self) -> int:
        return self.base + MEMCACHED

    def metrics(self, room: str) -> int:
        """Where the first copy of a room answers `/metrics` and `/health`."""
        return self.base + METRICS + METRICS_ORDER.index(room)
