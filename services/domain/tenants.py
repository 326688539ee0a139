"""Who is who: tenants, accounts, apps and endpoints as the rooms know them. Plain values; secrets opened. Pure.

Not here: how they are stored (store/directory.py), what the API shows of them (store/reads/accounts.py).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

import msgspec

HOUSE_APP: Final = "house"
"""The Meta app that tenants without one of their own share; it posts to /webhook."""


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    no: int
    company_id: str
    cell: str


class Account(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    no: int
    tenant: int
    company_id: str
    business_id: str
    phone_number: str
    phone_number_id: str | None
    waba_id: str | None
    app_id: str
    account_type: str
    status: str
    api_key: str
    registered_at: datetime
    outcome_policy: str | None = None


class App(msgspec.Struct, frozen=True, kw_only=True):
    """`secrets`: newest first; two of them while one is being replaced."""

    id: str
    tenant: int | None
    secrets: tuple[bytes, ...]
    verify_token: str


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    tenant: int
    url: str
    secrets: tuple[bytes, ...]
    timeout_seconds: float
    max_in_flight: int
    schedule_seconds: tuple[int, ...]
    status: str


Quarantine = Literal["unknown_number", "wrong_app", "before_registration"]


class Phonebook:
    """Every account, app and endpoint, indexed by what traffic carries. Replaced piece by piece by `learn_*`."""

    def __init__(self) -> None:
        self.tenants: dict[int, Tenant] = {}
        self.accounts: dict[str, Account] = {}
        self.apps: dict[str, App] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self._by_no: dict[int, Account] = {}
        self._by_number: dict[str, Account] = {}
        self._by_waba: dict[str, dict[str, Account]] = {}

    def learn_account(self, account: Account, *, deleted: bool) -> None:
        self._forget(self.accounts.get(account.id))
        if deleted:
            self.accounts.pop(account.id, None)
            return
        self.accounts[account.id] = account
        self._by_no[account.no] = account
        if account.phone_number_id:
            self._by_number[account.phone_number_id] = account
        if account.waba_id:
            self._by_waba.setdefault(account.waba_id, {})[account.id] = account

    def _forget(self, account: Account | None) -> None:
        if account is None:
            return
        self._by_no.pop(account.no, None)
        if self._by_number.get(account.phone_number_id or "") is account:
            del self._by_number[account.phone_number_id or ""]
        self._by_waba.get(account.waba_id or "", {}).pop(account.id, None)

    def by_no(self, no: int) -> Account | None:
        return self._by_no.get(no)

    def by_number(self, phone_number_id: str) -> Account | None:
        return self._by_number.get(phone_number_id)

    def of_waba(self, waba_id: str) -> tuple[Account, ...]:
        return tuple(sorted(self._by_waba.get(waba_id, {}).values(), key=lambda account: account.no))

    def of_company(self, company_id: str) -> Tenant | None:
        return next((tenant for tenant in self.tenants.values() if tenant.company_id == company_id), None)

    def endpoints_of(self, tenant: int) -> tuple[Endpoint, ...]:
        return tuple(endpoint for endpoint in self.endpoints.values() if endpoint.tenant == tenant)


def owners_of(book: Phonebook, phone_number_id: str, waba_id: str, display_phone: str | None) -> tuple[Account, ...]:
    """Return the accounts that an update concerns: its number's, else its WABA's (the one it names, or all)."""
    if phone_number_id:
        account = book.by_number(phone_number_id)
        return (account,) if account else ()
    accounts = book.of_waba(waba_id)
    named = tuple(
        account for account in accounts if display_phone and _digits(account.phone_number) == _digits(display_phone)
    )
    return named or accounts


def quarantine(accounts: Iterable[Account], app: str, at: datetime | None) -> Quarantine | None:
    """Say why an update must not be taken (architecture §2.6), or None.

    `at` is the moment that the update itself names; a number that changed hands brings no old messages.
    """
    owners = tuple(accounts)
    if not owners:
        return "unknown_number"
    if any(account.app_id != app for account in owners):
        return "wrong_app"
    if at is not None and any(at < account.registered_at.replace(microsecond=0) for account in owners):
        return "before_registration"
    return None


def _digits(phone: str) -> str:
    return "".join(letter for letter in phone if letter.isdigit())
