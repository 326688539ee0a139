"""Everything a simulator received, in order, up to a bound. Not here: what it does with a call."""

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any, Final

import msgspec

from services.runtime import clock
from services.simulator.calls import Answer, Call

KEPT_ITEMS: Final = 200_000  # an hour at 50 calls/s; about 1 KB of memory each
KEPT_BYTES: Final = 256 * 1024 * 1024  # of headers, bodies and answers, so that a forgotten simulator stays small
PAGE_ITEMS: Final = 10_000  # of one answer; the reader goes on with `next`


class Item(msgspec.Struct, gc=False):
    """One received call. Out of the garbage collector's sight: it holds only flat values, and there are many."""

    n: int
    at: datetime
    method: str
    path: str
    headers: bytes
    body: bytes
    status: int | None = None
    answer: bytes | None = None
    fault: str | None = None

    @property
    def size(self) -> int:
        return len(self.headers) + len(self.body) + (len(self.answer) if self.answer else 0)

    def shown(self) -> dict[str, Any]:
        """Bodies are text as it travelled; an answer that the work never came to has nulls."""
        return {
            "n": self.n,
            "at": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "method": self.method,
            "path": self.path,
            "headers": dict(_headers(self.headers)),
            "body": _text(self.body),
            "answer": {"status": self.status, "body": None if self.answer is None else _text(self.answer)},
            "fault": self.fault,
        }


def _text(body: bytes) -> str:
    return body.decode(errors="replace")


def _headers(joined: bytes) -> Iterator[tuple[str, str]]:
    for line in joined.decode("latin-1").split("\n"):
        name, _, value = line.partition(": ")
        yield name, value


class Received:
    """The newest calls; numbers go on after a reset, so that a reader's `next` stays good."""

    def __init__(self, kept_items: int = KEPT_ITEMS, kept_bytes: int = KEPT_BYTES) -> None:
        self._items: deque[Item] = deque()
        self._kept_items = kept_items
        self._kept_bytes = kept_bytes
        self._bytes = 0
        self.last = 0
        self.dropped = 0

    def add(self, call: Call) -> Item:
        self.last += 1
        path = f"{call.path}?{call.query.decode('latin-1')}" if call.query else call.path
        joined = b"\n".join([b": ".join(header) for header in call.headers])
        item = Item(self.last, clock.now(), call.method, path, joined, call.body)
        self._items.append(item)
        self._bytes += item.size
        self._trim()
        return item

    def settle(self, item: Item, answer: Answer | None, fault: str | None = None) -> None:
        """Note what came of a call."""
        item.fault = fault
        if answer is None:
            return
        item.status, item.answer = answer.status, answer.body
        if self._items and item.n >= self._items[0].n:  # else it was dropped in the meantime
            self._bytes += len(answer.body)

    def _trim(self) -> None:
        while len(self._items) > self._kept_items or (self._bytes > self._kept_bytes and len(self._items) > 1):
            self._bytes -= self._items.popleft().size
            self.dropped += 1

    def page(self, after: int = 0, match: str = "", limit: int = PAGE_ITEMS) -> dict[str, Any]:
        """Items behind number `after` whose path or body contains `match`."""
        needle = match.encode()
        items: list[dict[str, Any]] = []
        reached = min(max(after, 0), self.last)
        for item in self._behind(reached):
            reached = item.n
            if match in item.path or needle in item.body:
                items.append(item.shown())
                if len(items) == limit:
                    break
        return {"items": items, "next": reached}

    def _behind(self, after: int) -> Iterator[Item]:
        first = self._items[0].n if self._items else 0
        return islice(self._items, max(after + 1 - first, 0), None)

    def clear(self) -> None:
        self._items.clear()
        self._bytes = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._items)
