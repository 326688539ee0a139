"""Steady conversations: users write, companies answer, each waits until ingress took the one before; and what became of
every word: when it arrived at the company, and in which order. Not here: who is disturbed meanwhile (isolation.py)."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, Final

from services.devstack import demo_bodies as bodies
from services.devstack.demo_bodies import Json, Line, Person
from services.devstack.demo_post import Client, Poster
from services.devstack.demo_traffic import Command, Post
from services.runtime import clock, http
from services.runtime.http import Session
from tests.faults.crowd import Crowd
from tests.faults.verdict import FaultError

USERS: Final = 3  # of each tenant
COMMANDS: Final = 0.2  # share of turns in which the company writes
PATIENCE_SECONDS: Final = 60.0
_TIMEOUT_SECONDS: Final = 30.0
_TAKEN: Final = frozenset({201, 202})
_SAID: Final = frozenset({"message_received", "message_sent"})


@dataclass(frozen=True)
class Word:
    """The n-th thing said in a conversation. `at`: when its request began."""

    company: str
    user: str
    n: int
    inbound: bool
    at: datetime

    @property
    def text(self) -> str:
        return words(self.company, self.user, self.n, inbound=self.inbound)


@dataclass(frozen=True)
class Arrival:
    """A word's event at its company, when it was acknowledged there for the first time."""

    text: str
    conversation: str
    sequence: int
    at: datetime


Words = list[Word]
Beside = Callable[[float], Coroutine[Any, Any, None]]


async def nothing(_seconds: float) -> None:
    pass


def words(company: str, user: str, n: int, *, inbound: bool) -> str:
    return f"{'user' if inbound else 'company'} {company} {user} {n}"


async def talk(
    crowd: Crowd, *, seconds: float, per_second: float, first: int, dice: Random, beside: Beside = nothing
) -> Words:
    """Let everybody talk for so long; `per_second` counts what is said by all. Numbers go on from `first`."""
    every = [(line, bodies.person(dice, place * USERS + n)) for place, line in enumerate(crowd.lines)
             for n in range(USERS)]  # fmt: skip
    pause = len(every) / per_second
    spoken: Words = []
    end = clock.monotonic() + seconds
    async with http.session(timeout_seconds=_TIMEOUT_SECONDS, limit=len(every)) as session:
        speakers = [_Speaker(crowd.demo, session, line, user, spoken) for line, user in every]
        async with asyncio.TaskGroup() as group:
            group.create_task(beside(seconds))
            for speaker in speakers:
                group.create_task(speaker.speak(first, pause, end, Random(dice.random())))
    return spoken


class _Speaker:
    """One conversation."""

    def __init__(self, demo: Json, session: Session, line: Line, user: Person, spoken: Words) -> None:
        self._poster = Poster(demo, session, patience_seconds=PATIENCE_SECONDS, seed=1)
        self._client = Client(demo, session, patience_seconds=PATIENCE_SECONDS, seed=1)
        self._line = line
        self._user = user
        self._spoken = spoken

    async def speak(self, n: int, pause: float, end: float, dice: Random) -> None:
        await asyncio.sleep(dice.uniform(0, pause))
        while clock.monotonic() < end:
            word = Word(self._line.company_id, self._user.phone, n, dice.random() >= COMMANDS, clock.now())
            self._spoken.append(word)
            await (self._write(word, dice) if word.inbound else self._answer(word))
            n += 1
            await asyncio.sleep(dice.uniform(0.5, 1.5) * pause)

    async def _write(self, word: Word, dice: Random) -> None:
        now = int(word.at.timestamp())
        message = bodies.message(self._user, bodies.wamid(dice), now, "text", text={"body": word.text})
        change = bodies.inbound(self._line, self._user, message)
        body = bodies.render(bodies.envelope([bodies.entry(self._line, change)]))
        await self._poster.post(Post(kind="one message", body=body))

    async def _answer(self, word: Word) -> None:
        body = {"account_id": self._line.account_id, "phone_number": f"+{self._user.phone}", "type": "text",
                "content": word.text}  # fmt: skip
        key = f"talk-{word.user}-{word.n}-{word.at:%H%M%S%f}"
        answered = await self._client.send(Command(company_id=word.company, key=key, body=body))
        if answered.status not in _TAKEN:
            raise FaultError(f"`{word.text}` was refused: {answered.status} {answered.answer}")


def arrived(received: Sequence[dict[str, Any]]) -> dict[str, Arrival]:
    """The first acknowledged arrival of each word, in the order in which they came."""
    found: dict[str, Arrival] = {}
    for call in received:
        if call["answer"]["status"] != 200:
            continue
        event = json.loads(call["body"])
        text = event["data"].get("content", "")
        if event["event_type"] in _SAID and text not in found:
            at = datetime.fromisoformat(call["at"])
            found[text] = Arrival(text, event["data"]["conversation_id"], event["sequence"], at)
    return found


def missing(said: Sequence[Word], arrivals: dict[str, Arrival]) -> list[str]:
    return [f"`{word.text}` never arrived" for word in said if word.text not in arrivals]


def disorder(said: Sequence[Word], arrivals: dict[str, Arrival]) -> list[str]:
    """Conversations whose events came in another order than their numbers, or whose users' words changed places."""
    found = []
    last: dict[str, Arrival] = {}
    for arrival in arrivals.values():
        before = last.get(arrival.conversation)
        if before and before.sequence >= arrival.sequence:
            found.append(f"`{arrival.text}` ({arrival.sequence}) came behind `{before.text}` ({before.sequence})")
        last[arrival.conversation] = arrival
    for one, next_ in _neighbours([word for word in said if word.inbound and word.text in arrivals]):
        if arrivals[one.text].sequence >= arrivals[next_.text].sequence:
            found.append(f"`{next_.text}` was written behind `{one.text}` and numbered before it")
    return found


def sent_out_of_order(graph_calls: Sequence[dict[str, Any]]) -> list[str]:
    """Companies' words that WhatsApp took in another order than they were said."""
    found = []
    last: dict[str, int] = {}
    for call in graph_calls:
        text = json.loads(call["body"]).get("text", {}).get("body", "")
        if call["answer"]["status"] != 200 or not text.startswith("company "):
            continue
        conversation, _, number = text.rpartition(" ")
        if last.get(conversation, 0) >= int(number):
            found.append(f"`{text}` was sent behind number {last[conversation]}")
        last[conversation] = int(number)
    return found


def _neighbours(said: Sequence[Word]) -> list[tuple[Word, Word]]:
    """Each word with the next of the same conversation."""
    pairs = []
    last: dict[tuple[str, str], Word] = {}
    for word in sorted(said, key=lambda word: word.n):
        before = last.get((word.company, word.user))
        if before:
            pairs.append((before, word))
        last[word.company, word.user] = word
    return pairs


def seconds_of(said: Sequence[Word], arrivals: dict[str, Arrival]) -> list[float]:
    """From the beginning of a request to the event's arrival, sorted."""
    return sorted((arrivals[word.text].at - word.at).total_seconds() for word in said if word.text in arrivals)


def quantile(sorted_seconds: Sequence[float], share: float) -> float:
    """Return nan-free: 0.0 when nothing was measured, which a report shows beside the count."""
    if not sorted_seconds:
        return 0.0
    return sorted_seconds[min(len(sorted_seconds) - 1, int(share * len(sorted_seconds)))]
