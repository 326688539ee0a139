"""Carries out one command about dead letters: opens what it needs, reads, says what it would do, and does it if asked.

Not here: the command line (__main__.py), decisions (select.py, discard.py), deeds (act.py).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal, NamedTuple

import msgspec

from services.domain.errors import DependencyAwayError
from services.replay import report
from services.replay.act import DeadLetters, ended_of
from services.replay.select import QUARANTINED, WAITING, Wanted, part
from services.runtime import crypto
from services.runtime.settings import Settings
from services.store.directory import Directory
from services.store.pools import Pools
from services.streams.letters import Found, letters
from services.streams.producer import Producer
from services.streams.topics import Topics

DONE: Final = 0
NOT_FOUND: Final = 1
KEPT: Final = 3
_CONNECT_SECONDS: Final = 30.0
ROOMS_KNOW_SECONDS: Final = 2.5
"""Rooms read the directory every second: what was registered just now would be unknown to them once more."""

Verb = Literal["list", "show", "redrive", "discard"]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The command line, read. `company` is resolved here: only the directory knows a tenant's number."""

    verb: Verb
    wanted: Wanted
    actor: str
    company: str | None = None
    really: bool = False
    registered: bool = False
    everything: bool = False
    personal: bool = False
    limit: int = 50
    per_second: float = 50.0


class Answer(NamedTuple):
    lines: list[str]
    code: int = DONE


class _Opened(NamedTuple):
    pools: Pools
    directory: Directory


async def run(settings: Settings, asked: Asked) -> Answer:
    """Raises DependencyAwayError when Kafka or PostgreSQL does not answer; what was marked by then stays done."""
    async with _opened(settings) as opened:
        book = opened.directory.book
        tenant = book.of_company(asked.company) if asked.company else None
        if asked.company and tenant is None:
            return Answer([f"there is no tenant {asked.company}"], NOT_FOUND)
        wanted = msgspec.structs.replace(asked.wanted, tenant=tenant.no if tenant else None)
        if asked.registered:
            wanted = msgspec.structs.replace(wanted, reasons=QUARANTINED)
        async with _producer(settings, connect=asked.really) as producer:
            work = DeadLetters(opened.pools, opened.directory, producer, asked.actor)
            return await _VERBS[asked.verb](settings, asked, wanted, opened, work)


async def _list(settings: Settings, asked: Asked, wanted: Wanted, opened: _Opened, _work: DeadLetters) -> Answer:
    found = [one.letter for one in await _find(settings, wanted)]
    ended = await ended_of(opened.pools, found)
    shown = [letter for letter in found if asked.everything or letter.id not in ended]
    return Answer(report.lines(shown, ended, opened.directory.book, asked.limit))


async def _show(settings: Settings, asked: Asked, wanted: Wanted, opened: _Opened, work: DeadLetters) -> Answer:
    found = await _find(settings, wanted)
    if not found:
        return Answer(["there is no such dead letter"], NOT_FOUND)
    ended = await ended_of(opened.pools, [one.letter for one in found])
    if asked.personal:
        await work.note(found, "dead_letter_shown")
    book = opened.directory.book
    return Answer([
        line for one in found
        for line in report.whole(one, ended.get(one.letter.id, WAITING), book, personal=asked.personal)
    ])  # fmt: skip


async def _redrive(settings: Settings, asked: Asked, wanted: Wanted, opened: _Opened, work: DeadLetters) -> Answer:
    requests = await work.requests()  # before the letters: what is registered meanwhile keeps its request
    await opened.directory.refresh()
    parted = part(await work.waiting(await _find(settings, wanted)), opened.directory.book)
    said = report.summary([one.letter for one in parted.going]) + report.staying(parted.staying)
    if not asked.really:
        return Answer([*said, "nothing was done: --really redrives them"])
    if parted.going:
        await asyncio.sleep(ROOMS_KNOW_SECONDS)
    done = await work.redrive(parted.going, asked.per_second)
    if wanted == Wanted(reasons=QUARANTINED):  # a narrower look has not answered every registration
        await work.serve(requests)
        said.append(f"{requests.accounts} registrations served")
    return Answer([*said, f"{done} redriven"])


async def _discard(settings: Settings, asked: Asked, wanted: Wanted, _opened: _Opened, work: DeadLetters) -> Answer:
    found = await work.waiting(await _find(settings, wanted))
    said = report.summary([one.letter for one in found])
    if not asked.really:
        return Answer([*said, "nothing was done: --really discards them"])
    done = await work.discard(found)
    said.append(f"{done.letters} discarded, {done.cancelled} messages cancelled")
    if done.kept:
        said.append(f"{done.kept} wait as before: their tenant or message cannot be worked on now")
    return Answer(said, KEPT if done.kept else DONE)


_VERBS: Final = {"list": _list, "show": _show, "redrive": _redrive, "discard": _discard}


async def _find(settings: Settings, wanted: Wanted) -> list[Found]:
    topics = Topics(settings.topic_prefix, settings.profile)
    found = [
        one async for one in letters(settings.kafka_bootstrap_servers, topics) if wanted.matches(one.letter)
    ]  # fmt: skip
    return sorted(found, key=report.oldest_first)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[_Opened]:
    pools = Pools(settings, size=1, directory_size=1)
    await pools.open()
    try:
        directory = Directory(pools, crypto.read_key_file(settings.key_file))
        await directory.refresh()
        yield _Opened(pools, directory)
    finally:
        await pools.close()


@asynccontextmanager
async def _producer(settings: Settings, *, connect: bool) -> AsyncIterator[Producer]:
    """A dry run produces nothing and is not connected, so it cannot."""
    producer = Producer(settings, Topics(settings.topic_prefix, settings.profile))
    if connect:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await producer.start()
        except TimeoutError:
            raise DependencyAwayError("kafka: no connection") from None
    try:
        yield producer
    finally:
        await producer.stop()
