"""Writes of the directory: accounts, Meta apps, endpoints. Functions of a transaction under the directory's role; never
commit. Used by the API and by set-up alike."""

from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from services.domain.errors import ProblemError
from services.runtime import crypto
from services.store.directory import api_key_place, app_place, endpoint_place
from services.store.pools import Connection


async def put_app(connection: Connection, kek: bytes, *, app_id: str, tenant: int | None, secrets: list[bytes],
                  verify_token: str) -> None:  # fmt: skip
    """Register a Meta app or replace its secrets (newest first). Another tenant's app is refused."""
    sealed = [crypto.seal(kek, secret, app_place(app_id)) for secret in secrets]
    cursor = await connection.execute(
        """INSERT INTO recado_directory.meta_apps AS m (id, tenant_no, secrets, verify_token) VALUES (%s, %s, %s, %s)
        ON CONFLICT (id) DO UPDATE SET secrets = excluded.secrets, verify_token = excluded.verify_token,
            changed_at = clock_timestamp() WHERE m.tenant_no IS NOT DISTINCT FROM excluded.tenant_no""",
        (app_id, tenant, sealed, verify_token),
    )
    if cursor.rowcount == 0:
        raise ProblemError("account_fields", "The app is registered by somebody else.", pointer="/app_id")


async def app_secrets(connection: Connection, kek: bytes, app_id: str, tenant: int) -> list[bytes]:
    """Return the secrets of a tenant's own app, newest first; none when it has no such app."""
    cursor = await connection.execute(
        "SELECT secrets FROM recado_directory.meta_apps WHERE id = %s AND tenant_no = %s", (app_id, tenant)
    )
    row = await cursor.fetchone()
    return [crypto.unseal(kek, sealed, app_place(app_id)) for sealed in row[0]] if row else []


async def insert_account(connection: Connection, data_key: bytes, *, account_id: str, tenant: int,
                         fields: dict[str, Any]) -> int:  # fmt: skip
    """Insert an account; return its number. `fields`: the columns but id, with `api_key` in clear.

    Raises ProblemError phone_number_taken (no hint whose) and waba_mismatch.
    """
    await _refuse_foreign_waba(connection, fields.get("waba_id"), tenant)
    token = fields.get("api_key") or ""
    sealed = crypto.seal(data_key, token.encode(), api_key_place(tenant, account_id)) if token else None
    try:
        cursor = await connection.execute(
            """INSERT INTO recado_directory.accounts (id, tenant_no, business_id, phone_number, phone_number_id,
                waba_id, app_id, account_type, name, status, settings, api_key, api_key_last4, webhook_secret_set,
                registered_at, changed_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp(), clock_timestamp())
            RETURNING no""",
            (account_id, tenant, fields["business_id"], fields["phone_number"], fields.get("phone_number_id"),
             fields.get("waba_id"), fields["app_id"], fields["account_type"], fields.get("name"), fields["status"],
             Jsonb(fields.get("settings") or {}), sealed, token[-4:] or None, bool(fields.get("webhook_secret_set"))),
        )  # fmt: skip
    except psycopg.errors.UniqueViolation as error:
        raise ProblemError(
            "phone_number_taken", "This number is registered already.", pointer="/phone_number"
        ) from error
    row = await cursor.fetchone()
    await connection.execute(
        "INSERT INTO recado_directory.redrive_requests (tenant_no, account_id, phone_number_id) VALUES (%s, %s, %s)",
        (tenant, account_id, fields.get("phone_number_id")),
    )
    return int(row[0]) if row else 0


async def update_account(connection: Connection, data_key: bytes, *, account_id: str, tenant: int, version: int,
                         changes: dict[str, Any]) -> bool:  # fmt: skip
    """Write the mutable columns; False when the row is no longer at `version`."""
    token = changes.get("api_key")
    sealed = crypto.seal(data_key, token.encode(), api_key_place(tenant, account_id)) if token else None
    cursor = await connection.execute(
        """UPDATE recado_directory.accounts SET business_id = coalesce(%(business_id)s, business_id),
            name = CASE WHEN %(name_given)s THEN %(name)s ELSE name END, status = coalesce(%(status)s, status),
            settings = coalesce(%(settings)s, settings), api_key = coalesce(%(sealed)s, api_key),
            api_key_last4 = coalesce(%(last4)s, api_key_last4),
            webhook_secret_set = webhook_secret_set OR %(secret_set)s,
            version = version + 1, updated_at = now(), changed_at = clock_timestamp()
        WHERE id = %(id)s AND tenant_no = %(tenant)s AND version = %(version)s AND deleted_at IS NULL""",
        {"business_id": changes.get("business_id"), "name_given": "name" in changes, "name": changes.get("name"),
         "status": changes.get("status"), "sealed": sealed, "last4": token[-4:] if token else None,
         "settings": Jsonb(changes["settings"]) if "settings" in changes else None,
         "secret_set": bool(changes.get("webhook_secret")), "id": account_id, "tenant": tenant, "version": version},
    )  # fmt: skip
    return cursor.rowcount == 1


async def put_endpoint(connection: Connection, data_key: bytes, *, endpoint_id: str, tenant: int, url: str,
                       secrets: list[bytes], timeout_seconds: float = 10.0, max_in_flight: int = 50,
                       schedule_seconds: list[int] | None = None) -> None:  # fmt: skip
    """Register where a tenant's events are pushed; signing secrets in clear, newest first."""
    sealed = [crypto.seal(data_key, secret, endpoint_place(tenant, endpoint_id)) for secret in secrets]
    await connection.execute(
        """INSERT INTO recado_directory.endpoints (id, tenant_no, url, secrets, timeout_seconds, max_in_flight,
            schedule_seconds) VALUES (%s, %s, %s, %s, %s, %s, coalesce(%s, '{5,30,300,1800,7200,28800}'::integer[]))
        ON CONFLICT (id) DO UPDATE SET url = excluded.url, secrets = excluded.secrets,
            timeout_seconds = excluded.timeout_seconds, max_in_flight = excluded.max_in_flight,
            schedule_seconds = excluded.schedule_seconds, changed_at = clock_timestamp()""",
        (endpoint_id, tenant, url, sealed, timeout_seconds, max_in_flight, schedule_seconds),
    )


async def _refuse_foreign_waba(connection: Connection, waba_id: str | None, tenant: int) -> None:
    """A WABA belongs to one tenant: its management updates name no number."""
    if waba_id is None:
        return
    cursor = await connection.execute(
        "SELECT 1 FROM recado_directory.accounts WHERE waba_id = %s AND tenant_no <> %s AND deleted_at IS NULL LIMIT 1",
        (waba_id, tenant),
    )
    if await cursor.fetchone():
        raise ProblemError("waba_mismatch", "The WABA is registered by somebody else.", pointer="/waba_id")
