"""Routes of /api/accounts: the company's numbers. Secrets go in and never come out."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.domain.errors import ProblemError
from services.ingress.account_request import MUTABLE, SECRET_FIELDS, AccountChange, AccountSettings, NewAccount
from services.ingress.answers import REPLAYED, json_response
from services.ingress.auth import Caller
from services.ingress.deps import Deps
from services.ingress.documents import Account, AccountPage, documented
from services.ingress.filters import AccountQuery
from services.ingress.guard import ApiRoute, caller_of, deps_of
from services.ingress.headers import etag, idempotency_key, matches
from services.ingress.lookups import demand_business
from services.ingress.message_request import canonical_sha256
from services.ingress.paging import Listing
from services.ingress.registration import change, directory_transaction, make_known, register
from services.ingress.views import account_view
from services.store import idempotency
from services.store.pools import Connection
from services.store.reads import accounts

router: Final = APIRouter(prefix="/api/accounts", tags=["accounts"], route_class=ApiRoute)
ROUTE: Final = "POST /api/accounts"
_TRIES: Final = 3
_SETTABLE: Final = frozenset({"paused", "active"})


@router.post("", **documented("admin", {201: Account}, 409, 413, 415))
async def create_account(request: Request, body: NewAccount) -> Response:
    """Register a number; 409 when it is registered already, whoever has it."""
    deps, caller = deps_of(request), caller_of(request)
    key, sha256 = idempotency_key(request.headers), canonical_sha256(await request.json())
    if body.company_id not in (None, caller.tenant.company_id):
        raise ProblemError("account_fields", "company_id is not the credential's company.", pointer="/company_id")
    demand_business(caller, body.business_id)
    async with directory_transaction(deps) as connection:
        if key and (before := await _answered_before(connection, caller, key, sha256)):
            return before
        account_id = await register(deps, connection, caller.tenant, body)
        row = await accounts.account_in(connection, caller.tenant.no, account_id)
        answer = account_view(row, caller.tenant.company_id, {})
        if key:
            await idempotency.remember(
                connection, caller.tenant.no, ROUTE, key, body_sha256=sha256, status=201, answer=answer
            )
    await make_known(deps)
    return json_response(answer, 201, {"Location": f"/api/accounts/{account_id}", "ETag": etag(row["version"])})


async def _answered_before(connection: Connection, caller: Caller, key: str, sha256: str) -> Response | None:
    """Raises ProblemError idempotency_mismatch or idempotency_key_spent."""
    before = await idempotency.recall(connection, caller.tenant.no, ROUTE, key)
    if before is None:
        return None
    if before.is_spent:
        raise ProblemError("idempotency_key_spent", "The Idempotency-Key was used more than 7 days ago.")
    if before.body_sha256 != sha256:
        raise ProblemError("idempotency_mismatch", "The Idempotency-Key was used with another body.")
    location = {"Location": f"/api/accounts/{before.answer['id']}"}
    return json_response(before.answer, before.status, location | REPLAYED)


@router.get("", **documented("read", {200: AccountPage}))
async def list_accounts(request: Request, query: Annotated[AccountQuery, Query()]) -> Response:
    """List the company's accounts, oldest first."""
    deps, caller = deps_of(request), caller_of(request)
    tenant = caller.tenant
    wanted = accounts.AccountFilter(
        business_ids=None if caller.business_ids is None else sorted(caller.business_ids),
        business_id=query.business_id, account_type=query.account_type, status=query.status, q=query.q,
    )  # fmt: skip
    listing = Listing(deps.cursors, query, "accounts", str(tenant.no), caller.user_id)
    async with deps.reads.directory_session() as connection:
        rows = await accounts.account_list(connection, tenant.no, wanted, after=listing.after, limit=listing.limit)
    said = await _said(deps, caller, [row["id"] for row in rows])
    return listing.answer(
        rows, "created_at", lambda row: account_view(row, tenant.company_id, said.get(row["id"], {}))
    )  # fmt: skip


@router.get("/{account_id}", **documented("read", {200: Account}, 404))
async def read_account(request: Request, account_id: str) -> Response:
    deps, caller = deps_of(request), caller_of(request)
    return await _shown(deps, caller, await _row(deps, caller, account_id))


@router.put("/{account_id}", **documented("admin", {200: Account}, 404, 409, 412, 413, 415))
async def change_account(request: Request, account_id: str, body: AccountChange) -> Response:
    """Change what was given. With `If-Match`, only if nobody changed the account since it was read."""
    deps, caller = deps_of(request), caller_of(request)
    for _ in range(_TRIES):
        row = await _row(deps, caller, account_id)
        if not matches(request.headers, row["version"]):
            break
        view = account_view(
            row, caller.tenant.company_id, (await _said(deps, caller, [account_id])).get(account_id, {})
        )
        changes = _changes(body, view)
        if "business_id" in changes:
            demand_business(caller, changes["business_id"])
        if not changes or await change(deps, caller.tenant, row, changes):
            await make_known(deps)
            return await _shown(deps, caller, await _row(deps, caller, account_id))
    raise ProblemError("version_conflict", "The account changed since it was read: read it again.")


def _changes(body: AccountChange, view: dict[str, Any]) -> dict[str, Any]:
    """Return what is to be written; raise immutable_field for what cannot be, unless it says what is there already."""
    changes = {}
    for name, value in body.given().items():
        stored = value.stored() if isinstance(value, AccountSettings) else value
        if name not in SECRET_FIELDS and stored == view[name]:
            continue
        if name not in MUTABLE or (name == "status" and value not in _SETTABLE):
            raise ProblemError("immutable_field", f"{name} cannot be changed to this.", pointer=f"/{name}")
        changes[name] = value
    return changes


async def _row(deps: Deps, caller: Caller, account_id: str) -> accounts.Row:
    if "\0" in account_id:
        raise ProblemError("not_found", "There is no such account.")
    async with deps.reads.directory_session() as connection:
        row = await accounts.account(connection, caller.tenant.no, account_id)
    if row is None:
        raise ProblemError("not_found", "There is no such account.")
    demand_business(caller, row["business_id"])
    return row


async def _shown(deps: Deps, caller: Caller, row: accounts.Row) -> Response:
    said = await _said(deps, caller, [row["id"]])
    view = account_view(row, caller.tenant.company_id, said.get(row["id"], {}))
    return json_response(view, headers={"ETag": etag(row["version"])})


async def _said(deps: Deps, caller: Caller, account_ids: list[str]) -> dict[str, dict[str, Any]]:
    """What Meta reported of these accounts: it stands in the tenant's cell, beside the events that announced it."""
    async with deps.reads.tenant_session(caller.tenant.no, caller.tenant.cell) as connection:
        return await accounts.states(connection, account_ids)
