"""The directory as rooms hold it: a Phonebook in the process, refreshed every second by `changed_at` with overlap.

PostgreSQL is read before a number is called unknown (`refresh`). While it is away the last knowledge serves.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from psycopg.rows import dict_row

from services.domain.errors import WorkError
from services.domain.tenants import Account, App, Endpoint, Phonebook, Tenant
from services.runtime import clock, crypto, logs
from services.store.pools import Connection, Pools, transaction

_EVERY_SECONDS: Final = 1.0
_STALE_SECONDS: Final = 5.0
ROLE: Final = "recado_directory"

_TENANTS: Final = """
SELECT no, company_id, cell, data_key, changed_at FROM recado_directory.tenants
WHERE status = 'active' AND changed_at >= %s - interval '5 seconds'"""
_APPS: Final = """
SELECT id, tenant_no, secrets, verify_token, changed_at FROM recado_directory.meta_apps
WHERE changed_at >= %s - interval '5 seconds'"""
_ACCOUNTS: Final = """
SELECT id, no, tenant_no, business_id, phone_number, phone_number_id, waba_id, app_id, account_type, status, api_key,
    registered_at, settings ->> 'outcome_policy' AS outcome_policy, changed_at, deleted_at IS NOT NULL AS deleted
FROM recado_directory.accounts
WHERE changed_at >= %s - interval '5 seconds'"""
_ENDPOINTS: Final = """
SELECT id, tenant_no, url, secrets, timeout_seconds, max_in_flight, schedule_seconds, status, changed_at
FROM recado_directory.endpoints WHERE changed_at >= %s - interval '5 seconds'"""

_BEGINNING: Final = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


def api_key_place(tenant: int, account_id: str) -> str:
    return f"{tenant}|accounts|api_key|{account_id}"


def app_place(app_id: str) -> str:
    return f"|meta_apps|secrets|{app_id}"


def endpoint_place(tenant: int, endpoint_id: str) -> str:
    return f"{tenant}|endpoints|secrets|{endpoint_id}"


def data_key_place(company_id: str) -> str:
    return f"{company_id}|tenants|data_key|"


class Directory:
    """`book` is what is known now. One per process; without a key (`kek` None) it knows no secrets."""

    def __init__(self, pools: Pools, kek: bytes | None) -> None:
        self.book = Phonebook()
        self.loaded = asyncio.Event()
        self._pools = pools
        self._kek = kek
        self._keys: dict[int, bytes] = {}
        self._since = _BEGINNING
        self._log = logs.get_logger()
        self._refreshed_at = 0.0
        self._lock = asyncio.Lock()

    async def keep_fresh(self, stop: asyncio.Event) -> None:
        """Refresh until told to stop; an absent database only makes the knowledge older."""
        away = False
        while not stop.is_set():
            try:
                await self.refresh()
                away = False
            except WorkError as error:
                if not away:
                    self._log.warning("directory_not_refreshed", err=str(error))
                away = True
            await _sleep(stop, _EVERY_SECONDS)

    async def refresh(self) -> None:
        """Read what changed. Raises DependencyAwayError while the database is away."""
        async with self._lock, transaction(self._pools.directory, ROLE) as connection:
            newest = self._since
            for query, learn in self._readings():
                for row in await _rows(connection, query, self._since):
                    newest = max(newest, row["changed_at"])
                    learn(row)
            self._since = newest
        self._refreshed_at = clock.monotonic()
        self.loaded.set()

    async def refresh_if_older(self, seconds: float) -> None:
        """Read again unless that was done just now: unknown numbers must not become a query each."""
        if clock.monotonic() - self._refreshed_at > seconds:
            await self.refresh()

    def is_stale(self) -> bool:
        """Whether several refreshes in a row have failed."""
        return clock.monotonic() - self._refreshed_at > _STALE_SECONDS

    def cell_of(self, tenant: int) -> str:
        return self.book.tenants[tenant].cell

    def data_key(self, tenant: int) -> bytes:
        return self._keys[tenant]

    def _readings(self) -> tuple[tuple[str, Callable[[dict[str, Any]], None]], ...]:
        return (
            (_TENANTS, self._learn_tenant), (_APPS, self._learn_app),
            (_ACCOUNTS, self._learn_account), (_ENDPOINTS, self._learn_endpoint),
        )  # fmt: skip

    def _learn_tenant(self, row: dict[str, Any]) -> None:
        if self._kek is not None:
            self._keys[row["no"]] = crypto.unseal(self._kek, row["data_key"], data_key_place(row["company_id"]))
        self.book.tenants[row["no"]] = Tenant(no=row["no"], company_id=row["company_id"], cell=row["cell"])

    def _learn_app(self, row: dict[str, Any]) -> None:
        secrets = _unsealed(self._kek, row["secrets"], app_place(row["id"]))
        self.book.apps[row["id"]] = App(
            id=row["id"], tenant=row["tenant_no"], secrets=secrets, verify_token=row["verify_token"]
        )

    def _learn_account(self, row: dict[str, Any]) -> None:
        tenant, deleted = row["tenant_no"], row.pop("deleted")
        known = self.book.tenants.get(tenant)
        if known is None:
            return
        sealed = [row["api_key"]] if row["api_key"] else []
        token = b"".join(_unsealed(self._keys.get(tenant), sealed, api_key_place(tenant, row["id"]))).decode()
        account = Account(
            id=row["id"], no=row["no"], tenant=tenant, company_id=known.company_id, business_id=row["business_id"],
            phone_number=row["phone_number"], phone_number_id=row["phone_number_id"], waba_id=row["waba_id"],
            app_id=row["app_id"], account_type=row["account_type"], status=row["status"], api_key=token,
            registered_at=row["registered_at"], outcome_policy=row["outcome_policy"],
        )  # fmt: skip
        self.book.learn_account(account, deleted=deleted)

    def _learn_endpoint(self, row: dict[str, Any]) -> None:
        tenant = row["tenant_no"]
        if tenant not in self.book.tenants:
            return
        self.book.endpoints[row["id"]] = Endpoint(
            id=row["id"], tenant=tenant, url=row["url"],
            secrets=_unsealed(self._keys.get(tenant), row["secrets"], endpoint_place(tenant, row["id"])),
            timeout_seconds=row["timeout_seconds"], max_in_flight=row["max_in_flight"],
            schedule_seconds=tuple(row["schedule_seconds"]), status=row["status"],
        )  # fmt: skip


def _unsealed(key: bytes | None, sealed: Sequence[bytes], place: str) -> tuple[bytes, ...]:
    """Open them; none without a key."""
    return () if key is None else tuple(crypto.unseal(key, each, place) for each in sealed)


async def _rows(connection: Connection, query: str, since: datetime) -> list[dict[str, Any]]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query.encode(), (since,))
        return await cursor.fetchall()


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
