"""How fast to give back: lot sizes, watermarks, and a tenant's slow start. Pure: times are given (monotonic seconds).

Not here: claiming and producing (loop.py).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.store.deferred import Waiting

LOT: Final = 500  # the knee of the claim's curve (facts, postgres §6)
SWEEP_SECONDS: Final = 60.0
OVERLAP: Final = timedelta(minutes=1)  # rows may commit late, with a due time that has passed
TENANT_LOT: Final = 200
FIRST_LOT: Final = 10
_FIRST_PAUSE_SECONDS: Final = 2.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
_FLOWING_SECONDS: Final = 0.05
_COMPARE_SECONDS: Final = 1.0
_REMEMBER_SECONDS: Final = 120.0


class DuePace:
    """What one cell's next claim looks like."""

    def __init__(self) -> None:
        self.lot = LOT
        self._watermark: datetime | None = None
        self._swept_at = float("-inf")

    def bound(self, now: float) -> datetime | None:
        """Return from which due time on to look; None, everything, once a minute."""
        return None if now - self._swept_at >= SWEEP_SECONDS else self._watermark

    def given_back(self, rows: Sequence[Waiting], bound: datetime | None, now: float) -> None:
        """Take note of a claim that was produced and committed."""
        full = len(rows) >= self.lot
        if bound is None and not full:
            self._swept_at = now
        latest = max((row.due_at for row in rows if row.due_at), default=None)
        if latest is not None:
            self._watermark = max(self._watermark or latest - OVERLAP, latest - OVERLAP)
        self.lot = min(self.lot * 2, LOT)

    def failed(self) -> None:
        """Claim half of it next time: a lot that cannot be produced within its deadline would come again for ever."""
        self.lot = max(self.lot // 2, 1)


class TenantPace:
    """How a tenant that could not be worked on gets its records back: a few first, all when those do not come again."""

    def __init__(self) -> None:
        self._next_at = float("-inf")
        self._pause = _FIRST_PAUSE_SECONDS
        self._proven = False
        self._given: dict[UUID, float] = {}
        self._compared_at = float("-inf")

    def due(self, now: float) -> bool:
        return now >= self._next_at

    @property
    def lot(self) -> int:
        return TENANT_LOT if self._proven else FIRST_LOT

    def first(self, now: float) -> list[UUID]:
        """Return the bases to look for before all others: what was given back and waits again keeps its place.

        Asked for at most once a second, for it costs a look at all of the tenant's rows.
        """
        if self._proven and now - self._compared_at < _COMPARE_SECONDS:
            return []
        self._compared_at = now
        self._given = {base: at for base, at in self._given.items() if now - at < _REMEMBER_SECONDS}
        return list(self._given)

    def given_back(self, rows: Sequence[Waiting], now: float) -> None:
        """Take note of a lot; one with records that were given back before says that the tenant is not well."""
        again = any(row.base in self._given for row in rows)
        awaited = bool(self._given)
        self._given |= {row.base: now for row in rows}
        if again:
            self.away(now)
            return
        self._proven = self._proven or awaited
        self._next_at = now + (_FLOWING_SECONDS if self._proven or not rows else self._pause)

    def away(self, now: float) -> None:
        """The tenant cannot be worked on: wait longer each time."""
        self._proven = False
        self._next_at = now + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)

    def idle(self, now: float) -> bool:
        """Whether it may be forgotten: nothing was given back for so long that nothing can come again."""
        return all(now - at >= _REMEMBER_SECONDS for at in self._given.values()) and self.due(now)
