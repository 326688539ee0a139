"""What POSTs answered before, by Idempotency-Key, in the directory: a repeated one gets that answer and does nothing.

Functions of a transaction under the directory's role; never commit. Not here: sends, whose message id holds the key.
"""

from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from services.domain.limits import IDEMPOTENCY_LIFE
from services.store.pools import Connection


class Remembered(NamedTuple):
    body_sha256: str
    status: int
    answer: dict[str, Any]
    is_spent: bool


async def recall(connection: Connection, tenant: int, route: str, key: str) -> Remembered | None:
    """Return what the key was answered. A first use that is still running is waited for: its lock ends with it."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{tenant}\x1f{route}\x1f{key}",)
    )
    cursor = await connection.execute(
        """SELECT body_sha256, status, answer, created_at < now() - %s FROM recado_directory.idempotency
        WHERE tenant_no = %s AND route = %s AND key = %s""",
        (IDEMPOTENCY_LIFE, tenant, route, key),
    )
    row = await cursor.fetchone()
    return Remembered(*row) if row else None


async def remember(
    connection: Connection, tenant: int, route: str, key: str, *, body_sha256: str, status: int, answer: dict[str, Any]
) -> None:
    await connection.execute(
        """INSERT INTO recado_directory.idempotency (tenant_no, route, key, body_sha256, status, answer)
        VALUES (%s, %s, %s, %s, %s, %s)""",
        (tenant, route, key, body_sha256, status, Jsonb(answer)),
    )
