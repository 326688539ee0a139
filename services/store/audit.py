"""What was done by hand, one row a deed, and what it did to dead letters; requests for a redrive.

Functions of a transaction under the directory's role; never commit.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final, Literal, NamedTuple

from psycopg.types.json import Jsonb

from services.store.pools import Connection

Action = Literal["dead_letter_redriven", "dead_letter_discarded", "dead_letter_shown"]
ENDS: Final[dict[str, str]] = {"dead_letter_redriven": "redriven", "dead_letter_discarded": "discarded"}
"""The deeds after which a dead letter no longer waits, and what it is called then."""

_PUT: Final = """
INSERT INTO recado_directory.audit_log (actor, action, subject, tenant_no, detail) VALUES (%s, %s, %s, %s, %s)"""
_ENDED: Final = """
SELECT DISTINCT ON (subject) subject, action FROM recado_directory.audit_log
WHERE subject = ANY(%s) AND action = ANY(%s) ORDER BY subject, id DESC"""
_REQUESTS: Final = "SELECT coalesce(max(id), 0), count(*) FROM recado_directory.redrive_requests"
_SERVED: Final = "DELETE FROM recado_directory.redrive_requests WHERE id <= %s"


class Deed(NamedTuple):
    """`detail` holds no text of messages and no number of a person."""

    actor: str
    action: Action
    subject: str
    tenant: int | None
    detail: dict[str, Any]


class Requests(NamedTuple):
    newest: int
    accounts: int


async def put(connection: Connection, deeds: Sequence[Deed]) -> None:
    rows = [(deed.actor, deed.action, deed.subject, deed.tenant, Jsonb(deed.detail)) for deed in deeds]
    async with connection.cursor() as cursor:
        await cursor.executemany(_PUT.encode(), rows)


async def ended(connection: Connection, letters: Collection[str]) -> dict[str, str]:
    """Return what became of those letters that no longer wait: redriven or discarded."""
    cursor = await connection.execute(_ENDED.encode(), (list(letters), list(ENDS)))
    return {subject: ENDS[action] for subject, action in await cursor.fetchall()}


async def redrive_requests(connection: Connection) -> Requests:
    """How many accounts were registered whose quarantined webhooks nobody has looked for yet."""
    cursor = await connection.execute(_REQUESTS.encode())
    row = await cursor.fetchone()
    return Requests(*row) if row else Requests(0, 0)


async def serve_requests(connection: Connection, newest: int) -> None:
    """Take away the requests up to this one; a later one was made after the dead letters were read."""
    await connection.execute(_SERVED.encode(), (newest,))
