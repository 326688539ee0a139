"""What `make status` shows: processes, health, lag, spool, waiting, dead letters. Read only."""

import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from services.devstack import infrastructure, processes, rooms
from services.devstack.stack import HOST, Stack
from services.runtime import metrics

ASK_SECONDS: Final = 2.0
COLUMNS: Final = (
    ("lag", metrics.CONSUMER_LAG), ("spool", metrics.SPOOL_RECORDS), ("waiting", metrics.DEFERRED_ROWS),
    ("dead", metrics.DEAD_LETTERS),
)  # fmt: skip
ABSENT: Final = "-"

Sums = dict[str, float]


def show(stack: Stack) -> None:
    print(_row("part", "pid", "health", [title for title, _ in COLUMNS]))
    for name in (*infrastructure.PARTS, *rooms.SIMULATORS):
        known = processes.running(stack, name)
        print(_row(name, known.pid if known else ABSENT, _state(stack, name, runs=bool(known)), []))
    for name in _copies(stack):
        known = processes.running(stack, name)
        port = _port(stack, name) if known else 0
        sums = summed(_scrape(port)) if port else {}
        figures = [_figure(sums, metric) for _, metric in COLUMNS]
        print(_row(name, known.pid if known else ABSENT, _health(port) if port else "down", figures))
    print("lag: records behind the end · spool: records on disk until Kafka takes them · waiting: deferred rows · "
          "dead: dead letters since the room's start")  # fmt: skip
    for folder in orphans(stack):
        print(f"{folder} holds records and nobody drains it: start that copy, or python -m services.ingress drain "
              f"{folder}")  # fmt: skip


def _row(name: str, pid: object, health: str, figures: list[str]) -> str:
    return f"{name:16} {pid!s:>8}  {health:10}" + "".join(f"{figure:>10}" for figure in figures)


def orphans(stack: Stack) -> list[Path]:
    """Spools with something in them whose copy of ingress does not run."""
    left = {segment.parent for segment in rooms.spools_dir(stack).glob("*/*.log")}
    return sorted(folder for folder in left if not processes.running(stack, folder.name))


def _copies(stack: Stack) -> list[str]:
    """The first copy of every room, there or not, and the further ones that are."""
    first = [f"{room}-{rooms.FIRST}" for room in rooms.ROOMS]
    return [*first, *(name for name in rooms.copies(stack) if name not in first)]


def _state(stack: Stack, name: str, *, runs: bool) -> str:
    settings = stack.settings
    elsewhere = {
        "kafka": settings.kafka_bootstrap_servers,
        "postgres": settings.database_url,
        "memcached": settings.memcached_servers,
        "graph": settings.graph_url,
        "orchestrator": settings.orchestrator_url,
    }
    return "running" if runs else "elsewhere" if elsewhere[name] else "down"


def _port(stack: Stack, name: str) -> int:
    room, _, n = name.rpartition("-")
    return rooms.copy_port(stack, room, int(n))


def _health(port: int) -> str:
    good, said = rooms.health(port)
    return "degraded" if good and '"status":"degraded"' in said else "ok" if good else "down"


def _figure(sums: Sums, metric: MetricWrapperBase) -> str:
    value = sums.get(_name(metric))
    return ABSENT if value is None else f"{value:.0f}"


def _name(metric: MetricWrapperBase) -> str:
    return next(iter(metric.describe())).name


def summed(text: str) -> Sums:
    """Every metric of a Prometheus page by its name, summed over its labels."""
    sums: Sums = {}
    for name, value in _samples(text):
        sums[name] = sums.get(name, 0.0) + value
    return sums


def _samples(text: str) -> Iterator[tuple[str, float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                yield family.name, sample.value


def _scrape(port: int) -> str:
    connection = http.client.HTTPConnection(HOST, port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
