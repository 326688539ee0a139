"""The books and how they are compared: each side comes from another source, all of them are sets of ids. Pure.

Rule: what counts as balanced is decided only here. Not here: where the ids come from (rows.py, read.py).

Every book is exact at any moment, because of the order in which read.py reads: committed offsets and ends of the event
topics, then one snapshot of the database, then the log to its end. So what lies below an offset must be in the
snapshot, and what the snapshot has must be in the log. What is under way counts as pending and is no difference.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

SENT: Final = frozenset({"sent", "delivered", "read", "played"})
UNDER_WAY: Final = frozenset({"queued", "waiting", "sending"})
ENDED: Final = frozenset({"failed", "expired", "cancelled"})
FINAL_OUTCOMES: Final = frozenset({"acknowledged", "dead", "gone"})
"""Outcomes after which an event is not pushed to an endpoint again."""


class Entry(NamedTuple):
    """A record of the log: its base, what it stands for, and whether its room has yet to take note of it.

    An empty key: nothing but a dead letter may become of it.
    """

    base: str
    key: str
    ahead: bool


class MessageRow(NamedTuple):
    status: str
    attempt: int


class Facts(msgspec.Struct, kw_only=True):
    """Everything that was read. Natural keys are texts such as `status acc_… wamid.… read`."""

    whole_log: bool = True
    """False when the log's beginning was deleted: then rows may be older than any record."""
    commands: list[Entry] = []
    received: list[Entry] = []
    dead: dict[str, str] = {}
    """Base of a dead letter → its reason."""
    messages: dict[str, MessageRow] = {}
    attempts: dict[str, dict[int, str | None]] = {}
    """Message id → attempt → its outcome; None while it is not known."""
    recorded: set[str] = set()
    deferred_bases: set[str] = set()
    deferred_subjects: set[str] = set()
    put_away: set[str] = set()
    """Bases that wait for their tenant's schema."""
    announced: dict[str, str] = {}
    """Event id → digest of the stored bytes."""
    bases: dict[str, str] = {}
    """Event id → base of the record that announced it."""
    on_the_wire: dict[str, set[str]] = {}
    """Event id → digests of everything that was said under it."""
    said_before: set[str] = set()
    """Event ids that stood on the wire before the snapshot of the database was taken."""
    sequences: dict[str, list[int]] = {}
    last_sequence: dict[str, int] = {}
    owed: list[Entry] = []
    """Pairs of event and endpoint."""
    delivered: set[str] = set()
    pushes_waiting: set[str] = set()


class Difference(msgspec.Struct, frozen=True):
    book: str
    problem: str
    id: str


class Book(msgspec.Struct, frozen=True):
    """`sides`: what was counted, in the order in which it is shown."""

    name: str
    sides: dict[str, int]
    differences: tuple[Difference, ...] = ()
    pending: int = 0

    @property
    def balances(self) -> bool:
        return not self.differences


def balance(facts: Facts) -> list[Book]:
    """Return every book; the whole balances when each of them does."""
    return [
        accepted(facts),
        states(facts),
        calls(facts),
        received(facts),
        announced(facts),
        sequences(facts),
        acknowledged(facts),
    ]


def accepted(facts: Facts) -> Book:
    """Every accepted command has a row or a dead letter, and no row comes from nowhere."""
    rows = facts.messages.keys()
    lost, pending = _settle(facts.commands, rows, facts.dead.keys(), facts.put_away)
    found = [("accepted, and neither a row nor a dead letter", key) for key in lost]
    if facts.whole_log:
        found += [("a row that no command asked for", key) for key in rows - _keys(facts.commands)]
    taken = _keys(entry for entry in facts.commands if not entry.ahead)
    sides = {
        "accepted": len(taken),
        "rows": len(rows & taken),
        "dead letters": len(taken - rows & _of_bases(facts.commands, facts.dead.keys())),
    }
    return _book("accepted = settled", sides, found, pending)


def states(facts: Facts) -> Book:
    """Every accepted message is in exactly one state, and what is under way has something that will move it."""
    taken = _keys(entry for entry in facts.commands if not entry.ahead)
    ahead = _keys(entry for entry in facts.commands if entry.ahead)
    counts = Counter(row.status for row in facts.messages.values())
    sides = {
        "accepted": len(taken | facts.messages.keys()),
        "sent": sum(counts[status] for status in SENT),
        **{status: counts[status] for status in ("failed", "expired", "cancelled", "waiting", "sending", "unknown")},
        "dead": len(taken - facts.messages.keys()),
    }
    found = []
    for message_id, row in facts.messages.items():
        if row.status not in SENT | UNDER_WAY | ENDED | {"unknown"}:
            found.append((f"in a state that no book knows ({row.status})", message_id))
        elif row.status in UNDER_WAY and message_id not in ahead | facts.deferred_subjects:
            found.append((f"{row.status}, and nothing will ever move it", message_id))
    pending = sum(counts[status] for status in UNDER_WAY)
    return _book("accepted = sum of states", sides, found, pending)


