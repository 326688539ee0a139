"""Does what was decided with dead letters: back to where they came from, or discarded; then the audit says so.

Each lot is durable before it is marked, so an interrupted run is begun anew and repeats at most one lot, under the same
names. Not here: which letters (select.py), what a discard means (discard.py).
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from services.domain.events import Event
from services.domain.tenants import Phonebook
from services.replay import discard
from services.replay.discard import DeadCommand
from services.runtime import clock
from services.store import audit
from services.store.audit import Action, Deed, Requests
from services.store.directory import ROLE
from services.store.pools import Connection, Pools, transaction
from services.store.tenancy import in_tenant_groups
from services.store.worksets import Keys, open_worksets, save
from services.streams.codec import Outgoing, event_outgoing
from services.streams.deadletter import Letter, restored
from services.streams.letters import Found

_LOT: Final = 100


class Producing(Protocol):
    async def produce(self, outgoing: Sequence[Outgoing], deadline_seconds: float = 10.0) -> None: ...


class Knowing(Protocol):
    """What is asked of the directory."""

    book: Phonebook

    def cell_of(self, tenant: int) -> str: ...


class Discarded(NamedTuple):
    """`kept`: letters whose tenant or message could not be worked on; they wait as before."""

    letters: int
    cancelled: int
    kept: int


class DeadLetters:
    """One run by one person."""

    def __init__(self, pools: Pools, directory: Knowing, producer: Producing, actor: str) -> None:
        self._pools = pools
        self._directory = directory
        self._producer = producer
        self._actor = actor

    async def waiting(self, found: Sequence[Found]) -> list[Found]:
        """Leave out what was redriven or discarded already."""
        ended = await ended_of(self._pools, [one.letter for one in found])
        return [one for one in found if one.letter.id not in ended]

    async def redrive(self, going: Sequence[Found], per_second: float) -> int:
        """Give letters back in the order in which they were set aside. Raises DependencyAwayError."""
        done = 0
        for lot in _lots(going, _lot_size(per_second)):
            started = clock.monotonic()
            await self._producer.produce([restored(one.record) for one in lot])
            await self.note(lot, "dead_letter_redriven")
            done += len(lot)
            if done < len(going):
                await asyncio.sleep(max(0.0, len(lot) / per_second - (clock.monotonic() - started)))
        return done

    async def discard(self, found: Sequence[Found]) -> Discarded:
        """Cancel what waits, announce it, then mark the letters."""
        total = Discarded(0, 0, 0)
        for lot in _lots(found, _LOT):
            one = await self._discard_lot(lot)
            total = Discarded(*(a + b for a, b in zip(total, one, strict=True)))
        return total

    async def _discard_lot(self, lot: Sequence[Found]) -> Discarded:
        commands: dict[int, list[tuple[Found, DeadCommand]]] = {}
        for one in lot:
            if dead := discard.dead_command(one.record, self._directory.book):
                commands.setdefault(dead.command.tenant, []).append((one, dead))
        done = await in_tenant_groups(self._pools, self._directory.cell_of, commands, _cancel)
        events = [pair for stored, _ in done.results for pair in stored]
        await self._producer.produce([event_outgoing(event, tenant) for tenant, event in events])
        kept = {fail.item[0].letter.id for fail in done.failed}
        kept |= {item[0].letter.id for items in done.unavailable.values() for item in items}
        settled = [one for one in lot if one.letter.id not in kept]
        await self.note(settled, "dead_letter_discarded")
        return Discarded(len(settled), sum(cancelled for _, cancelled in done.results), len(kept))

    async def note(self, found: Sequence[Found], action: Action) -> None:
        deeds = [Deed(self._actor, action, one.letter.id, one.letter.tenant, _said(one.letter)) for one in found]
        if deeds:
            async with transaction(self._pools.directory, ROLE) as connection:
                await audit.put(connection, deeds)

    async def requests(self) -> Requests:
        async with transaction(self._pools.directory, ROLE) as connection:
            return await audit.redrive_requests(connection)

    async def serve(self, requests: Requests) -> None:
        async with transaction(self._pools.directory, ROLE) as connection:
            await audit.serve_requests(connection, requests.newest)


async def ended_of(pools: Pools, letters: Sequence[Letter]) -> dict[str, str]:
    async with transaction(pools.directory, ROLE) as connection:
        return await audit.ended(connection, [letter.id for letter in letters])


async def _cancel(
    connection: Connection, group: Mapping[int, list[tuple[Found, DeadCommand]]]
) -> tuple[list[tuple[int, Event]], int]:
    """One transaction: messages in and locked, cancelled, the events stored; what is stored already is read again."""
    keys = {tenant: Keys() for tenant in group}
    for tenant, pairs in group.items():
        for _, dead in pairs:
            discard.keys_of(dead, keys[tenant])
    works = await open_worksets(connection, keys)
    at = clock.now()
    cancelled = sum(discard.discard(works[tenant], dead, at) for tenant, pairs in group.items() for _, dead in pairs)
    bases = {tenant: [dead.name.base for _, dead in pairs] for tenant, pairs in group.items()}
    return await save(connection, works, bases), cancelled


def _said(letter: Letter) -> dict[str, Any]:
    return {"room": letter.room, "reason": letter.reason, "name": str(letter.name), "topic": letter.topic}


def _lot_size(per_second: float) -> int:
    return max(1, min(_LOT, int(per_second)))


def _lots(found: Sequence[Found], size: int) -> list[Sequence[Found]]:
    return [found[start : start + size] for start in range(0, len(found), size)]
