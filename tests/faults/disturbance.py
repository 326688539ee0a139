"""What is wrong with somebody else: poisonous records, a schema that is gone, endpoints that hang or refuse; and many
tenants' updates in one poll. Not here: who must not notice (isolation.py)."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import psycopg
from psycopg import sql

from services.devstack import demo_bodies as bodies
from services.devstack.demo_post import Poster
from services.devstack.demo_traffic import Post
from services.devstack.demo_world import World, until
from services.runtime import clock, http
from services.store.names import schema_of
from services.streams.topics import TopicName
from tests.faults import occurrences, poison
from tests.faults.control import fault
from tests.faults.crowd import Crowd, path_of
from tests.faults.talk import arrived
from tests.faults.verdict import FaultError, Figures

MARK: Final = "poison"
LONGEST_KEY_BYTES: Final = 2704  # of a PostgreSQL index row; https://www.postgresql.org/docs/15/btree-limits.html
FROZEN_SECONDS: Final = 0.7
ARRIVE_SECONDS: Final = 30.0
_TIMEOUT_SECONDS: Final = 30.0
_DEAD: Final = {"normaliser": TopicName.DEAD_NORMALISER, "sender": TopicName.DEAD_SENDER,
                "notifier": TopicName.DEAD_NOTIFIER}  # fmt: skip

Poisoning = Callable[[float], Coroutine[Any, Any, None]]
"""Puts one poisonous record before each room, spread over so many seconds."""


@dataclass(frozen=True)
class Victims:
    """Whom the troubles hit. The poisoned one is one of the others: only its poisonous records may suffer."""

    unschooled: str
    hanging: str
    refusing: str
    poisoned: str

    @property
    def disturbed(self) -> set[str]:
        return {self.unschooled, self.hanging, self.refusing}


@asynccontextmanager
async def everything(
    crowd: Crowd, victims: Victims, *, hang_seconds: float, figures: Figures
) -> AsyncIterator[Poisoning]:
    """All troubles until the block is left; gives what poisons the rooms meanwhile. Raises FaultError when the missing
    schema held up nothing."""
    orchestrator = crowd.stage.demo["orchestrator"]
    hanging = {"kind": "delay", "seconds": hang_seconds}
    refusing = {"kind": "status", "status": 500}
    async with (
        fault(orchestrator, hanging, path=path_of(victims.hanging)),
        fault(orchestrator, refusing, path=path_of(victims.refusing)),
        schema_gone(crowd, victims.unschooled),
    ):
        yield lambda seconds: poisoned(crowd, victims.poisoned, seconds)
        figures["put away"] = await asyncio.to_thread(put_away, crowd, victims.unschooled)
    if not figures["put away"]:
        raise FaultError("the tenant's schema was gone, and nothing had to be put away")


@asynccontextmanager
async def schema_gone(crowd: Crowd, company: str) -> AsyncIterator[None]:
    """Rename a tenant's schema away, as a botched migration would; it comes back when the block is left."""
    there = schema_of(number_of(crowd, company))
    await asyncio.to_thread(_rename, crowd, there, f"{there}_gone")
    try:
        yield
    finally:
        await asyncio.to_thread(_rename, crowd, f"{there}_gone", there)


def _rename(crowd: Crowd, old: str, new: str) -> None:
    with psycopg.connect(crowd.stage.stack.database_url) as connection:
        statement = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
        connection.execute(statement.format(sql.Identifier(old), sql.Identifier(new)))


def number_of(crowd: Crowd, company: str) -> int:
    with psycopg.connect(crowd.stage.stack.database_url) as connection:
        query = "SELECT no FROM recado_directory.tenants WHERE company_id = %s"
        row = connection.execute(query, (company,)).fetchone()
    if row is None:
        raise LookupError(company)
    return int(row[0])


def put_away(crowd: Crowd, company: str) -> int:
    """How many of the tenant's records wait for its schema."""
    with psycopg.connect(crowd.stage.stack.database_url) as connection:
        query = "SELECT count(*) FROM recado.deferred WHERE tenant_id = %s AND reason = 'tenant_unavailable'"
        row = connection.execute(query, (number_of(crowd, company),)).fetchone()
    return int(row[0]) if row else 0


async def poisoned(crowd: Crowd, company: str, seconds: float) -> None:
    """One record before each room whose handling always raises: none of them is refused for what it says."""
    for poison_one in (_poison_normaliser, _poison_sender, _poison_notifier):
        await asyncio.sleep(seconds / 4)
        await poison_one(crowd, company)


