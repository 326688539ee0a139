"""Named points at which a setting kills the process: the guarantee tests walk through them."""

import os
import signal
from typing import Final

from services.runtime.logs import get_logger

POINTS: Final = (
    "after_poll", "after_commit_db", "after_first_produce", "after_produce", "after_commit_offsets",
    "after_claim", "after_answer",
)  # fmt: skip


class CrashPoints:
    """Count the passes of a room's points; at the n-th pass of the named one, die as by kill -9."""

    def __init__(self, room: str, crash_at: str = "") -> None:
        self._left: dict[str, int] = {}
        if crash_at:
            wanted_room, _, rest = crash_at.partition(":")
            point, _, n = rest.partition(":")
            if point not in POINTS or not n.isdecimal() or int(n) < 1:
                raise ValueError(f"RECADO_CRASH_AT={crash_at} is not room:point:n (points: {', '.join(POINTS)})")
            if wanted_room == room:
                self._left[point] = int(n)

    def reach(self, point: str) -> None:
        if point in self._left:
            self._left[point] -= 1
            if self._left[point] <= 0:
                get_logger().warning("crash_point_reached", point=point)
                os.kill(os.getpid(), signal.SIGKILL)
