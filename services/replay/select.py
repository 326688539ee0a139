"""Which dead letters are meant, and which of them may go back. Pure: times and knowledge are given.

Not here: reading them, doing anything with them.
"""

from datetime import datetime
from typing import Final, get_args

import msgspec

from services.domain.errors import RecordError
from services.domain.tenants import Phonebook, Quarantine, owners_of, quarantine
from services.providers.cloud.webhook import interpret, read_record
from services.providers.contract import AccountUpdate
from services.streams.codec import Record
from services.streams.deadletter import Letter, restored
from services.streams.letters import Found

QUARANTINED: Final = frozenset(get_args(Quarantine))
UNDELIVERABLE: Final = "undeliverable"
REPLAYED: Final = "replayed_command"
WAITING: Final = "waiting"
_FINAL: Final = {
    UNDELIVERABLE: "given up after the whole schedule: its delivery has ended, and only a redelivery would push again",
    REPLAYED: "a replayed command is never sent",
}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; None asks for all. `tenant` is a tenant's number."""

    ids: frozenset[str] = frozenset()
    room: str | None = None
    reasons: frozenset[str] = frozenset()
    tenant: int | None = None
    after: datetime | None = None
    before: datetime | None = None

    @property
    def is_everything(self) -> bool:
        return self == Wanted()

    def matches(self, letter: Letter) -> bool:
        return (
            (not self.ids or letter.id in self.ids)
            and self.room in (None, letter.room)
            and (not self.reasons or letter.reason in self.reasons)
            and self.tenant in (None, letter.tenant)
            and (self.after is None or letter.at >= self.after)
            and (self.before is None or letter.at <= self.before)
        )


class Parted(msgspec.Struct, frozen=True):
    """What goes back, and what does not with the reason why."""

    going: list[Found]
    staying: list[tuple[Letter, str]]


def part(found: list[Found], book: Phonebook) -> Parted:
    """Tell what a redrive would carry from what would only come back here."""
    parted = Parted([], [])
    for one in found:
        if why := obstacle(one, book):
            parted.staying.append((one.letter, why))
        else:
            parted.going.append(one)
    return parted


def obstacle(found: Found, book: Phonebook) -> str | None:
    """Say why a letter must stay, or None."""
    letter, record = found
    if letter.reason in _FINAL:
        return _FINAL[letter.reason]
    try:
        restored(record)
        still = still_quarantined(record, book) if letter.reason in QUARANTINED else None
    except RecordError as error:
        return str(error)
    return f"would be set aside again: {still}" if still else None


def still_quarantined(record: Record, book: Phonebook) -> Quarantine | None:
    """Ask the normaliser's question again, with the accounts and apps as they are now. Raises RecordError."""
    item = read_record(record.value)
    update = interpret(item)
    waba, number = item.entry_id, None
    if isinstance(update, AccountUpdate):
        waba, number = update.waba_id, update.display_phone_number
    owners = owners_of(book, item.number, waba, number)
    return quarantine(owners, item.app, getattr(update, "timestamp", None))
