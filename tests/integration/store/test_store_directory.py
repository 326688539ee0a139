"""The directory on PostgreSQL: what is registered once, and how rooms learn of it."""

import asyncio

import psycopg
import pytest
import pytest_asyncio

from services.domain.errors import DependencyAwayError, ProblemError
from services.domain.tenants import HOUSE_APP
from services.runtime import crypto
from services.store import accounts, provision
from services.store.directory import ROLE, Directory
from services.store.pools import Pools, transaction
from tests.integration.store.conftest import an_empty_database, with_database
from tests.integration.store.kit import new_base

KEK = bytes(range(32))


@pytest.fixture(scope="module")
def own_database(database):
    """Apart from the other tests' database, because a directory opens the keys of all tenants."""
    with an_empty_database(database) as url:
        provision.provision_database(url, login_password="", operator_password="")
        yield url


@pytest.fixture(scope="module")
def companies(own_database):
    return [provision.create_tenant(own_database, f"company_{new_base().hex[:20]}", KEK) for _ in range(2)]


@pytest_asyncio.fixture
async def pools(own_database, settings_for):
    name = own_database.rsplit("/", 1)[1]
    url = with_database(settings_for("ingress").database_url, name)
    made = Pools(settings_for("ingress", database_url=url), size=2)
    await made.open()
    yield made
    await made.close()


@pytest_asyncio.fixture
async def directory(pools):
    made = Directory(pools, KEK)
    async with transaction(pools.directory, ROLE) as connection:
        await accounts.put_app(connection, KEK, app_id=HOUSE_APP, tenant=None, secrets=[b"house"], verify_token="v")
    await made.refresh()
    return made


def fields(**over):
    number = new_base().int % 10**9
    return {
        "business_id": "b", "phone_number": f"+1{number:010d}", "phone_number_id": str(number), "waba_id": f"w{number}",
        "app_id": HOUSE_APP, "account_type": "cloud_api", "status": "active", "api_key": "EAAtoken", "name": "Shop",
    } | over  # fmt: skip


async def register(pools, directory, tenant, account_id=None, **over):
    account_id = account_id or f"acc_{new_base().hex[:26]}"
    async with transaction(pools.directory, ROLE) as connection:
        await accounts.insert_account(
            connection, directory.data_key(tenant), account_id=account_id, tenant=tenant, fields=fields(**over)
        )
    return account_id


async def update(pools, directory, tenant, account_id, version, **changes):
    async with transaction(pools.directory, ROLE) as connection:
        return await accounts.update_account(
            connection, directory.data_key(tenant), account_id=account_id, tenant=tenant, version=version,
            changes=changes,
        )  # fmt: skip


async def test_what_is_registered_is_known_after_a_refresh_with_its_token_opened(pools, directory, companies):
    account_id = await register(pools, directory, companies[0])
    await directory.refresh()
    account = directory.book.accounts[account_id]
    assert (account.tenant, account.api_key, account.status) == (companies[0], "EAAtoken", "active")
    assert directory.book.by_number(account.phone_number_id) is account
    assert directory.cell_of(account.tenant) == "default"


async def test_a_token_lies_sealed_in_the_database(pools, directory, companies, own_database):
    account_id = await register(pools, directory, companies[0])
    with psycopg.connect(own_database) as connection:
        query = "SELECT api_key, api_key_last4 FROM recado_directory.accounts WHERE id = %s"
        ((sealed, last4),) = connection.execute(query, (account_id,)).fetchall()
    assert b"EAAtoken" not in bytes(sealed)
    assert last4 == "oken"


async def test_a_token_that_was_moved_to_another_account_does_not_open(pools, directory, companies, own_database):
    one, other = [await register(pools, directory, companies[0], api_key=token) for token in ("EAAone", "EAAother")]
    with psycopg.connect(own_database) as connection:
        connection.execute(
            "UPDATE recado_directory.accounts SET changed_at = clock_timestamp(), api_key = "
            "(SELECT api_key FROM recado_directory.accounts WHERE id = %s) WHERE id = %s", (one, other),
        )  # fmt: skip
    with pytest.raises(crypto.SealError, match="moved ciphertext"):
        await directory.refresh()
    assert await update(pools, directory, companies[0], other, 1, api_key="EAAother")
    await directory.refresh()


async def test_a_change_is_learnt_and_a_deleted_account_forgotten(pools, directory, companies, own_database):
    account_id = await register(pools, directory, companies[0])
    assert await update(pools, directory, companies[0], account_id, 1, status="paused", api_key="EAAnew")
    await directory.refresh()
    account = directory.book.accounts[account_id]
    assert (account.status, account.api_key) == ("paused", "EAAnew")
    with psycopg.connect(own_database) as connection:
        connection.execute(
            "UPDATE recado_directory.accounts SET deleted_at = now(), changed_at = clock_timestamp() WHERE id = %s",
            (account_id,),
        )
    await directory.refresh()
    assert account_id not in directory.book.accounts


async def test_a_change_of_another_version_is_refused(pools, directory, companies):
    account_id = await register(pools, directory, companies[0])
    assert await update(pools, directory, companies[0], account_id, 1, name="A")
    assert not await update(pools, directory, companies[0], account_id, 1, name="B")
    assert await update(pools, directory, companies[0], account_id, 2, name="C")


