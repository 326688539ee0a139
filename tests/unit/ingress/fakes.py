"""What stands in for Kafka and the directory in this folder's tests, and the people of their story."""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime

from services.domain.tenants import HOUSE_APP, Account, App, Phonebook, Tenant
from services.streams.codec import Outgoing
from services.streams.producer import Outcome

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUSE_SECRET, OLD_SECRET, OWN_SECRET = b"house-secret-new", b"house-secret-old", b"own-secret"
TOKENS = {
    "admin-of-a": ("company_a", "admin", None),
    "agent-of-a": ("company_a", "agent", None),
    "reader-of-a": ("company_a", "reader", None),
    "other-business": ("company_a", "agent", ["business_9"]),
    "agent-of-b": ("company_b", "agent", None),
    "of-nobody": ("", "admin", None),
    "of-a-stranger": ("company_x", "admin", None),
}


class MemoryProducer:
    """Kafka that keeps what it is given. `outcome` is what happens to the next records."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []
        self.outcome = Outcome.DURABLE
        self.on_record: Callable[[Outgoing], object] = id

    async def produce_each(self, outgoing, deadline_seconds):  # noqa: ARG002 - the real one's signature
        for record in outgoing if self.outcome is not Outcome.NOT_SENT else ():
            self.records.append(record)
            self.on_record(record)
        return [self.outcome for _ in outgoing]


class KnownDirectory:
    """A directory that knows two companies and learns nothing more."""

    def __init__(self) -> None:
        self.book = book()
        self.loaded = asyncio.Event()
        self.loaded.set()
        self.refreshes = 0

    async def refresh(self) -> None:
        self.refreshes += 1

    async def refresh_if_older(self, seconds: float) -> None:
        self.refreshes += seconds > 0

    def data_key(self, tenant: int) -> bytes:
        return bytes([tenant] * 32)


def account(account_id: str, no: int, tenant: int, status: str = "active") -> Account:
    company = {1: "company_a", 2: "company_b"}[tenant]
    return Account(
        id=account_id, no=no, tenant=tenant, company_id=company, business_id="business_1",
        phone_number=f"+59399000000{no}", phone_number_id=f"10{no}", waba_id=f"20{tenant}", app_id=HOUSE_APP,
        account_type="cloud_api", status=status, api_key="token", registered_at=NOW,
    )  # fmt: skip


def book() -> Phonebook:
    known = Phonebook()
    known.tenants = {
        1: Tenant(no=1, company_id="company_a", cell="default"),
        2: Tenant(no=2, company_id="company_b", cell="default"),
    }
    known.apps = {
        HOUSE_APP: App(id=HOUSE_APP, tenant=None, secrets=(HOUSE_SECRET, OLD_SECRET), verify_token="house-token"),
        "app_b": App(id="app_b", tenant=2, secrets=(OWN_SECRET,), verify_token="own-token"),
    }
    for one in (account("acc_a", 1, 1), account("acc_paused", 2, 1, "paused"), account("acc_b", 3, 2)):
        known.learn_account(one, deleted=False)
    return known


def sign(body: bytes, secret: bytes = HOUSE_SECRET) -> str:
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def policy_rows() -> list[dict[str, object]]:
    return [
        {"sha256": hashlib.sha256(token.encode()).hexdigest(), "company_id": company, "role": role,
         "user_id": f"key:{token}", "business_ids": businesses}
        for token, (company, role, businesses) in TOKENS.items()
    ]  # fmt: skip
