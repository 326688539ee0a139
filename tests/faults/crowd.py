"""Many more tenants on a stage: each with one number of the house app and an endpoint of its own. Not here: traffic."""

import asyncio
import secrets
from dataclasses import dataclass
from typing import Final

from services.devstack import prepare
from services.devstack.demo_bodies import Json, Line
from services.devstack.demo_traffic import lines_of
from services.devstack.demo_world import World
from services.devstack.seed import Account, Endpoint, Seed, Tenant, Token, new_whsec
from services.domain.ids import derived_id
from services.runtime import http
from tests.faults.control import ask
from tests.faults.stage import PUSH_SCHEDULE_SECONDS, Stage

TENANTS: Final = 40
PUSH_TIMEOUT_SECONDS: Final = 20.0  # above the 15 s that an endpoint may hang, so that it hangs that long
_CONTROL_SECONDS: Final = 30.0
_KNOWN_SECONDS: Final = 2.0  # rooms read the directory every second; and Meta's times have whole seconds


@dataclass(frozen=True)
class Crowd:
    """`demo` is shaped as demo.json and lists these tenants alone."""

    stage: Stage
    seed: Seed
    demo: Json

    @property
    def lines(self) -> list[Line]:
        return lines_of(self.demo)

    def endpoint_of(self, company_id: str) -> str:
        return next(t.endpoints[0].endpoint_id for t in self.seed.tenants if t.company_id == company_id)


def gather(stage: Stage, number: int = TENANTS) -> Crowd:
    """Make the tenants and tell the simulators of them. Blocks: it migrates a schema for each."""
    seed = Seed(tenants=[_tenant(stage, place) for place in range(number)])
    prepare.plant(stage.stack, seed)
    tenants = [
        {"company_id": tenant.company_id, "agent_token": tenant.token_of("agent"), "app": None,
         "orchestrator_secret": tenant.endpoints[0].secret,
         "accounts": [{"account_id": account.account_id, "phone_number": account.phone_number,
                       "phone_number_id": account.phone_number_id, "waba_id": account.waba_id}
                      for account in tenant.accounts]}
        for tenant in seed.tenants
    ]  # fmt: skip
    crowd = Crowd(stage, seed, stage.demo | {"tenants": tenants})
    asyncio.run(_make_known(crowd))
    return crowd


async def _make_known(crowd: Crowd) -> None:
    async with http.session(timeout_seconds=_CONTROL_SECONDS, limit=1) as session:
        await World(crowd.demo, session, crowd.stage.topics).register()
    for tenant in crowd.seed.tenants:
        endpoint = {"path": path_of(tenant.company_id), "secret": tenant.endpoints[0].secret}
        await ask(crowd.stage.demo["orchestrator"], "POST", "endpoints", endpoint)
    await asyncio.sleep(_KNOWN_SECONDS)


def path_of(company_id: str) -> str:
    """Where this tenant's events arrive at the orchestrator."""
    return f"/events/{company_id}/"


def _tenant(stage: Stage, place: int) -> Tenant:
    company = f"company_{place:03d}"
    phone = f"+59327{place:06d}"
    account = Account(
        account_id=derived_id("acc", phone), business_id=f"business_{place:03d}", phone_number=phone,
        phone_number_id=f"10697{place:010d}", waba_id=f"10257{place:010d}", api_key=f"EAA{secrets.token_urlsafe(24)}",
    )  # fmt: skip
    endpoint = Endpoint(
        endpoint_id=derived_id("end", company), url=stage.demo["orchestrator"] + path_of(company), secret=new_whsec(),
        timeout_seconds=PUSH_TIMEOUT_SECONDS, schedule_seconds=PUSH_SCHEDULE_SECONDS,
    )  # fmt: skip
    token = Token(token=f"rcd_{secrets.token_urlsafe(24)}", role="agent", user_id="agent_1")
    return Tenant(company_id=company, accounts=[account], endpoints=[endpoint], tokens=[token])
