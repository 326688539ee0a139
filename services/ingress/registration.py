"""Registering and changing accounts in the directory: one transaction each, the app that signs included. Not here:
HTTP, the SQL itself (store/accounts.py)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.domain.errors import ProblemError, WorkError
from services.domain.ids import typed_id
from services.domain.tenants import HOUSE_APP, Tenant
from services.ingress.account_request import AccountSettings, NewAccount
from services.ingress.deps import Deps
from services.runtime import clock, crypto, logs
from services.store import accounts as store
from services.store.directory import ROLE
from services.store.pools import Connection, transaction
from services.store.reads.engine import unavailable


@asynccontextmanager
async def directory_transaction(deps: Deps) -> AsyncIterator[Connection]:
    """Raises ProblemError store_unavailable while the database is away."""
    try:
        async with transaction(deps.pools.directory, ROLE) as connection:
            yield connection
    except WorkError as error:
        raise unavailable() from error


async def register(deps: Deps, connection: Connection, tenant: Tenant, body: NewAccount) -> str:
    """Insert the account and return its id. Raises ProblemError phone_number_taken, waba_mismatch, account_fields."""
    account_id = typed_id("acc", clock.new_uuid7())
    fields = body.model_dump(exclude={"settings", "verify_token", "webhook_secret", "company_id"})
    fields |= {
        "app_id": await _signing_app(deps, connection, tenant, body, account_id), "status": "active",
        "settings": body.settings.stored() if body.settings else {},
        "webhook_secret_set": body.webhook_secret is not None,
    }  # fmt: skip
    await store.insert_account(
        connection, deps.directory.data_key(tenant.no), account_id=account_id, tenant=tenant.no, fields=fields
    )
    return account_id


async def _signing_app(deps: Deps, connection: Connection, tenant: Tenant, body: NewAccount, account_id: str) -> str:
    """Return whose secret signs this account's webhooks: the tenant's own app, else the house's."""
    if body.webhook_secret is not None:
        app_id = body.app_id or account_id
        await _put_secret(deps, connection, tenant, app_id, body.webhook_secret, body.verify_token)
        return app_id
    wanted = body.app_id or HOUSE_APP
    if wanted != HOUSE_APP:
        if await store.app_secrets(connection, deps.kek, wanted, tenant.no):
            return wanted
        raise ProblemError("account_fields", "This app is not registered: give its webhook_secret.", pointer="/app_id")
    if HOUSE_APP not in deps.directory.book.apps:
        raise ProblemError("account_fields", "There is no shared app here: give webhook_secret.",
                           pointer="/webhook_secret")  # fmt: skip
    return wanted


async def _put_secret(deps: Deps, connection: Connection, tenant: Tenant, app_id: str, secret: str | None,
                      verify_token: str | None) -> None:  # fmt: skip
    """Put the new secret in front of the one before, which stays valid meanwhile."""
    kept = await store.app_secrets(connection, deps.kek, app_id, tenant.no)
    newest = [secret.encode()] if secret else []
    known = deps.directory.book.apps.get(app_id)
    token = verify_token or (known.verify_token if known and known.tenant == tenant.no else crypto.new_key().hex())
    secrets = newest + [old for old in kept if old not in newest]
    await store.put_app(
        connection, deps.kek, app_id=app_id, tenant=tenant.no, secrets=secrets[:2], verify_token=token
    )  # fmt: skip


async def change(deps: Deps, tenant: Tenant, row: dict[str, Any], given: dict[str, Any]) -> bool:
    """Write what was given; False when the account is no longer at the version that `row` has."""
    changes = dict(given)
    if "settings" in changes:
        settings = changes["settings"]
        changes["settings"] = settings.stored() if isinstance(settings, AccountSettings) else {}
    async with directory_transaction(deps) as connection:
        written = await store.update_account(
            connection, deps.directory.data_key(tenant.no), account_id=row["id"], tenant=tenant.no,
            version=row["version"], changes=changes,
        )  # fmt: skip
        if written and (changes.keys() & {"webhook_secret", "verify_token"}):
            if not await store.app_secrets(connection, deps.kek, row["app_id"], tenant.no):
                raise ProblemError("immutable_field", "The shared app signs for this account.",
                                   pointer="/webhook_secret")  # fmt: skip
            await _put_secret(
                deps, connection, tenant, row["app_id"], changes.get("webhook_secret"), changes.get("verify_token")
            )
    return written


async def make_known(deps: Deps) -> None:
    """Have this copy know the change at once; the others learn it within a second."""
    try:
        await deps.directory.refresh()
    except WorkError as error:
        logs.get_logger().warning("directory_not_refreshed", err=type(error).__name__)
