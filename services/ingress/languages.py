"""The language that an account's templates are sent in when a command names none. Known for a while, because commands
are taken while the database is away."""

from typing import Final

from services.domain.errors import ProblemError
from services.runtime import clock
from services.store.reads import accounts
from services.store.reads.engine import Reads

DEFAULT: Final = "es"  # the plan's own examples name none and are Spanish
_KNOWN_SECONDS: Final = 10.0


class Languages:
    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._known: dict[str, tuple[float, str]] = {}

    async def of(self, tenant: int, account_id: str) -> str:
        """Return the account's default_language; the last known one while the database is away."""
        at, language = self._known.get(account_id, (-_KNOWN_SECONDS, DEFAULT))
        if clock.monotonic() - at < _KNOWN_SECONDS:
            return language
        try:
            async with self._reads.directory_session() as connection:
                row = await accounts.account(connection, tenant, account_id)
        except ProblemError:
            return language
        language = (row["settings"].get("default_language") if row else None) or DEFAULT
        self._known[account_id] = clock.monotonic(), language
        return language
