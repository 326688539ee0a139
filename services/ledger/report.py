"""What a person reads of the books: a line a book, and every difference by its id. Pure."""

from collections.abc import Sequence
from typing import Final

from services.ledger.books import Book

_SHOWN_IDS: Final = 20
_NAME_WIDTH: Final = 26


def balances(books: Sequence[Book]) -> bool:
    return all(book.balances for book in books)


def pending(books: Sequence[Book]) -> int:
    """How much is under way and will change by itself."""
    return sum(book.pending for book in books)


def lines(books: Sequence[Book], *, shown: int = _SHOWN_IDS) -> list[str]:
    """A line a book; below it at most `shown` differences, and how many there are beside."""
    written = []
    for book in books:
        sides = " · ".join(f"{name} {number}" for name, number in book.sides.items())
        waiting = f" · under way {book.pending}" if book.pending else ""
        written.append(f"{'✓' if book.balances else '✗'} {book.name:{_NAME_WIDTH}} {sides}{waiting}")
        written += [f"    {one.problem}: {one.id}" for one in book.differences[:shown]]
        if len(book.differences) > shown:
            written.append(f"    … and {len(book.differences) - shown} more")
    return written
