"""`devstack seed FILE` on a running stack: what it makes is served at once, and a second time changes nothing."""

import time

import httpx
import msgspec
import pytest

from services.devstack import prepare
from services.devstack import seed as seeds
from services.devstack.stack import StackError
from services.domain.ids import derived_id
from services.runtime import clock
from tests.integration.conftest import Corridor

COMPANY = "company_seeded"
ADMIN = "rcd_seeded-admin-token"


def a_seed(*, waba_id: str = "777000000000001") -> seeds.Seed:
    account = seeds.Account(
        account_id=derived_id("acc", COMPANY), business_id="business_seeded", phone_number="+593955000001",
        phone_number_id="777000000000002", waba_id=waba_id, api_key="EAAseeded", app_id="777000000000003",
    )  # fmt: skip
    endpoint = seeds.Endpoint(
        endpoint_id=derived_id("end", COMPANY), url="http://127.0.0.1:9/", secret=seeds.new_whsec()
    )
    tenant = seeds.Tenant(
        company_id=COMPANY, accounts=[account], endpoints=[endpoint], tokens=[seeds.Token(token=ADMIN, role="admin")]
    )
    app = seeds.App(app_id="777000000000003", secrets=["s3cret"], verify_token="token", company_id=COMPANY)
    return seeds.Seed(apps=[app], tenants=[tenant])


def plant(corridor: Corridor, seed: seeds.Seed, tmp_path) -> None:
    path = tmp_path / "seed.json"
    path.write_bytes(msgspec.json.encode(seed))
    prepare.seed(corridor.stack, path)


def accounts_of(corridor: Corridor) -> list[dict]:
    headers = {"Authorization": f"Bearer {ADMIN}"}
    answer = httpx.get(f"{corridor.demo['ingress']}/api/accounts", headers=headers, timeout=10)
    return answer.json()["data"] if answer.status_code == 200 else []


def wait_for_accounts(corridor: Corridor) -> list[dict]:
    """Rooms read the directory every second."""
    end = clock.monotonic() + 10
    while not (found := accounts_of(corridor)) and clock.monotonic() < end:
        time.sleep(0.1)
    return found


def test_a_seeded_tenant_is_served_and_a_second_time_changes_nothing(corridor, tmp_path):
    plant(corridor, a_seed(), tmp_path)
    first = wait_for_accounts(corridor)
    assert [row["phone_number"] for row in first] == ["+593955000001"]
    plant(corridor, a_seed(), tmp_path)
    assert accounts_of(corridor) == first


def test_a_seed_that_takes_another_tenants_waba_is_refused(corridor, tmp_path):
    theirs = corridor.demo["tenants"][0]["accounts"][0]["waba_id"]
    greedy = a_seed(waba_id=theirs)
    tenant = msgspec.structs.replace(
        greedy.tenants[0], company_id="company_greedy",
        accounts=[msgspec.structs.replace(greedy.tenants[0].accounts[0], account_id=derived_id("acc", "greedy"))],
        endpoints=[],
    )  # fmt: skip
    app = msgspec.structs.replace(greedy.apps[0], app_id="777000000000009", company_id="company_greedy")
    with pytest.raises(StackError, match="WABA is registered by somebody else"):
        plant(corridor, seeds.Seed(apps=[app], tenants=[tenant]), tmp_path)
