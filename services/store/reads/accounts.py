"""What the API shows of accounts: identity and settings from the directory, what Meta says of them from the cell.
Secrets are never selected, only whether they are there."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg.rows import dict_row
from sqlalchemy import Select, and_, bindparam, or_, select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

from services.store.pools import Connection
from services.store.tables import account_state, accounts

Row = dict[str, Any]
Place = tuple[datetime | None, str]
"""Where a page ended: created_at and id of its last row."""

_SHOWN: Final = select(
    accounts.c.id, accounts.c.business_id, accounts.c.phone_number, accounts.c.phone_number_id, accounts.c.waba_id,
    accounts.c.app_id, accounts.c.account_type, accounts.c.name, accounts.c.status, accounts.c.settings,
    accounts.c.api_key_last4, accounts.c.webhook_secret_set, accounts.c.version, accounts.c.created_at,
    accounts.c.updated_at,
)  # fmt: skip
_IN_TRANSACTION: Final = str(
    _SHOWN.where(accounts.c.tenant_no == bindparam("tenant"), accounts.c.id == bindparam("account")).compile(
        dialect=PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's dialects have no types
    )
).encode()


class AccountFilter(NamedTuple):
    business_ids: Sequence[str] | None = None
    business_id: str | None = None
    account_type: str | None = None
    status: str | None = None
    q: str | None = None


def _of(tenant: int) -> Select[Any]:
    """Another tenant's accounts do not exist: the directory is shared, so this WHERE is the isolation here."""
    return _SHOWN.where(accounts.c.tenant_no == tenant, accounts.c.deleted_at.is_(None))


async def account(connection: AsyncConnection, tenant: int, account_id: str) -> Row | None:
    found = (await connection.execute(_of(tenant).where(accounts.c.id == account_id))).mappings().first()
    return dict(found) if found else None


async def account_list(
    connection: AsyncConnection, tenant: int, wanted: AccountFilter, *, after: Place | None, limit: int
) -> list[Row]:
    """Return up to `limit` accounts, oldest first."""
    query = _of(tenant)
    for column, value in (
        (accounts.c.business_id, wanted.business_id), (accounts.c.account_type, wanted.account_type),
        (accounts.c.status, wanted.status),
    ):  # fmt: skip
        if value is not None:
            query = query.where(column == value)
    if wanted.business_ids is not None:
        query = query.where(accounts.c.business_id.in_(wanted.business_ids))
    if wanted.q is not None:
        query = query.where(or_(
            accounts.c.name.icontains(wanted.q, autoescape=True),
            accounts.c.phone_number.contains(wanted.q, autoescape=True),
        ))  # fmt: skip
    if after is not None:
        at, name = accounts.c.created_at, accounts.c.id
        query = query.where(or_(at > after[0], and_(at == after[0], name > after[1])))
    page = query.order_by(accounts.c.created_at, accounts.c.id).limit(limit)
    return [dict(row) for row in (await connection.execute(page)).mappings()]


async def account_in(connection: Connection, tenant: int, account_id: str) -> Row:
    """Return the account as its writer sees it, inside his own transaction (plain psycopg)."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_IN_TRANSACTION, {"tenant": tenant, "account": account_id})
        return dict(await cursor.fetchone() or {})


async def states(connection: AsyncConnection, account_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what Meta last said of each account, by field; in a tenant's session."""
    query = select(account_state.c.account_id, account_state.c.field, account_state.c.value).where(
        account_state.c.account_id.in_(account_ids)
    )
    said: dict[str, dict[str, Any]] = {}
    for row in (await connection.execute(query)).mappings():
        said.setdefault(row["account_id"], {})[row["field"]] = row["value"]
    return said
