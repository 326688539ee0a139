"""Part `sender`: the whole room on a full lane against bare aiohttp on the same simulator, whose statuses are off."""

import asyncio
from collections.abc import Iterator
from typing import Final

import httpx
import msgspec

from services.domain.ids import MessageIds
from services.domain.message import SendCommand
from services.providers.cloud.payloads import build, callback_data
from services.runtime import crypto
from services.store.names import schema_of
from tests.bench import bare_sender, cores, log
from tests.bench.figures import Figure
from tests.bench.material import command_records, commands
from tests.bench.stage import Stage

PASSES: Final = 0.3
GOAL: Final = 0.6
CONNECTIONS: Final = 112
"""What the normal lane may take of the room's 128 connections: the rest is kept for the urgent one."""

_LOTS: Final = {
    "claimed_together": "SELECT count(DISTINCT created_at) FROM {s}.messages",
    "settled_together": "SELECT count(DISTINCT xid::text) FROM {s}.events",
}
"""How many transactions the room took for its claims, and for its answers: small lots are dear."""

_RATE: Final = 1500
_ATTEMPT: Final = 1


def measure(stage: Stage, rounds: int, seconds: float) -> Iterator[Figure]:
    figure = Figure(
        part="sender, whole room", unit="sends/s", runs=[], limits=[], passes=PASSES, goal=GOAL,
        detail={"cpu_us": [], "limit_cpu_us": [], **{name: [] for name in _LOTS}},
    )  # fmt: skip
    schema = schema_of(stage.numbers[0].tenant)
    ids = MessageIds(crypto.read_key_file(stage.settings.key_file))
    with stage.simulator("graph") as url:
        for _ in range(rounds):
            made = commands(stage.numbers[0], int(_RATE * seconds), ids)
            course = _room(stage, url, made)
            figure.runs.append(course.rate)
            for name, moments in _LOTS.items():
                figure.detail[name].append(round(len(made) / stage.ask(moments.format(s=schema))))
            figure.detail["cpu_us"].append(course.cpu_us)
            seen = _limit(stage, url, made)
            figure.limits.append(seen.rate)
            figure.detail["limit_cpu_us"].append(round(seen.cpu_us, 1))
    yield figure


def _room(stage: Stage, url: str, made: list[SendCommand]) -> log.Course:
    stage.empty()
    _silence(url)
    with stage.topics() as topics:
        asyncio.run(log.fill(stage, topics, command_records(made)))
        stage.alone()
        with stage.room("sender", topics) as pid:
            stage.alone(pid)
            return asyncio.run(log.course(stage, topics, len(made), of="the sender"))


def _limit(stage: Stage, url: str, made: list[SendCommand]) -> bare_sender.Seen:
    _silence(url)
    stage.alone()
    path = stage.path("bodies.bin")
    bodies = [msgspec.json.encode(build(one, callback_data(one.message_id, _ATTEMPT))) for one in made]
    path.write_bytes(msgspec.msgpack.encode(bodies))
    number = f"{stage.settings.graph_version}/{stage.numbers[0].phone_number_id}"
    plan = bare_sender.Plan(
        bodies=str(path), url=f"{url}/{number}/messages", token="bench", connections=CONNECTIONS, core=cores.two()[0]
    )
    return msgspec.json.decode(stage.worker("bare_sender", plan), type=bare_sender.Seen)


def _silence(url: str) -> None:
    """Forget former calls and let no status follow a send."""
    with httpx.Client(base_url=url, trust_env=False) as client:
        client.post("/control/reset").raise_for_status()
        client.post("/control/statuses", json={"sequence": []}).raise_for_status()
