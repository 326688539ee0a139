"""How long to wait before the next try: doubling, with jitter, so that copies do not come back in step."""

import random


class Backoff:
    """Seconds between tries: from `first` doubling to `most`, each drawn from its upper half."""

    def __init__(self, first: float = 0.2, most: float = 5.0) -> None:
        self._first = first
        self._most = most
        self._next = first

    def next(self) -> float:
        limit = self._next
        self._next = min(limit * 2, self._most)
        return limit * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, guards nothing

    def reset(self) -> None:
        self._next = self._first
