"""Memcached, which may be down, flushed or lying: questions cost at most 20 ms and answers must prove themselves.

A value carries an HMAC over key, value and write time; one that fails is a miss. Never the truth: whoever asks has
another way to the answer. Not here: what is worth keeping.
"""

import asyncio
import hashlib
import hmac
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

from pymemcache.client.base import PooledClient
from pymemcache.exceptions import MemcacheError

from services.runtime import clock

BUDGET_SECONDS: Final = 0.02
BREAK_AFTER: Final = 3  # failures in a row
BREAK_SECONDS: Final = 5.0
_THREADS: Final = 4
_MAC_BYTES: Final = 32
_TIME_BYTES: Final = 8
_FUTURE_SECONDS: Final = 60  # clocks of two copies may differ by this much
_VALUE_BYTES: Final = 512 * 1024  # memcached refuses 1 MiB

T = TypeVar("T")


class Server(Protocol):
    """The part of a memcached client that is used; it may block and may raise."""

    def get(self, key: str) -> bytes | None: ...

    def set(self, key: str, value: bytes, expire: int = 0, noreply: bool | None = None) -> object: ...  # noqa: FBT001 - pymemcache's


def servers(addresses: str) -> list[Server]:
    """Make a client for each of `host:port,…`; none for an empty text."""
    return [
        PooledClient(
            address.strip(), connect_timeout=BUDGET_SECONDS, timeout=BUDGET_SECONDS, no_delay=True,
            max_pool_size=_THREADS, key_prefix=b"recado:",
        )
        for address in addresses.split(",") if address.strip()
    ]  # fmt: skip


class Cache:
    """Ask with `get`, keep with `put`. Neither raises, and neither takes longer than the budget."""

    def __init__(self, servers: list[Server], secret: bytes) -> None:
        self._servers = servers
        self._key = hmac.new(secret, b"cache", hashlib.sha256).digest()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="cache")
        self._failures = 0
        self._closed_until = 0.0

    @property
    def available(self) -> bool:
        return bool(self._servers) and clock.monotonic() >= self._closed_until

    async def get(self, key: str, max_age_seconds: int) -> bytes | None:
        """Return what was kept under the key not longer ago than that, or None."""
        server = self._server(key)
        if server is None:
            return None
        kept = await self._within_budget(lambda: server.get(_name(key)))
        return self._proven(key, kept, max_age_seconds) if isinstance(kept, bytes) else None

    async def put(self, key: str, value: bytes, life_seconds: int) -> None:
        server = self._server(key)
        if server is None or len(value) > _VALUE_BYTES:
            return
        written = int(clock.now().timestamp()).to_bytes(_TIME_BYTES)
        sealed = self._mac(key, written, value) + written + value
        await self._within_budget(lambda: server.set(_name(key), sealed, expire=life_seconds, noreply=False))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _server(self, key: str) -> Server | None:
        if not self.available:
            return None
        return self._servers[zlib.crc32(key.encode()) % len(self._servers)]

    def _mac(self, key: str, written: bytes, value: bytes) -> bytes:
        name = key.encode()
        return hmac.new(self._key, len(name).to_bytes(4) + name + written + value, hashlib.sha256).digest()

    def _proven(self, key: str, kept: bytes, max_age_seconds: int) -> bytes | None:
        mac, written, value = kept[:_MAC_BYTES], kept[_MAC_BYTES:][:_TIME_BYTES], kept[_MAC_BYTES + _TIME_BYTES :]
        if len(written) != _TIME_BYTES or not hmac.compare_digest(mac, self._mac(key, written, value)):
            return None
        age = int(clock.now().timestamp()) - int.from_bytes(written)
        return value if -_FUTURE_SECONDS <= age <= max_age_seconds else None

    async def _within_budget(self, ask: Callable[[], T]) -> T | None:
        call = asyncio.get_running_loop().run_in_executor(self._threads, ask)
        await asyncio.wait({call}, timeout=BUDGET_SECONDS)
        if call.done():
            try:
                answer = call.result()
            except (OSError, MemcacheError):
                self._count_failure()
                return None
            self._failures = 0
            return answer
        call.cancel()  # the thread ends by its socket's own timeout
        self._count_failure()
        return None

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures >= BREAK_AFTER:
            self._closed_until = clock.monotonic() + BREAK_SECONDS


def _name(key: str) -> str:
    """Any text is a key here; memcached's have 250 plain bytes."""
    return hashlib.sha256(key.encode()).hexdigest()
