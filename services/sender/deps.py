"""What the sender works with, as wiring hands it over. Not here: making it, using it."""

from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from services.domain.limits import RECONCILE_WINDOW
from services.domain.retry import RetryPolicy
from services.domain.tenants import Phonebook
from services.providers.contract import Provider
from services.runtime.crash import CrashPoints
from services.store.pools import Pools
from services.store.unavailable import Unavailable


class Directory(Protocol):
    """What the sender asks of the directory."""

    book: Phonebook

    def cell_of(self, tenant: int) -> str: ...

    async def refresh_if_older(self, seconds: float) -> None: ...


class Progress(Protocol):
    """What the sender asks of the log of updates."""

    async def handled_until(self, moment: datetime) -> bool: ...


class Deps(msgspec.Struct, frozen=True):
    pools: Pools
    directory: Directory
    unavailable: Unavailable
    provider: Provider
    crash: CrashPoints
    retry: RetryPolicy
    lease_seconds: float
    progress: Progress
    window: timedelta = RECONCILE_WINDOW
