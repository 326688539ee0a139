"""What stands in PostgreSQL, as one snapshot of all tenants. Read only.

The rooms' login takes the role recado_ledger for shared tables and a tenant's role for its schema; the operator's login
may read everything as it is. Not here: what the rows are compared with.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from services.domain.errors import DependencyAwayError
from services.domain.tenants import Account, Phonebook, Tenant
from services.store.directory import ROLE as DIRECTORY_ROLE
from services.store.names import role_of, schema_of

LEDGER_ROLE: Final = "recado_ledger"
_CONNECT_SECONDS: Final = 10

Connection = psycopg.AsyncConnection[TupleRow]
Rows = list[tuple[Any, ...]]

_TENANTS: Final = "SELECT no, company_id, cell FROM recado_directory.tenants WHERE status = 'active'"
_ACCOUNTS: Final = """
SELECT id, no, tenant_no, business_id, phone_number, phone_number_id, waba_id, app_id, account_type, status,
    registered_at FROM recado_directory.accounts WHERE deleted_at IS NULL"""
# the notifier owes nothing to a disabled one
_ENDPOINTS: Final = "SELECT id, tenant_no FROM recado_directory.endpoints WHERE status <> 'disabled'"

SHARED: Final[Mapping[str, str]] = {
    "attempts": "SELECT tenant_id, message_id, attempt, outcome FROM recado.send_attempts",
    "deferred": "SELECT tenant_id, reason, topic, base::text, subject, headers FROM recado.deferred",
    "deliveries": "SELECT tenant_id, endpoint_id, event_id::text, outcome FROM recado.deliveries",
    "webhook_events": "SELECT tenant_id, id::text FROM recado.webhook_events",
}
OWN: Final[Mapping[str, str]] = {
    "messages": "SELECT id, account_id, direction, status, attempt, wamid FROM {s}.messages",
    "statuses": "SELECT account_id, wamid, status, participant, status_at FROM {s}.message_statuses",
    "conversations": "SELECT id, last_sequence FROM {s}.conversations",
    "events": """SELECT event_id::text, base::text, event_type, conversation_id, sequence,
        pg_catalog.encode(pg_catalog.sha256(value), 'hex'), message_id FROM {s}.events""",
}


class Snapshot:
    """One transaction: everything that it reads is of the same moment."""

    def __init__(self, connection: Connection, *, takes_roles: bool) -> None:
        self._connection = connection
        self._takes_roles = takes_roles
        self.book = Phonebook()
        self.endpoints: dict[int, list[str]] = {}

    async def read_directory(self) -> None:
        await self._take(DIRECTORY_ROLE)
        for no, company_id, cell in await self._rows(_TENANTS):
            self.book.tenants[no] = Tenant(no=no, company_id=company_id, cell=cell)
        for row in await self._rows(_ACCOUNTS):
            account = _account(row, self.book)
            if account is not None:
                self.book.learn_account(account, deleted=False)
        for endpoint_id, tenant in await self._rows(_ENDPOINTS):
            self.endpoints.setdefault(tenant, []).append(endpoint_id)

    async def shared(self, name: str) -> Rows:
        """Rows of every tenant; the tenant's number comes first."""
        await self._take(LEDGER_ROLE)
        return await self._rows(SHARED[name])

    async def own(self, tenant: int) -> dict[str, Rows] | None:
        """A tenant's own rows; None when its schema is not there or may not be read."""
        schema = sql.Identifier(schema_of(tenant))
        try:
            async with self._connection.transaction():
                await self._take(role_of(tenant))
                return {name: await self._rows(sql.SQL(text).format(s=schema)) for name, text in OWN.items()}
        except (
            psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege,
            psycopg.errors.InvalidParameterValue, psycopg.errors.UndefinedObject,
        ):  # fmt: skip
            return None

    async def _take(self, role: str) -> None:
        if self._takes_roles:
            await self._connection.execute("SELECT set_config('role', %s, true)", (role,))

    async def _rows(self, query: Any) -> Rows:
        cursor = await self._connection.execute(query.encode() if isinstance(query, str) else query)
        return await cursor.fetchall()


@asynccontextmanager
async def snapshot(url: str) -> AsyncIterator[Snapshot]:
    """Raises DependencyAwayError while the database does not answer."""
    try:
        connection = await psycopg.AsyncConnection.connect(url, connect_timeout=_CONNECT_SECONDS, autocommit=True)
    except psycopg.OperationalError as error:
        raise DependencyAwayError(f"database: {type(error).__name__}") from error
    try:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await connection.set_read_only(True)
        async with connection.transaction():
            cursor = await connection.execute("SELECT pg_has_role(current_user, %s, 'MEMBER')", (LEDGER_ROLE,))
            may = await cursor.fetchone()
            found = Snapshot(connection, takes_roles=bool(may and may[0]))
            await found.read_directory()
            yield found
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise DependencyAwayError(f"database: {type(error).__name__}") from error
    finally:
        await connection.close()


def _account(row: tuple[Any, ...], book: Phonebook) -> Account | None:
    (account_id, no, tenant, business_id, phone, number_id, waba_id, app_id, kind, status, registered_at) = row
    owner = book.tenants.get(tenant)
    if owner is None:
        return None
    return Account(
        id=account_id, no=no, tenant=tenant, company_id=owner.company_id, business_id=business_id, phone_number=phone,
        phone_number_id=number_id, waba_id=waba_id, app_id=app_id, account_type=kind, status=status, api_key="",
        registered_at=registered_at,
    )  # fmt: skip
