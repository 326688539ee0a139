"""Every room dies at every crash point while the demonstration runs, and comes back. Rooms without crash points are
killed at moments drawn by the seed, while they have work."""

import asyncio
import re
import signal
import subprocess
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final

import psycopg

from services.runtime import clock
from tests.faults import poison
from tests.faults.control import THROTTLED, fault
from tests.faults.stage import Stage
from tests.faults.verdict import FaultError, Figures, Moments, Outcome, demonstrated

LOOP_POINTS: Final = ("after_poll", "after_commit_db", "after_first_produce", "after_produce", "after_commit_offsets")
POINTS: Final = {
    "normaliser": LOOP_POINTS,
    "sender": (*LOOP_POINTS, "after_claim", "after_answer"),
    "notifier": LOOP_POINTS,
}
LATEST_PASS: Final = 5
_LOOK_SECONDS: Final = 0.02
_FEED_SECONDS: Final = 0.3
BLIND_SECONDS: Final = 9.0
"""Until a dead sender's partitions are given away (6 s) and its leases are over (6 s, from earlier on)."""
KILLED: Final = ("ingress", "scheduler")
"""Rooms without crash points: ingress answers one request at a time, the scheduler holds one transaction at a time."""
KILLS: Final = 3
_LONGEST_LIFE_SECONDS: Final = 0.8
_LOGGED: Final = re.compile(r"crash_point_reached.*")


@dataclass(frozen=True)
class CrashAt:
    """The n-th pass of a room's crash point."""

    room: str
    point: str
    n: int

    def __str__(self) -> str:
        return f"{self.room}:{self.point}:{self.n}"


def matrix(seed: int) -> list[CrashAt]:
    """Every room with crash points at each of them; which pass is drawn by the seed."""
    dice = Random(seed)
    return [CrashAt(room, point, dice.randint(1, LATEST_PASS)) for room, points in POINTS.items() for point in points]


async def crashed(stage: Stage, at: CrashAt, *, seed: int, messages: int) -> Outcome:
    """Arm the room, demonstrate, and let it come back when it has died."""
    seen = stage.log_of(at.room).stat().st_size
    child = await stage.restart(at.room, crash_at=str(at))

    async def die_and_come_back(moments: Moments) -> Figures:
        began = clock.monotonic()
        if at.point == "after_answer":
            return await _answered_and_forgotten(stage, at, child, seen, moments)
        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(_feed(stage, at))
            await died(child)
            feeding.cancel()
        refuse_other_death(stage, at, child, seen)
        lived = clock.monotonic() - began
        await stage.restart(at.room)
        return {"died after s": round(lived, 1), "back after s": round(clock.monotonic() - began - lived, 1)}

    outcome = await demonstrated(stage, f"crash {at}", seed=seed, messages=messages, trouble=die_and_come_back)
    if at.point == "after_answer" and not outcome.figures.get("were unknown"):
        outcome.problems.append("the sender forgot answers, and no message became unknown")
    return outcome


async def _answered_and_forgotten(
    stage: Stage, at: CrashAt, child: subprocess.Popen[bytes], seen: int, moments: Moments
) -> Figures:
    """WhatsApp has the messages and nobody here knows: its statuses lie unread until the sender is back and its leases
    are over. So the room that reads them stands still meanwhile, and is a zombie to its group when it goes on."""
    await moments.begun.wait()
    async with stage.frozen("normaliser"):
        await died(child)
        refuse_other_death(stage, at, child, seen)
        await stage.restart(at.room)
        await asyncio.sleep(BLIND_SECONDS)
    return {"blind s": BLIND_SECONDS}


async def _feed(stage: Stage, at: CrashAt) -> None:
    """The notifier announces nothing: what it produces are dead letters, of which a demonstration makes none."""
    while (at.room, at.point) == ("notifier", "after_first_produce"):
        await poison.push_to_nobody(stage)
        await asyncio.sleep(_FEED_SECONDS)


async def died(child: subprocess.Popen[bytes]) -> None:
    while child.poll() is None:  # noqa: ASYNC110 - another process is waited for
        await asyncio.sleep(_LOOK_SECONDS)


def refuse_other_death(stage: Stage, at: CrashAt, child: subprocess.Popen[bytes], seen: int) -> None:
    """Raise FaultError unless it died by its own hand at this very point, which its last line tells."""
    if child.returncode != -signal.SIGKILL:
        raise FaultError(f"{at.room} ended with {child.returncode} instead of dying at {at.point}")
    with stage.log_of(at.room).open("rb") as log:
        log.seek(seen)
        last = _LOGGED.findall(log.read().decode(errors="replace"))
    if len(last) != 1 or at.point not in last[0]:
        raise FaultError(f"{at.room} was killed, and not at {at.point}: {last or 'no crash point was reached'}")


async def killed(stage: Stage, room: str, *, seed: int, messages: int) -> Outcome:
    """Kill a room again and again at moments drawn by the seed, while it has work."""
    die_and_come_back = _ingress_dies if room == "ingress" else _scheduler_dies
    dice = Random(f"{room}|{seed}")
    outcome = await demonstrated(
        stage, f"kill -9 {room}", seed=seed, messages=messages, trouble=partial(die_and_come_back, stage, dice)
    )  # fmt: skip
    if room == "ingress" and not outcome.figures.get("repeated"):
        outcome.problems.append("ingress was killed, and nobody had to repeat anything")
    return outcome


async def _ingress_dies(stage: Stage, dice: Random, moments: Moments) -> Figures:
    """Posters and clients are told nothing, and repeat."""
    await moments.begun.wait()
    for _ in range(KILLS):
        await asyncio.sleep(dice.uniform(0.1, _LONGEST_LIFE_SECONDS))
        await stage.kill("ingress")
        await stage.restart("ingress")
    return {"kills": KILLS}


async def _scheduler_dies(stage: Stage, dice: Random, moments: Moments) -> Figures:
    """WhatsApp throttles and the companies fail now and then, so that there is always something to give back."""
    failing = {"kind": "status", "status": 503}
    waiting = []
    async with (
        fault(stage.demo["graph"], THROTTLED, path="/messages", probability=0.5),
        fault(stage.demo["orchestrator"], failing, path="/events", probability=0.3),
    ):
        await moments.begun.wait()
        for _ in range(KILLS):
            waiting.append(await _some_wait(stage))
            await asyncio.sleep(dice.uniform(0.0, _LONGEST_LIFE_SECONDS))
            await stage.kill("scheduler")
            await stage.restart("scheduler")
    return {"kills": KILLS, "rows waiting at the kills": " ".join(map(str, waiting))}


async def _some_wait(stage: Stage) -> int:
    """Wait until something waits; return how many rows do."""
    while not (rows := _waiting(stage)):  # noqa: ASYNC110 - other processes are waited for
        await asyncio.sleep(_LOOK_SECONDS)
    return rows


def _waiting(stage: Stage) -> int:
    with psycopg.connect(stage.demo["database"]) as connection:
        row = connection.execute("SELECT count(*) FROM recado.deferred").fetchone()
    return int(row[0]) if row else 0
