"""Reads and balances, again and again until nothing is under way. Not here: what is printed, the command line."""

import asyncio
from typing import Final

from services.domain.errors import DependencyAwayError
from services.ledger.books import Book, Facts, balance
from services.ledger.read import Source, read
from services.ledger.report import balances, pending
from services.runtime import clock

PATIENCE_SECONDS: Final = 60.0
_AGAIN_SECONDS: Final = 0.5


async def read_patiently(source: Source, patience_seconds: float = PATIENCE_SECONDS) -> Facts:
    """Read once; what is away is asked again. Raises DependencyAwayError when it stays away."""
    end = clock.monotonic() + patience_seconds
    while True:
        try:
            return await read(source)
        except DependencyAwayError:
            if clock.monotonic() >= end:
                raise
        await asyncio.sleep(_AGAIN_SECONDS)


async def check_when_settled(source: Source, wait_seconds: float) -> list[Book]:
    """Return the books of `read_when_settled`."""
    return balance(await read_when_settled(source, wait_seconds))


async def read_when_settled(source: Source, wait_seconds: float) -> Facts:
    """Read until everything balances and nothing is under way, at most so long; return the last reading.

    Judge that one: by the next, something that waited may have come back. Raises DependencyAwayError as
    `read_patiently` does.
    """
    end = clock.monotonic() + wait_seconds
    while True:
        facts = await read_patiently(source, max(wait_seconds, 0.0))
        books = balance(facts)
        if (balances(books) and not pending(books)) or clock.monotonic() >= end:
            return facts
        await asyncio.sleep(_AGAIN_SECONDS)
