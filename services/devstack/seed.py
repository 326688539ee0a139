"""What a seed file says: tenants, accounts, Meta apps, endpoints, tokens; and the seed that a local stack begins with.

Values only. Not here: databases (prepare.py makes what a seed asks for).
"""

import base64
import hashlib
import secrets
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from services.devstack.stack import StackError
from services.domain.ids import derived_id
from services.domain.tenants import HOUSE_APP

FORMAT: Final = """\
FILE is JSON. Apps and endpoints are brought to what it says; accounts and tokens that are there already stay.

{"apps":    [{"app_id": "house", "secrets": ["newest first"], "verify_token": "…", "company_id": null}],
 "tenants": [{"company_id": "company_1",
   "accounts":  [{"account_id": "acc_…", "business_id": "…", "phone_number": "+593…", "phone_number_id": "digits",
                  "waba_id": "digits", "api_key": "Meta's token", "app_id": "house", "name": null}],
   "endpoints": [{"endpoint_id": "end_…", "url": "http://…", "secret": "whsec_…", "timeout_seconds": 10,
                  "max_in_flight": 50, "schedule_seconds": [5, 30, 300, 1800, 7200, 28800]}],
   "tokens":    [{"token": "in clear; only its hash is kept", "role": "admin | agent | reader", "user_id": "…",
                  "business_ids": null}]}]}

An app without company_id is shared; "house" is the one that posts to /webhook, any other to /webhook/{app_id}.
"""

Digits = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,36}$")]
Secret = Annotated[str, msgspec.Meta(pattern=r"^whsec_[A-Za-z0-9+/]+=*$")]
Role = Literal["admin", "agent", "reader"]
ROLES: Final[tuple[Role, ...]] = ("admin", "agent", "reader")
COMPANIES: Final = ("company_andes", "company_costa", "company_selva")
OWN_APP: Final = "904211873350116"
_NUMBERS_EACH: Final = 2
_KEY_BYTES: Final = 32  # Standard Webhooks: 24 to 64


class App(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    app_id: str
    secrets: Annotated[list[str], msgspec.Meta(min_length=1, max_length=2)]
    verify_token: str
    company_id: str | None = None


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    account_id: str
    business_id: str
    phone_number: Annotated[str, msgspec.Meta(pattern=r"^\+[1-9][0-9]{6,14}$")]
    phone_number_id: Digits
    waba_id: Digits
    api_key: str
    app_id: str = HOUSE_APP
    account_type: Literal["cloud_api"] = "cloud_api"
    status: Literal["active", "paused"] = "active"
    name: str | None = None


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    endpoint_id: str
    url: str
    secret: Secret
    timeout_seconds: float = 10.0
    max_in_flight: int = 50
    schedule_seconds: list[int] | None = None


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    token: str
    role: Role
    user_id: str = ""
    business_ids: list[str] | None = None


class Tenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    company_id: Annotated[str, msgspec.Meta(min_length=1, max_length=36)]
    accounts: list[Account] = []
    endpoints: list[Endpoint] = []
    tokens: list[Token] = []

    def token_of(self, role: Role) -> str:
        return next(token.token for token in self.tokens if token.role == role)


class Seed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    apps: list[App] = []
    tenants: list[Tenant] = []

    def app_of(self, tenant: Tenant) -> App | None:
        """The Meta app of the tenant's own, if it has one."""
        return next((app for app in self.apps if app.company_id == tenant.company_id), None)


def read(path: Path) -> Seed:
    """Raise StackError with the place of what does not fit."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Seed)
    except OSError as problem:
        raise StackError(f"seed: {path} cannot be read ({problem.strerror})") from None
    except msgspec.MsgspecError as problem:
        raise StackError(f"seed: {path}: {problem}\n\n{FORMAT}") from None


def local_seed(path: Path, orchestrator_url: str) -> Seed:
    """The local stack's own tenants: drawn once and kept in `path`; their endpoints follow the simulator's address."""
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(_drawn()), indent=2))
        fresh.rename(path)
    kept = read(path)
    moved = [msgspec.structs.replace(tenant, endpoints=_moved(tenant, orchestrator_url)) for tenant in kept.tenants]
    return msgspec.structs.replace(kept, tenants=moved)


def _moved(tenant: Tenant, orchestrator_url: str) -> list[Endpoint]:
    url = f"{orchestrator_url}/events/{tenant.company_id}"
    return [msgspec.structs.replace(endpoint, url=url) for endpoint in tenant.endpoints]


def _drawn() -> Seed:
    """Three tenants with two numbers each: two on the house app, the third with an app of its own."""
    own = App(
        app_id=OWN_APP, secrets=[secrets.token_hex(16)], verify_token=secrets.token_hex(12), company_id=COMPANIES[-1]
    )
    house = App(app_id=HOUSE_APP, secrets=[secrets.token_hex(16)], verify_token=secrets.token_hex(12))
    return Seed(apps=[house, own], tenants=[_tenant(place, company) for place, company in enumerate(COMPANIES)])


def _tenant(place: int, company: str) -> Tenant:
    app_id = OWN_APP if company == COMPANIES[-1] else HOUSE_APP
    endpoint = Endpoint(endpoint_id=derived_id("end", company), url="http://moved.invalid/", secret=new_whsec())
    return Tenant(
        company_id=company,
        accounts=[_account(place, number, company, app_id) for number in range(_NUMBERS_EACH)],
        endpoints=[endpoint],
        tokens=[Token(token=f"rcd_{secrets.token_urlsafe(24)}", role=role, user_id=f"{role}_1") for role in ROLES],
    )


def _account(place: int, number: int, company: str, app_id: str) -> Account:
    phone = f"+5932{place + 2}00{number + 1:04d}"
    return Account(
        account_id=derived_id("acc", phone),
        business_id=f"business_{company.removeprefix('company_')}",
        phone_number=phone,
        phone_number_id=f"1068{place + 1}7745{number + 1:06d}",
        waba_id=f"1024{place + 1}3398{1:06d}",
        api_key=f"EAA{secrets.token_urlsafe(48)}",
        app_id=app_id,
        name=f"{company.removeprefix('company_').title()} {number + 1}",
    )


def new_whsec() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


class PolicyToken(msgspec.Struct, frozen=True):
    """One row of the policy file: whoever shows a token with this hash acts in this role."""

    sha256: str
    company_id: str
    role: str
    user_id: str
    business_ids: list[str] | None = None


class Policy(msgspec.Struct, frozen=True):
    tokens: list[PolicyToken] = []


def allow(path: Path, seed: Seed) -> None:
    """Add the seed's tokens to the policy file; a rename, so that a reader never sees half of it."""
    known = msgspec.json.decode(path.read_bytes(), type=Policy).tokens if path.exists() else []
    rows = {token.sha256: token for token in known} | {token.sha256: token for token in _hashed(seed)}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".json.new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(Policy(list(rows.values()))), indent=2))
    fresh.rename(path)


def _hashed(seed: Seed) -> list[PolicyToken]:
    return [
        PolicyToken(hashlib.sha256(token.token.encode()).hexdigest(), tenant.company_id, token.role,
                    token.user_id or token.role, token.business_ids)
        for tenant in seed.tenants for token in tenant.tokens
    ]  # fmt: skip
