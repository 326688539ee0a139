"""What the copies of ingress say of their spools: evidence that may still lie on a disk (architecture §2.4).

Functions of a transaction under the directory's role; never commit.
"""

from datetime import datetime
from typing import Final

from services.store.pools import Connection

_REPORT: Final = """
INSERT INTO recado_directory.spools (copy, reported_at, oldest_at) VALUES (%s, %s, %s)
ON CONFLICT (copy) DO UPDATE SET reported_at = excluded.reported_at, oldest_at = excluded.oldest_at"""
_WITHDRAW: Final = "DELETE FROM recado_directory.spools WHERE copy = %s"
_HOLDING: Final = """
SELECT copy FROM recado_directory.spools WHERE reported_at < %s OR oldest_at <= %s ORDER BY copy"""


async def report(connection: Connection, copy: str, reported_at: datetime, oldest_at: datetime | None) -> None:
    """Say what a copy held at `reported_at`; `oldest_at` None: nothing."""
    await connection.execute(_REPORT.encode(), (copy, reported_at, oldest_at))


async def withdraw(connection: Connection, copy: str) -> None:
    """A copy ended with an empty spool, or its spool was emptied for it."""
    await connection.execute(_WITHDRAW.encode(), (copy,))


async def holding(connection: Connection, before: datetime, said_after: datetime) -> list[str]:
    """Name the copies that may hold something of `before`: they say so, or have said nothing since `said_after`."""
    cursor = await connection.execute(_HOLDING.encode(), (said_after, before))
    return [copy for (copy,) in await cursor.fetchall()]