def calls(facts: Facts, heard: Collection[tuple[str, int]] | None = None) -> Book:
    """Every attempt that a message counts has its row. `heard`: the calls that WhatsApp's side received, if known."""
    counted = {(message_id, n) for message_id, row in facts.messages.items() for n in range(1, row.attempt + 1)}
    written = {(message_id, n) for message_id, numbers in facts.attempts.items() for n in numbers}
    found = [("an attempt without a row", _attempt(one)) for one in counted - written]
    found += [("a row of an attempt that its message does not count", _attempt(one)) for one in written - counted]
    sides = {"attempts": len(counted), "rows": len(written)}
    if heard is not None:
        times = Counter(heard)
        sides["calls"] = times.total()
        found += [("a call without an attempt", _attempt(one)) for one in times.keys() - written]
        found += [(f"one attempt called {n} times", _attempt(one)) for one, n in times.items() if n > 1]
    return _book("calls = attempts", sides, found)


def received(facts: Facts) -> Book:
    """Every update that came in has its row or its dead letter, and every row came in."""
    lost, pending = _settle(facts.received, facts.recorded, facts.dead.keys(), facts.put_away)
    found = [("received, and neither recorded nor dead-lettered", key) for key in lost]
    if facts.whole_log:
        found += [("recorded, and never received", key) for key in facts.recorded - _keys(facts.received)]
    taken = [entry for entry in facts.received if not entry.ahead]
    sides = {
        "records": len({entry.base for entry in taken}),
        "keys": len(_keys(taken)),
        "recorded": len(facts.recorded),
        "dead letters": len({entry.base for entry in taken} & facts.dead.keys()),
    }
    return _book("received = recorded", sides, found, pending)


def announced(facts: Facts) -> Book:
    """What is stored is on the wire, what is on the wire is stored, and every occurrence has the stored bytes."""
    under_way = facts.deferred_bases | {entry.base for entry in (*facts.commands, *facts.received) if entry.ahead}
    unsaid = facts.announced.keys() - facts.on_the_wire.keys()
    pending = {event for event in unsaid if facts.bases.get(event) in under_way}
    found = [("stored, and never said", event) for event in unsaid - pending]
    found += [("said, and not stored", event) for event in facts.said_before - facts.announced.keys()]
    for event, digests in facts.on_the_wire.items():
        if event in facts.announced and digests != {facts.announced[event]}:
            found.append(("said with other bytes than are stored", event))
    sides = {"stored": len(facts.announced), "on the wire": len(facts.on_the_wire)}
    return _book("announced = on the wire", sides, found, len(pending))


def sequences(facts: Facts) -> Book:
    """A conversation's events are numbered 1, 2, 3 … without gaps or doubles."""
    found = []
    for conversation, last in facts.last_sequence.items():
        if sorted(facts.sequences.get(conversation, [])) != list(range(1, last + 1)):
            found.append(("the numbers of its events have a gap or a double", conversation))
    numbered = sum(len(numbers) for numbers in facts.sequences.values())
    return _book("sequences", {"conversations": len(facts.last_sequence), "numbered events": numbered}, found)


def acknowledged(facts: Facts) -> Book:
    """Every announced event was acknowledged by each endpoint of its tenant, was given up, or waits."""
    ahead = _keys(entry for entry in facts.owed if entry.ahead)
    owed = _keys(facts.owed)
    waiting = facts.pushes_waiting | ahead
    found = [("announced, and neither acknowledged nor waiting", key) for key in owed - facts.delivered - waiting]
    if facts.whole_log:
        found += [("acknowledged, and never announced", key) for key in facts.delivered - owed]
    sides = {"owed": len(owed), "acknowledged or given up": len(facts.delivered)}
    return _book("acknowledged = deliveries", sides, found, len((owed & waiting) - facts.delivered))


def _settle(
    entries: Iterable[Entry], rows: Collection[str], dead: Collection[str], put_away: Collection[str]
) -> tuple[set[str], int]:
    """Return what should be settled and is not, and how many entries are still under way."""
    listed = list(entries)
    with_end = {entry.key for entry in listed if entry.base in dead}
    lost = set()
    pending = {entry.base for entry in listed if entry.ahead or entry.base in put_away}
    for entry in listed:
        if entry.base in pending or entry.base in dead:
            continue
        if not entry.key:
            lost.add(f"record {entry.base}")
        elif entry.key not in rows and entry.key not in with_end:
            lost.add(entry.key)
    return lost, len(pending)


def _keys(entries: Iterable[Entry]) -> set[str]:
    return {entry.key for entry in entries if entry.key}


def _of_bases(entries: Iterable[Entry], bases: Collection[str]) -> set[str]:
    return {entry.key for entry in entries if entry.base in bases}


def _attempt(one: tuple[str, int]) -> str:
    return f"{one[0]} attempt {one[1]}"


def _book(name: str, sides: Mapping[str, int], found: Iterable[tuple[str, str]], pending: int = 0) -> Book:
    listed = tuple(Difference(name, problem, key) for problem, key in sorted(found))
    return Book(name, dict(sides), listed, pending)
