"""What a person reads of dead letters: a line a letter without text or numbers, and one letter in full. Pure."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.domain.events import rfc3339
from services.domain.tenants import Phonebook
from services.replay.select import WAITING
from services.streams.deadletter import Letter
from services.streams.letters import Found

_HIDDEN: Final = "(hidden; --personal-data shows it)"


def lines(letters: Sequence[Letter], ended: dict[str, str], book: Phonebook, limit: int) -> list[str]:
    """The oldest first; then how many there are of each room and reason."""
    shown = [
        f"{letter.id}  {rfc3339(letter.at)}  {ended.get(letter.id, WAITING):9}  {letter.room:10}  {letter.reason:20}"
        f"  {company_of(letter, book)}"
        for letter in letters[:limit]
    ]
    if len(letters) > limit:
        shown.append(f"… and {len(letters) - limit} more")
    return [*shown, *summary(letters)]


def summary(letters: Sequence[Letter]) -> list[str]:
    counts = Counter((letter.room, letter.reason) for letter in letters)
    parts = [f"{room} {reason} {number}" for (room, reason), number in sorted(counts.items())]
    return [f"{len(letters)} dead letters" + (f": {' · '.join(parts)}" if parts else "")]


def whole(found: Found, state: str, book: Phonebook, *, personal: bool) -> list[str]:
    """One letter; the key holds a user's number and the value a message, so both need to be asked for."""
    letter, record = found
    rows = {
        "id": letter.id, "state": state, "room": letter.room, "reason": letter.reason, "detail": letter.detail,
        "set aside": rfc3339(letter.at), "tenant": company_of(letter, book), "name": str(letter.name),
        "read from": f"{letter.topic}/{record.header('from_partition')}/{record.header('from_offset')}",
        "lies in": f"{record.topic}/{record.partition}/{record.offset}", "bytes": str(len(record.value)),
        "key": record.key if personal else _HIDDEN,
        "value": record.value.decode(errors="replace") if personal else _HIDDEN,
    }  # fmt: skip
    return [f"{name:10} {value}" for name, value in rows.items()]


def staying(letters: Sequence[tuple[Letter, str]]) -> list[str]:
    """Why some do not go back, a line a reason."""
    counts = Counter(why for _, why in letters)
    return [f"  {number} stay: {why}" for why, number in sorted(counts.items())]


def company_of(letter: Letter, book: Phonebook) -> str:
    tenant = book.tenants.get(letter.tenant or 0)
    return tenant.company_id if tenant else "-"


def oldest_first(found: Found) -> tuple[datetime, str, int, int]:
    """Letters of one partition keep the order in which they were set aside."""
    return found.letter.at, found.record.topic, found.record.partition, found.record.offset
