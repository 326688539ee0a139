"""Part `normaliser`: the whole room on a full topic against bare psycopg that writes the same rows."""

import asyncio
from collections.abc import Iterator
from typing import Final

import msgspec

from services.store.names import schema_of
from services.streams.codec import Outgoing
from tests.bench import bare_normaliser, cores, log
from tests.bench.figures import Figure
from tests.bench.material import raw_records
from tests.bench.stage import Stage

_RATES: Final = {1: 5000, 50: 2000}
"""What a run is cut to the wanted seconds by; a faster or slower machine takes less or more of them."""

PASSES: Final = 0.5
GOALS: Final = {1: 0.6, 50: 0.7}


def measure(stage: Stage, rounds: int, seconds: float) -> Iterator[Figure]:
    for tenants, rate in _RATES.items():
        yield _compare(stage, tenants, int(rate * seconds), rounds)


def _compare(stage: Stage, tenants: int, count: int, rounds: int) -> Figure:
    figure = Figure(
        part=f"normaliser, {tenants} tenant{'s' * (tenants > 1)} in the batch", unit="msg/s", runs=[], limits=[],
        passes=PASSES, goal=GOALS[tenants], detail={"cpu_us": [], "limit_cpu_us": [], "batch": [], "whole_limit": []},
    )  # fmt: skip
    for turn in range(rounds):
        records = raw_records(stage.numbers[:tenants], count, f"N{tenants}R{turn}")
        course, batch = _room(stage, records, tenants)
        figure.runs.append(course.rate)
        figure.detail["cpu_us"].append(course.cpu_us)
        figure.detail["batch"].append(batch)
        limit = _limit(stage, records, batch, whole=False)
        figure.limits.append(limit.rate)
        figure.detail["limit_cpu_us"].append(round(limit.cpu_us, 1))
        figure.detail["whole_limit"].append(round(_limit(stage, records, batch, whole=True).rate))
    return figure


def _room(stage: Stage, records: list[Outgoing], tenants: int) -> tuple[log.Course, int]:
    """The room's rate, and how many records its transactions had."""
    stage.empty()
    with stage.topics() as topics:
        asyncio.run(log.fill(stage, topics, records))
        stage.alone()
        with stage.room("normaliser", topics) as pid:
            stage.alone(pid)
            course = asyncio.run(log.course(stage, topics, len(records), of="the normaliser"))
    schemas = [schema_of(number.tenant) for number in stage.numbers[:tenants]]
    each = " UNION ALL ".join(f"TABLE {schema}.events" for schema in schemas)
    transactions = stage.ask(f"SELECT count(DISTINCT xid::text) FROM ({each}) AS own")  # noqa: S608 - our own names
    return course, round(len(records) / transactions)


def _limit(stage: Stage, records: list[Outgoing], batch: int, *, whole: bool) -> bare_normaliser.Seen:
    stage.empty()
    stage.alone()
    path = stage.path("records.bin")
    path.write_bytes(msgspec.msgpack.encode([record.value for record in records]))
    plan = bare_normaliser.Plan(records=str(path), batch=batch, core=cores.two()[0], whole=whole)
    return msgspec.json.decode(stage.worker("bare_normaliser", plan), type=bare_normaliser.Seen)
