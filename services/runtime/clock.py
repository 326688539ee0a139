"""The only clock and the only source of new ids. Everything else receives them as values."""

import secrets
import time
import uuid
from datetime import UTC, datetime

import uuid_utils


def now() -> datetime:
    """Wall time in UTC, for what is shown; leases, due times and expiry compare with the database's clock."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds for measuring durations."""
    return time.monotonic()


def new_uuid7() -> uuid.UUID:
    """A time-ordered UUID for a new record's base."""
    return uuid.UUID(int=uuid_utils.uuid7().int)


def new_uuid7_text() -> str:
    """The same, written: for those who need no more than its text."""
    return str(uuid_utils.uuid7())


def random64() -> int:
    return secrets.randbits(64)