async def _poison_normaliser(crowd: Crowd, company: str) -> None:
    """Through the front door, rightly signed: an id of a message that no index can hold."""
    line = next(line for line in crowd.lines if line.company_id == company)
    user = bodies.person(Random(0), 1)
    wamid = f"wamid.{MARK}{secrets.token_urlsafe(4 * LONGEST_KEY_BYTES)}"
    now = int(clock.now().timestamp())
    message = bodies.message(user, wamid, now, "text", text={"body": MARK})
    body = bodies.render(bodies.envelope([bodies.entry(line, bodies.inbound(line, user, message))]))
    await _post(crowd, Post(kind=MARK, body=body))


async def _poison_sender(crowd: Crowd, company: str) -> None:
    """A command that ingress would not let through: PostgreSQL cannot hold NUL."""
    line = next(line for line in crowd.lines if line.company_id == company)
    command = {
        "message_id": f"msg_{MARK}", "tenant": number_of(crowd, company), "account_id": line.account_id,
        "to": {"phone": "+593987000002"}, "type": "text", "content": f"{MARK}\0", "body_sha256": "0" * 64,
        "accepted_at": clock.now().isoformat(),
    }  # fmt: skip
    record = (f"{line.account_id}#0", json.dumps(command).encode(), {"ce_type": b"send"})
    await poison.put(crowd.stage, TopicName.SEND_NORMAL, [record])


async def _poison_notifier(crowd: Crowd, company: str) -> None:
    """A push whose conversation PostgreSQL cannot hold."""
    endpoint = crowd.endpoint_of(company)
    headers = {
        "tenant": str(number_of(crowd, company)).encode(),
        "endpoint": endpoint.encode(),
        "ce_type": b"message_received",
    }
    record = (f"{endpoint}|{MARK}\0", json.dumps({MARK: 1}).encode(), headers)
    await poison.put(crowd.stage, TopicName.NOTIFY_DUE, [record])


async def poison_in_circulation(crowd: Crowd) -> list[str]:
    """Say where poison was not set aside: each room's own must lie in its dead letters, once, as a bug."""
    topics = crowd.stage.topics
    partitions = {topics.full(topic): topics.partitions(topic) for topic in _DEAD.values()}
    dead = await occurrences.everything(crowd.stage.demo["kafka"], partitions)
    found = [(one.topic, dict(one.headers)["reason"].decode()) for one in dead if MARK.encode() in one.value]
    wanted = [(topics.full(topic), "bug") for topic in _DEAD.values()]
    return [] if sorted(found) == sorted(wanted) else [f"poison set aside: {found}, and {wanted} were expected"]


async def many_in_one_poll(crowd: Crowd, world: World, dice: Random, problems: list[str]) -> Figures:
    """One POST for all tenants while the normaliser stands still, so that all of it lies in its next poll."""
    mark = (await world.marks()).orchestrator
    text = f"all at once {dice.getrandbits(40)}"
    async with crowd.stage.frozen("normaliser"):
        await _post(crowd, Post(kind="one for each", body=_one_for_each(crowd, dice, text)))
        await asyncio.sleep(FROZEN_SECONDS)
    began = clock.monotonic()
    wanted = {f"{text} {line.company_id}" for line in crowd.lines}

    async def all_came() -> bool:
        return wanted <= arrived(await world.arrivals(mark, match=text)).keys()

    if not await until(all_came, ARRIVE_SECONDS):
        problems.append(f"of {len(wanted)} tenants in one poll not everybody's event came")
    return {"tenants in one poll": len(wanted), "all there after s": round(clock.monotonic() - began, 2)}


def _one_for_each(crowd: Crowd, dice: Random, text: str) -> bytes:
    now = int(clock.now().timestamp())
    entries = []
    for line in crowd.lines:
        user = bodies.person(dice, 0)
        content = {"body": f"{text} {line.company_id}"}
        message = bodies.message(user, bodies.wamid(dice), now, "text", text=content)
        entries.append(bodies.entry(line, bodies.inbound(line, user, message)))
    return bodies.render(bodies.envelope(entries))


async def _post(crowd: Crowd, post: Post) -> None:
    async with http.session(timeout_seconds=_TIMEOUT_SECONDS, limit=1) as session:
        await Poster(crowd.demo, session, patience_seconds=_TIMEOUT_SECONDS, seed=1).post(post)