async def test_another_tenant_s_account_cannot_be_changed(pools, directory, companies):
    account_id = await register(pools, directory, companies[0])
    assert not await update(pools, directory, companies[1], account_id, 1, status="disabled")


@pytest.mark.parametrize("same", ["phone_number", "phone_number_id"])
async def test_a_number_is_registered_once_whoever_asks(pools, directory, companies, same):
    taken = fields()
    await register(pools, directory, companies[0], **taken)
    for tenant in companies:
        with pytest.raises(ProblemError) as refused:
            await register(pools, directory, tenant, **{same: taken[same]})
        assert refused.value.problem.code == "phone_number_taken"
        assert "company_" not in refused.value.detail


async def test_a_deleted_account_s_number_can_be_registered_again(pools, directory, companies, own_database):
    taken = fields()
    account_id = await register(pools, directory, companies[0], **taken)
    with psycopg.connect(own_database) as connection:
        connection.execute("UPDATE recado_directory.accounts SET deleted_at = now() WHERE id = %s", (account_id,))
    assert await register(pools, directory, companies[0], **taken) != account_id


async def test_a_waba_belongs_to_one_tenant(pools, directory, companies):
    await register(pools, directory, companies[0], waba_id="W")
    await register(pools, directory, companies[0], waba_id="W")
    with pytest.raises(ProblemError) as refused:
        await register(pools, directory, companies[1], waba_id="W")
    assert refused.value.problem.code == "waba_mismatch"


async def test_an_app_is_replaced_by_its_owner_and_refused_to_others(pools, directory, companies):
    mine, theirs = companies

    async def put(tenant, *secrets):
        async with transaction(pools.directory, ROLE) as connection:
            await accounts.put_app(
                connection, KEK, app_id="123", tenant=tenant, secrets=list(secrets), verify_token="v"
            )

    await put(mine, b"old")
    await put(mine, b"new", b"old")
    await directory.refresh()
    assert directory.book.apps["123"].secrets == (b"new", b"old")
    for tenant in (theirs, None):
        with pytest.raises(ProblemError):
            await put(tenant, b"forged")


async def test_an_endpoint_is_learnt_with_its_secrets_opened(pools, directory, companies):
    async with transaction(pools.directory, ROLE) as connection:
        await accounts.put_endpoint(
            connection, directory.data_key(companies[0]), endpoint_id="end_1", tenant=companies[0],
            url="http://here/", secrets=[b"whsec"], schedule_seconds=[1, 2],
        )  # fmt: skip
    await directory.refresh()
    (endpoint,) = directory.book.endpoints_of(companies[0])
    assert (endpoint.url, endpoint.secrets, endpoint.schedule_seconds) == ("http://here/", (b"whsec",), (1, 2))


async def test_a_number_is_looked_up_again_unless_that_was_done_just_now(pools, directory, companies):
    account_id = await register(pools, directory, companies[0])
    await directory.refresh_if_older(3600)
    assert account_id not in directory.book.accounts
    await directory.refresh_if_older(-1)
    assert account_id in directory.book.accounts


async def test_while_the_database_is_away_the_last_knowledge_serves(pools, directory, companies):
    account_id = await register(pools, directory, companies[0])
    await directory.refresh()
    await pools.close()
    with pytest.raises(DependencyAwayError):
        await directory.refresh()
    assert account_id in directory.book.accounts


async def test_a_directory_keeps_fresh_until_it_is_told_to_stop(pools, companies):
    directory, stop = Directory(pools, KEK), asyncio.Event()
    keeping = asyncio.create_task(directory.keep_fresh(stop))
    await directory.loaded.wait()
    stop.set()
    await keeping
    assert set(directory.book.tenants) >= set(companies)


async def test_a_key_file_of_another_installation_opens_nothing(pools, companies):
    with pytest.raises(crypto.SealError):
        await Directory(pools, crypto.new_key()).refresh()


async def test_a_directory_without_a_key_knows_the_numbers_and_no_secrets(pools, directory, companies):
    keyless = Directory(pools, None)
    await keyless.refresh()
    assert set(keyless.book.tenants) == set(directory.book.tenants)
    assert set(keyless.book.accounts) == set(directory.book.accounts)
    assert not any(app.secrets for app in keyless.book.apps.values())
    assert not any(account.api_key for account in keyless.book.accounts.values())


async def test_two_tenants_made_at_once_are_two(own_database, companies):
    made = await asyncio.gather(
        *(asyncio.to_thread(provision.create_tenant, own_database, f"company_at_once_{n}", KEK) for n in range(2))
    )
    assert len({*made, *companies}) == 4


def test_making_a_tenant_again_keeps_its_number_and_key(own_database, companies):
    name = "company_again"
    first = provision.create_tenant(own_database, name, KEK)
    query = "SELECT data_key FROM recado_directory.tenants WHERE company_id = %s"
    with psycopg.connect(own_database) as connection:
        before = connection.execute(query, (name,)).fetchone()
        assert provision.create_tenant(own_database, name, KEK) == first
        assert connection.execute(query, (name,)).fetchone() == before
