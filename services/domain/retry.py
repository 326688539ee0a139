"""When to try again, or to give up: pure arithmetic on given values."""

from datetime import timedelta

import msgspec


class RetryPolicy(msgspec.Struct, frozen=True):
    """Waits of base × 2^n, at most `limit` of them."""

    base: timedelta
    limit: int

    def wait(self, waits_so_far: int) -> timedelta | None:
        """Return the next wait, or None when there were enough."""
        if waits_so_far >= self.limit:
            return None
        return self.base * int(2**waits_so_far)


def scheduled_wait(schedule: tuple[timedelta, ...], tries_so_far: int, jitter: float) -> timedelta | None:
    """Return the wait after the given number of tries (≥ 1), spread by up to ± 10 %; None at the schedule's end.

    `jitter` is in [-1, 1]: chance comes from the caller.
    """
    if tries_so_far > len(schedule):
        return None
    return schedule[tries_so_far - 1] * (1 + 0.1 * jitter)
