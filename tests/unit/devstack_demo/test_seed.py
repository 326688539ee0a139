"""Seed files: what they may say, and the tenants that a local stack begins with."""

import hashlib

import msgspec
import pytest

from services.devstack import seed as seeds
from services.devstack.stack import StackError
from services.domain.ids import is_typed_id
from services.domain.tenants import HOUSE_APP

ADDRESS = "http://127.0.0.1:8091"


def test_a_stack_begins_with_three_tenants_of_two_numbers_and_the_third_has_its_own_app(tmp_path):
    local = seeds.local_seed(tmp_path / "seed.json", ADDRESS)
    assert [len(tenant.accounts) for tenant in local.tenants] == [2, 2, 2]
    assert [local.app_of(tenant) is not None for tenant in local.tenants] == [False, False, True]
    own = local.app_of(local.tenants[2])
    assert own is not None
    assert [{account.app_id for account in tenant.accounts} for tenant in local.tenants] == [
        {HOUSE_APP}, {HOUSE_APP}, {own.app_id},
    ]  # fmt: skip
    assert all(is_typed_id(account.account_id, "acc") for tenant in local.tenants for account in tenant.accounts)


def test_it_is_drawn_once_and_only_its_owner_may_read_it(tmp_path):
    path = tmp_path / "seed.json"
    first = seeds.local_seed(path, ADDRESS)
    assert seeds.local_seed(path, ADDRESS) == first
    assert path.stat().st_mode & 0o077 == 0


def test_its_endpoints_follow_the_orchestrators_address(tmp_path):
    path = tmp_path / "seed.json"
    seeds.local_seed(path, ADDRESS)
    moved = seeds.local_seed(path, "http://127.0.0.1:9091")
    assert {end.url for tenant in moved.tenants for end in tenant.endpoints} == {
        f"http://127.0.0.1:9091/events/{company}" for company in seeds.COMPANIES
    }


def test_two_stacks_share_no_secret(tmp_path):
    one, two = (seeds.local_seed(tmp_path / name, ADDRESS) for name in ("one.json", "two.json"))
    secrets = [
        {secret for app in local.apps for secret in app.secrets}
        | {token.token for tenant in local.tenants for token in tenant.tokens}
        | {end.secret for tenant in local.tenants for end in tenant.endpoints}
        for local in (one, two)
    ]
    assert not secrets[0] & secrets[1]


WRONG = [
    pytest.param('{"tenants": [{"company_id": ""}]}', "company_id", id="an empty company"),
    pytest.param('{"tenants": [{"company_id": "c", "tokens": [{"token": "t", "role": "king"}]}]}', "role", id="a role"),
    pytest.param('{"tenants": [{"company_id": "c", "endponts": []}]}', "endponts", id="a misspelt field"),
    pytest.param('{"apps": [{"app_id": "a", "secrets": [], "verify_token": "v"}]}', "secrets", id="no secret"),
    pytest.param("{", "truncated", id="no JSON"),
]


@pytest.mark.parametrize(("text", "named"), WRONG)
def test_a_file_that_does_not_fit_is_refused_with_its_place_and_the_format(tmp_path, text, named):
    path = tmp_path / "seed.json"
    path.write_text(text)
    with pytest.raises(StackError, match=named) as refused:
        seeds.read(path)
    assert "FILE is JSON" in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StackError, match=r"nowhere\.json"):
        seeds.read(tmp_path / "nowhere.json")


def test_the_policy_file_holds_hashes_and_keeps_what_was_there(tmp_path):
    path = tmp_path / "policy.json"
    tenant = seeds.Tenant(company_id="company_1", tokens=[seeds.Token(token="open sesame", role="agent")])
    other = seeds.Tenant(company_id="company_2", tokens=[seeds.Token(token="friend", role="reader")])
    seeds.allow(path, seeds.Seed(tenants=[tenant]))
    seeds.allow(path, seeds.Seed(tenants=[other]))
    seeds.allow(path, seeds.Seed(tenants=[tenant]))
    kept = msgspec.json.decode(path.read_bytes(), type=seeds.Policy).tokens
    assert {(token.company_id, token.role) for token in kept} == {("company_1", "agent"), ("company_2", "reader")}
    assert kept[0].sha256 == hashlib.sha256(b"open sesame").hexdigest()
    assert b"sesame" not in path.read_bytes()
