"""Who calls, and what they may: the local policy file behind bearer tokens. Fail closed: no file, no access.

Tokens stand in the file as SHA-256 only. The tenant comes from the credential; `X-Tenant-ID` can only narrow it.
"""

import hashlib
import os
import re
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import msgspec
from starlette.datastructures import Headers

from services.domain.errors import ProblemError
from services.domain.tenants import Phonebook, Tenant
from services.runtime import logs

Role = Literal["admin", "agent", "reader"]
Permission = Literal["admin", "read", "send", "verify"]

PERMISSIONS: Final = MappingProxyType({
    "admin": frozenset({"admin", "read", "send", "verify"}),
    "agent": frozenset({"read", "send"}),
    "reader": frozenset({"read"}),
})  # fmt: skip
_TOKEN_CHARS: Final = 8192
_CREDENTIAL: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] ([A-Za-z0-9._~+/-]+=*)\Z")


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """One token of the policy file; `business_ids` null means all of the company's."""

    sha256: str
    company_id: str
    role: Role
    user_id: str = ""
    business_ids: list[str] | None = None


class PolicyFile(msgspec.Struct, frozen=True):
    tokens: list[Grant]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who is behind a request, as the credential says."""

    tenant: Tenant
    role: Role
    user_id: str
    business_ids: frozenset[str] | None

    def may(self, permission: Permission) -> bool:
        return permission in PERMISSIONS[self.role]

    def sees(self, business_id: str) -> bool:
        return self.business_ids is None or business_id in self.business_ids


class Policy:
    """The policy file as it is now: looked at with every question, read again when it changed."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._seen: tuple[int, int, int] | None = None
        self._grants: dict[str, Grant] = {}
        self._tenants: dict[str, Tenant] = {}
        self._log = logs.get_logger()

    def grant(self, token: str) -> Grant | None:
        self._refresh()
        return self._grants.get(hashlib.sha256(token.encode()).hexdigest())

    def tenant(self, company_id: str, book: Phonebook) -> Tenant | None:
        """Find the company's tenant, once: a company never changes it, and the book has thousands."""
        known = self._tenants.get(company_id) or book.of_company(company_id)
        if known is not None:
            self._tenants[company_id] = known
        return known

    def _refresh(self) -> None:
        try:
            state = os.stat(self._path)  # noqa: PTH116 - Path.stat costs twice as much, and this runs per request
        except OSError:
            self._grants, self._seen = {}, None
            return
        seen = (state.st_mtime_ns, state.st_size, state.st_ino)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            file = msgspec.json.decode(self._path.read_bytes(), type=PolicyFile)
        except (OSError, msgspec.DecodeError) as error:
            # half-written or mistyped: who was let in stays in, and nobody new comes
            self._log.error("policy_not_read", err=type(error).__name__, known=len(self._grants))
            return
        self._grants = {grant.sha256.lower(): grant for grant in file.tokens}


def authenticate(headers: Headers, policy: Policy, book: Phonebook) -> Caller:
    """Say who calls. Raises ProblemError unauthenticated, tenant_missing or tenant_invalid."""
    grant = policy.grant(_token(headers))
    if grant is None:
        raise ProblemError("unauthenticated", "The token is not known.")
    if not grant.company_id:
        raise ProblemError("tenant_missing", "The token belongs to no company.")
    if headers.getlist("x-tenant-id") not in ([], [grant.company_id]):
        raise ProblemError("tenant_invalid", "X-Tenant-ID names another company than the token.")
    tenant = policy.tenant(grant.company_id, book)
    if tenant is None:
        raise ProblemError("tenant_invalid", "The token's company is not registered.")
    businesses = None if grant.business_ids is None else frozenset(grant.business_ids)
    return Caller(tenant=tenant, role=grant.role, user_id=grant.user_id, business_ids=businesses)


def _token(headers: Headers) -> str:
    given = headers.getlist("authorization")
    found = _CREDENTIAL.match(given[0]) if len(given) == 1 and len(given[0]) <= _TOKEN_CHARS else None
    if found is None:
        raise ProblemError("unauthenticated", "Exactly one header `Authorization: Bearer <token>` is needed.")
    return found.group(1)


def demand(caller: Caller, permission: Permission) -> None:
    if not caller.may(permission):
        raise ProblemError("permission_denied", f"The role {caller.role} may not do what needs `{permission}`.")
