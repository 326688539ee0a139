"""Three provocations, each with its verdict: a webhook twice, three messages in one POST, a lost answer.

Not here: the traffic around them.
"""

from random import Random
from typing import Final, NamedTuple

from services.devstack import demo_bodies as bodies
from services.devstack.demo_bodies import Json
from services.devstack.demo_post import Client, Poster
from services.devstack.demo_report import Verdict
from services.devstack.demo_traffic import Command, Post, lines_of
from services.devstack.demo_world import LATE, World, until
from services.runtime import clock

_SETTLE_SECONDS: Final = 60.0


class Counted(NamedTuple):
    """What one user's message came to: rows, stored events, different events at the company."""

    rows: int
    events: int
    pushed: int


async def provoke(world: World, poster: Poster, client: Client, run: str) -> list[Verdict]:
    """One after the other; the script of statuses is not restored."""
    dice = Random(run)  # noqa: S311 - a demonstration, no secret
    return [
        await same_webhook_twice(world, poster, dice),
        await three_in_one_post(world, poster, dice),
        await lost_answer(world, client, run),
    ]


async def same_webhook_twice(world: World, poster: Poster, dice: Random) -> Verdict:
    post, wamids = _written(world, dice, messages=1)
    await poster.post(post)
    await poster.post(post)
    await world.settled(_SETTLE_SECONDS)
    found = await _count(world, wamids[0])
    wrong = () if found == Counted(1, 1, 1) else (f"{wamids[0]}: {found}",)
    return Verdict("the same webhook twice → 1 row, 1 event", f"{found.rows} row, {found.events} event", wrong)


async def three_in_one_post(world: World, poster: Poster, dice: Random) -> Verdict:
    post, wamids = _written(world, dice, messages=3)
    await poster.post(post)
    await world.settled(_SETTLE_SECONDS)
    counted = [await _count(world, wamid) for wamid in wamids]
    wrong = tuple(f"{wamid}: {found}" for wamid, found in zip(wamids, counted, strict=True) if found != (1, 1, 1))
    rows, events = sum(found.rows for found in counted), sum(found.events for found in counted)
    return Verdict("3 messages in one POST → 3", f"{rows} rows, {events} events", wrong)


async def lost_answer(world: World, client: Client, run: str) -> Verdict:
    """WhatsApp takes the message and the connection breaks before its answer; its statuses come later."""
    line = lines_of(world.demo)[0]
    words = f"La respuesta de este mensaje se pierde ({run})"
    body: Json = {"account_id": line.account_id, "phone_number": "+593987000001", "type": "text", "content": words}
    marks = await world.marks()
    await world.script(LATE)
    await world.fault(words, "reset_after")
    answered = await client.send(Command(company_id=line.company_id, key=f"lost-{run}", body=body))

    async def settled() -> bool:
        return (await _state(world, line.company_id, answered.message_id)) == "read"

    await until(settled, _SETTLE_SECONDS)
    calls = await world.graph_calls(marks.graph, match=words)
    said = await _events(world, line.company_id, answered.message_id)
    state = await _state(world, line.company_id, answered.message_id)
    wrong = []
    if said[:3] != ["message_unknown", "message_resolved", "message_sent"]:
        wrong.append(f"announced {', '.join(said) or 'nothing'}")
    if state != "read":
        wrong.append(f"the message is {state}")
    if len(calls) != 1:
        wrong.append(f"{len(calls)} Graph calls")
    claim = "answer lost after the send → unknown, then settled by the status, 1 Graph call"
    return Verdict(claim, f"answered {answered.status}, {' → '.join(said)}, {len(calls)} call", tuple(wrong))


def _written(world: World, dice: Random, messages: int) -> tuple[Post, list[str]]:
    line, user = lines_of(world.demo)[0], bodies.person(dice, 0)
    now = int(clock.now().timestamp())
    each = [bodies.text_message(dice, user, now) for _ in range(messages)]
    body = bodies.render(bodies.envelope([bodies.entry(line, bodies.inbound(line, user, *each))]))
    return Post(kind="provocation", body=body), [str(one["id"]) for one in each]


async def _count(world: World, wamid: str) -> Counted:
    rows = await world.rows(lines_of(world.demo)[0].company_id)
    ids = [row[0] for row in rows["messages"] if row[5] == wamid]
    events = [row for row in rows["events"] if row[6] in ids]
    pushed = {arrival["headers"].get("webhook-id") for arrival in await world.arrivals(0, match=wamid)}
    return Counted(len(ids), len(events), len(pushed))


async def _state(world: World, company_id: str, message_id: str) -> str:
    rows = await world.rows(company_id)
    return next((str(row[3]) for row in rows.get("messages", []) if row[0] == message_id), "unrecorded")


async def _events(world: World, company_id: str, message_id: str) -> list[str]:
    rows = await world.rows(company_id)
    own = [row for row in rows.get("events", []) if row[6] == message_id]
    return [row[2] for row in sorted(own, key=lambda row: row[4])]
