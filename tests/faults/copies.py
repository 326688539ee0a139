"""Five copies of the sender, then one: which partitions each holds, as the broker tells, under load."""

import asyncio
import io
from typing import Final

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from services.devstack import rooms
from services.runtime import clock
from services.streams.admin import admin
from services.streams.topics import LANE_TOPICS
from tests.faults.stage import Stage
from tests.faults.verdict import FaultError, Figures, Moments, Outcome, demonstrated

ROOM: Final = "sender"
COPIES: Final = 5
SETTLE_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.2
_STABLE: Final = "Stable"

Held = dict[str, list[list[int]]]
"""Member → the numbers that it holds in each of the three lanes."""


async def five_then_one(stage: Stage, *, seed: int, messages: int) -> Outcome:
    """Start four more copies, demonstrate, and take them away meanwhile: two as a deploy does, two by kill -9."""
    further = range(rooms.FIRST + 1, COPIES + 1)
    await asyncio.gather(*(stage.restart(ROOM, n) for n in further))
    try:
        five = await settled(stage, COPIES)

        async def go(moments: Moments) -> Figures:
            await moments.begun.wait()
            await asyncio.gather(*(stage.stop(ROOM, n) if n % 2 else stage.kill(ROOM, n) for n in further))
            one = await settled(stage, 1)
            return {"five copies": shown(five), "one copy": shown(one)}

        return await demonstrated(stage, "sender copies 5 → 1", seed=seed, messages=messages, trouble=go)
    finally:
        await asyncio.gather(*(stage.stop(ROOM, n) for n in further))


async def settled(stage: Stage, copies: int) -> Held:
    """Wait until so many share all partitions. Raises FaultError when one's lanes differ, or they do not settle."""
    end = clock.monotonic() + SETTLE_SECONDS
    every = stage.topics.partitions(next(iter(LANE_TOPICS.values())))
    while True:
        held = await holdings(stage)
        torn = [member for member, lanes in held.items() if lanes.count(lanes[0]) != len(lanes)]
        if torn:
            raise FaultError(f"copies hold different numbers in their lanes: {shown(held)}")
        numbers = sorted(number for lanes in held.values() for number in lanes[0])
        if len(held) == copies and numbers == list(range(every)):
            return held
        if clock.monotonic() >= end:
            raise FaultError(f"{copies} copies did not share {every} partitions: {shown(held)}")
        await asyncio.sleep(_LOOK_SECONDS)


async def holdings(stage: Stage) -> Held:
    """Ask the broker; nothing while the group is between two assignments."""
    async with admin(stage.demo["kafka"]) as client:
        answers = await client.describe_consumer_groups([stage.topics.group(ROOM)])
    (_, _, state, _, _, members, *_), *_ = (group for answer in answers for group in answer.groups)
    if state != _STABLE:
        return {}
    lanes = [stage.topics.full(topic) for topic in LANE_TOPICS.values()]
    found: Held = {}
    for member, _, _, _, assigned, *_ in members:
        assignment = ConsumerProtocolMemberAssignment.decode(io.BytesIO(assigned))
        numbers = {name: sorted(partitions) for name, partitions in assignment.assignment}
        found[member] = [numbers.get(lane, []) for lane in lanes]
    return found


def shown(held: Held) -> str:
    """The numbers of each copy; all three lanes where they differ."""
    texts = [str(lanes[0] if lanes.count(lanes[0]) == len(lanes) else lanes) for lanes in held.values()]
    return " ".join(sorted(texts)) or "nothing"
