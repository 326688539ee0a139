"""Finding what a request names, for the one who asks: what is foreign does not exist. Not here: SQL (store/reads)."""

from services.domain.errors import ProblemError, WorkError
from services.domain.tenants import Account
from services.ingress.auth import Caller
from services.ingress.deps import Deps
from services.store.reads import conversations
from services.store.reads.engine import unavailable

_REFRESH_SECONDS = 1.0


async def account_named(deps: Deps, caller: Caller, account_id: str, pointer: str) -> Account:
    """Return the caller's account; PostgreSQL is asked before one is called unknown.

    Raises ProblemError not_found (unknown and foreign alike), permission_denied, store_unavailable.
    """
    account = deps.directory.book.accounts.get(account_id)
    if account is None:
        await _look_again(deps)
        account = deps.directory.book.accounts.get(account_id)
    if account is None or account.tenant != caller.tenant.no:
        raise ProblemError("not_found", "There is no such account.", pointer=pointer)
    demand_business(caller, account.business_id)
    return account


async def _look_again(deps: Deps) -> None:
    try:
        await deps.directory.refresh_if_older(_REFRESH_SECONDS)
    except WorkError as error:
        raise unavailable() from error


def demand_business(caller: Caller, business_id: str) -> None:
    if not caller.sees(business_id):
        raise ProblemError("permission_denied", "The credential does not cover this account's business.")


def accounts_seen(deps: Deps, caller: Caller) -> list[str] | None:
    """Return the accounts that a list without `account_id` shows, or None when the caller sees all of them."""
    if caller.business_ids is None:
        return None
    accounts = deps.directory.book.accounts.values()
    return [own.id for own in accounts if own.tenant == caller.tenant.no and caller.sees(own.business_id)]


def is_seen(deps: Deps, caller: Caller, account_id: str) -> bool:
    """Whether the caller may see what belongs to this account of his own tenant."""
    account = deps.directory.book.accounts.get(account_id)
    return caller.business_ids is None or (account is not None and caller.sees(account.business_id))


async def conversation_named(deps: Deps, caller: Caller, conversation_id: str, pointer: str) -> conversations.Row:
    """Return the conversation's row. Raises ProblemError not_found, permission_denied, store_unavailable."""
    async with deps.reads.tenant_session(caller.tenant.no, caller.tenant.cell) as connection:
        row = await conversations.conversation(connection, conversation_id)
    if row is None:
        raise ProblemError("not_found", "There is no such conversation.", pointer=pointer or None)
    if not is_seen(deps, caller, row["account_id"]):
        raise ProblemError("permission_denied", "The credential does not cover this account's business.")
    return row
