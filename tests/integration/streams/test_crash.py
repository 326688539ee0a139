"""A room that dies at each of the loop's crash points loses nothing and says nothing new when it comes back."""

import asyncio
import sys
from unittest.mock import ANY

import msgspec

from services.runtime.settings import environment
from services.streams.topics import TopicName
from tests.integration.streams.kit import Run, record, records

RAW = TopicName.RAW
EVENTS = TopicName.EVENT_MESSAGE
COUNT = 6
POINTS = ("after_poll", "after_commit_db", "after_first_produce", "after_produce", "after_commit_offsets")


async def run_to_its_end(run: Run, crash_at: str, count: int) -> int:
    settings = msgspec.structs.replace(run.settings, crash_at=crash_at)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.streams.crashing", str(count),
        env=environment(settings), stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return await child.wait()


async def die_and_come_back(kafka_bootstrap: str, point: str) -> tuple[int, int, set[bytes], int, int]:
    """Return how it died, where it had come, which values were announced, how often, and where it is in the end."""
    run = Run(kafka_bootstrap)
    await run.create({RAW: 1, EVENTS: 1})
    await run.write(*records(RAW, range(COUNT)))
    died = await run_to_its_end(run, f"sender:{point}:1", COUNT)
    before = (await run.committed("sender")).get((RAW, 0), 0)
    await run.write(record(RAW, str(COUNT)))
    assert await run_to_its_end(run, "", COUNT - before + 1) == 0
    events = await run.log(EVENTS)
    for name in {event.name for event in events}:
        assert len({(event.value, event.key) for event in events if event.name == name}) == 1
    after = (await run.committed("sender"))[RAW, 0]
    return died, before, {event.value for event in events}, len(events), after


async def test_a_room_that_dies_at_any_point_announces_everything_after_its_return(kafka_bootstrap: str):
    ends = await asyncio.gather(*(die_and_come_back(kafka_bootstrap, point) for point in POINTS))
    found = dict(zip(POINTS, ends, strict=True))
    everything = {b"%d" % n for n in range(COUNT + 1)}
    assert {point: (died, values, after) for point, (died, _, values, _, after) in found.items()} == dict.fromkeys(
        POINTS, (-9, everything, COUNT + 1)
    )
    once = 2 * (COUNT + 1)
    assert {point: (before, events) for point, (_, before, _, events, _) in found.items()} == {
        "after_poll": (0, once),
        "after_commit_db": (0, once),
        "after_first_produce": (0, once + 1),
        "after_produce": (0, ANY),
        "after_commit_offsets": (COUNT, once),
    }
    assert once + 2 <= found["after_produce"][3] <= once + 2 * COUNT
