"""An ingress whose spool finds no room: 503 and when to come again, nothing lost that was taken, and back to work."""

import asyncio
import resource
from random import Random

import msgspec
import pytest

from services.devstack import demo_bodies as bodies
from services.devstack import kafka, rooms
from services.devstack.demo_post import sign
from services.devstack.demo_traffic import lines_of
from services.devstack.demo_world import until
from services.runtime import http
from services.streams.topics import TopicName
from tests.faults.occurrences import everything

BODY_CHARS = 60_000


def webhook(demo, n: int) -> bytes:
    line = next(line for line in lines_of(demo) if line.app is None)
    dice = Random(n)
    user = bodies.person(dice, 7_000)
    message = bodies.message(user, f"wamid.full{n}", 1_790_000_000 + n, "text", text={"body": f"full {n}"})
    message["padding"] = "x" * BODY_CHARS
    return bodies.render(bodies.envelope([bodies.entry(line, bodies.inbound(line, user, message))]))


async def post(session, demo, n: int) -> tuple[int, str | None]:
    body = webhook(demo, n)
    headers = {"X-Hub-Signature-256": sign(demo["app_secret"], body), "Content-Type": "application/json"}
    async with session.post(demo["ingress"] + "/webhook", data=body, headers=headers) as response:
        return response.status, response.headers.get("Retry-After")


async def is_drained(stack) -> bool:
    good, said = await asyncio.to_thread(rooms.health, rooms.copy_port(stack, "ingress"))
    return good and msgspec.json.decode(said)["checks"]["spool"]["status"] == "ok"


@pytest.mark.timeout(240)
async def test_a_full_disk_is_answered_503_and_what_was_taken_before_arrives(whole):
    demo, stack = whole.demo, whole.stack
    child = await whole.restart("ingress")
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    taken: list[int] = []
    async with http.session(timeout_seconds=30.0, limit=5) as session:
        await asyncio.to_thread(kafka.stop, stack)
        try:
            for n in range(60):
                status, again = await post(session, demo, n)
                if status != 200:
                    break
                taken.append(n)
            assert (status, again) == (503, "2")
            assert 5 < len(taken) < 30
            health = rooms.health(rooms.copy_port(stack, "ingress"))
            assert health[0] is False, health
        finally:
            await asyncio.to_thread(kafka.start, stack)
        assert await until(lambda: is_drained(stack), 60.0)
        assert (await post(session, demo, 2000))[0] == 200
    topic = whole.topics.full(TopicName.RAW)
    records = await everything(demo["kafka"], {topic: whole.topics.partitions(TopicName.RAW)})
    found = [n for n in taken if any(b'"wamid.full%d"' % n in record.value for record in records)]
    assert found == taken
