"""What the API's routes work with: filled by wiring.py, found in `app.state.deps`. Not here: how it is made."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.domain.ids import MessageIds
from services.domain.tenants import Phonebook
from services.ingress.auth import Policy
from services.ingress.cursors import Cursors
from services.ingress.languages import Languages
from services.ingress.replies import Replies
from services.runtime.cache import Cache
from services.runtime.health import Health
from services.runtime.settings import Settings
from services.store.pools import Pools
from services.store.reads.engine import Reads
from services.streams.codec import Outgoing
from services.streams.producer import Outcome


class Producing(Protocol):
    """What ingress asks of the producer."""

    async def produce_each(self, outgoing: Sequence[Outgoing], deadline_seconds: float) -> list[Outcome]: ...


class Knowing(Protocol):
    """What ingress asks of the directory; `loaded` is set once it was read."""

    book: Phonebook
    loaded: asyncio.Event

    async def refresh(self) -> None: ...

    async def refresh_if_older(self, seconds: float) -> None: ...

    def data_key(self, tenant: int) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class Deps:
    """`kek`: the key that wraps tenants' data keys; accounts' secrets are sealed with those."""

    settings: Settings
    directory: Knowing
    producer: Producing
    replies: Replies
    ids: MessageIds
    policy: Policy
    cursors: Cursors
    languages: Languages
    pools: Pools
    reads: Reads
    cache: Cache
    health: Health
    kek: bytes
