"""Parts of the stack go away and come back while the demonstration runs: what rooms stand on, and each room itself."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Final

from services.devstack import kafka, memcached, postgres, rooms
from services.devstack.demo_post import Client, Poster
from services.devstack.demo_traffic import traffic
from services.runtime import clock, http
from tests.faults.stage import Stage
from tests.faults.verdict import PATIENCE_SECONDS, FaultError, Figures, Moments, Outcome, demonstrated

AWAY_SECONDS: Final = 5.0
PROBES: Final = 20
_LONGEST_DELAY_SECONDS: Final = 1.0
_TAKEN: Final = frozenset({200, 201, 202})

Hurt = Callable[[Stage, Random], Awaitable[Figures]]


async def suffered(stage: Stage, name: str, *, seed: int, messages: int, title: str = "") -> Outcome:
    """Run the demonstration while the outage of this name happens, at a moment drawn by the seed."""

    async def trouble(moments: Moments) -> Figures:
        dice = Random(f"outage|{seed}")
        await moments.begun.wait()
        await asyncio.sleep(dice.uniform(0, _LONGEST_DELAY_SECONDS))
        began = clock.monotonic()
        return await OUTAGES[name](stage, dice) | {"outage s": round(clock.monotonic() - began, 1)}

    return await demonstrated(stage, title or f"outage: {name}", seed=seed, messages=messages, trouble=trouble)


async def postgres_stops(stage: Stage, dice: Random) -> Figures:
    """While it is away, what concerns known accounts is taken at the first try."""
    await asyncio.to_thread(postgres.stop, stage.stack)
    try:
        taken = await probe(stage, dice)
        await asyncio.sleep(AWAY_SECONDS)
    finally:
        await asyncio.to_thread(postgres.start, stage.stack)
    return taken


async def probe(stage: Stage, dice: Random) -> Figures:
    """Post webhooks and commands of known accounts. Raises FaultError unless each is taken at its first try."""
    now = int(clock.now().timestamp())
    run = f"probe-{now:x}-{dice.getrandbits(20):x}"
    drawn = traffic(stage.demo, seed=dice.getrandbits(30), messages=PROBES * 3, run=run, now=now)
    posts = [post for post in drawn.posts if post.kind in {"one message", "user without a phone"}][:PROBES]
    async with http.session(timeout_seconds=PATIENCE_SECONDS, limit=PROBES * 2) as session:
        poster = Poster(stage.demo, session, patience_seconds=0.0, seed=1)
        client = Client(stage.demo, session, patience_seconds=0.0, seed=1)
        await asyncio.gather(poster.post_all(posts, client.ours), client.send_all(drawn.commands[:PROBES]))
    answers = [(one.status, one.tries) for one in poster.posted] + [(one.status, one.tries) for one in client.answered]
    refused = [status for status, tries in answers if status not in _TAKEN or tries]
    if refused or not poster.posted or not client.answered:
        raise FaultError(f"not taken while a part was away: {refused or 'nothing was posted'}")
    return {"webhooks taken": len(poster.posted), "commands taken": len(client.answered)}


async def kafka_restarts(stage: Stage, _dice: Random) -> Figures:
    await asyncio.to_thread(kafka.restart, stage.stack)
    return {}


async def kafka_dies(stage: Stage, _dice: Random) -> Figures:
    await asyncio.to_thread(kafka.kill, stage.stack)
    await asyncio.to_thread(kafka.start, stage.stack)
    return {}


async def postgres_dies(stage: Stage, _dice: Random) -> Figures:
    await asyncio.to_thread(postgres.kill, stage.stack)
    await asyncio.to_thread(postgres.start, stage.stack)
    return {}


async def memcached_dies(stage: Stage, _dice: Random) -> Figures:
    if not memcached.address(stage.stack):
        raise FaultError("this stack has no Memcached that could die")
    await asyncio.to_thread(memcached.kill, stage.stack)
    await asyncio.sleep(AWAY_SECONDS)
    await asyncio.to_thread(memcached.start, stage.stack)
    return {}


async def everything_in_turn(stage: Stage, dice: Random) -> Figures:
    """Memcached is away all the time, Kafka restarts, then PostgreSQL stops: all that rooms stand on, once."""
    if memcached.address(stage.stack):
        await asyncio.to_thread(memcached.kill, stage.stack)
    await kafka_restarts(stage, dice)
    # one at a time: what is taken while PostgreSQL is away is the question, not how fast a producer comes back
    await asyncio.to_thread(rooms.wait_room, stage.stack, "ingress")
    figures = await postgres_stops(stage, dice)
    await asyncio.to_thread(memcached.start, stage.stack)
    return figures


async def room_restarts(stage: Stage, _dice: Random, *, room: str) -> Figures:
    await stage.restart(room)
    return {}


OUTAGES: Final[dict[str, Hurt]] = {
    "postgres stops": postgres_stops,
    "postgres dies": postgres_dies,
    "kafka restarts": kafka_restarts,
    "kafka dies": kafka_dies,
    "memcached dies": memcached_dies,
    "everything in turn": everything_in_turn,
    **{f"{room} restarts": partial(room_restarts, room=room) for room in rooms.ROOMS},
}
