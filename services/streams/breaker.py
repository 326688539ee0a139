"""When not to ask Kafka at all: after several deadlines in a row, one probe a second. Pure: times are given."""

from typing import Final

LIMIT: Final = 5  # deadlines in a row that open it
PROBE_SECONDS: Final = 1.0


class Breaker:
    """Keeps answers fast and memory flat while the broker is away; times are monotonic seconds."""

    def __init__(self, limit: int = LIMIT, probe_seconds: float = PROBE_SECONDS) -> None:
        self._limit = limit
        self._probe_seconds = probe_seconds
        self._failures = 0
        self._probe_at = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures >= self._limit

    def allows(self, now: float) -> bool:
        """Whether to try; while it is open, one caller a second is let through."""
        if not self.is_open:
            return True
        if now < self._probe_at:
            return False
        self._probe_at = now + self._probe_seconds
        return True

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, now: float) -> None:
        self._failures += 1
        if self._failures == self._limit:
            self._probe_at = now + self._probe_seconds
