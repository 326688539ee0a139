"""What has to exist before rooms start: key file, database, roles, schemas, topics, tenants. Repeatable.

Not here: what a seed says (seed.py), starting anything.
"""

import asyncio
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
import psycopg
from psycopg import sql

from services.devstack import seed as seeds
from services.devstack.seed import Seed, Tenant
from services.devstack.stack import Stack, StackError
from services.domain.errors import ProblemError, WorkError
from services.domain.tenants import HOUSE_APP
from services.runtime import crypto
from services.runtime.settings import Settings
from services.store import accounts, provision
from services.store.directory import ROLE, Directory
from services.store.pools import Connection, Pools, transaction
from services.streams.admin import create_topics
from services.streams.topics import Topics

LOCAL_SEED: Final = "seed.json"
ORCHESTRATOR_SECRET: Final = "orchestrator"  # noqa: S105 - the name of a secret, not one
ASK_SECONDS: Final = 10


def prepare(stack: Stack) -> dict[str, Any]:
    """Make everything; return the stack's part of demo.json, and under `room_settings` what rooms are started with."""
    make_database(stack)
    asyncio.run(create_topics(stack.kafka_bootstrap, Topics(stack.settings.topic_prefix, stack.settings.profile)))
    local = seeds.local_seed(stack.secret_path(LOCAL_SEED), stack.orchestrator_url)
    plant(stack, local)
    rooms = {"database_url": login_url(stack), "orchestrator_secret": default_endpoint_secret(stack)}
    return demo_part(stack, local) | {"room_settings": rooms}


def seed(stack: Stack, path: Path) -> None:
    """`python -m services.devstack seed FILE`, on a stack that was up once."""
    plant(stack, seeds.read(path))


def make_database(stack: Stack) -> None:
    """Key file, database, roles, and every schema at its newest version."""
    crypto.create_key_file(stack.settings.key_file)
    _create_database_once(stack.database_url)
    provision.provision_database(
        stack.database_url,
        login_password=stack.secret(provision.LOGIN),
        operator_password=stack.secret(provision.OPERATOR),
    )


def plant(stack: Stack, seed: Seed) -> None:
    """Make what a seed asks for: roles and schemas as owner, rows as the rooms' login, tokens in the policy file."""
    kek = crypto.read_key_file(stack.settings.key_file)
    for tenant in seed.tenants:
        provision.create_tenant(stack.database_url, tenant.company_id, kek)
    try:
        asyncio.run(_plant_rows(seed, Settings(database_url=login_url(stack)), kek))
    except crypto.SealError as problem:
        raise StackError(
            f"seed: the database was made with another key than {stack.settings.key_file}: {problem}"
        ) from None
    except (ProblemError, WorkError) as problem:
        raise StackError(f"seed: {problem}") from None
    seeds.allow(Path(stack.settings.policy_file), seed)


async def _plant_rows(seed: Seed, settings: Settings, kek: bytes) -> None:
    pools = Pools(settings, size=1, directory_size=1)
    await pools.open()
    try:
        directory = Directory(pools, kek)
        await directory.refresh()
        async with transaction(pools.directory, ROLE) as connection:
            for app in seed.apps:
                owner = directory.book.of_company(app.company_id) if app.company_id else None
                if app.company_id and owner is None:
                    raise StackError(f"seed: app {app.app_id} belongs to {app.company_id}, which is no tenant")
                await accounts.put_app(
                    connection, kek, app_id=app.app_id, tenant=owner.no if owner else None,
                    secrets=[secret.encode() for secret in app.secrets], verify_token=app.verify_token,
                )  # fmt: skip
            for tenant in seed.tenants:
                await _plant_tenant(connection, directory, tenant)
    finally:
        await pools.close()


async def _plant_tenant(connection: Connection, directory: Directory, tenant: Tenant) -> None:
    known = directory.book.of_company(tenant.company_id)
    if known is None:
        raise StackError(f"seed: {tenant.company_id} is not active")
    key = directory.data_key(known.no)
    for account in tenant.accounts:
        there = directory.book.accounts.get(account.account_id)
        if there is None:
            fields = {name: getattr(account, name) for name in account.__struct_fields__ if name != "account_id"}
            await accounts.insert_account(
                connection, key, account_id=account.account_id, tenant=known.no, fields=fields
            )  # fmt: skip
        elif there.tenant != known.no:
            raise StackError(f"seed: {account.account_id} is registered by another tenant")
    for endpoint in tenant.endpoints:
        await accounts.put_endpoint(
            connection, key, endpoint_id=endpoint.endpoint_id, tenant=known.no, url=endpoint.url,
            secrets=[endpoint.secret.encode()], timeout_seconds=endpoint.timeout_seconds,
            max_in_flight=endpoint.max_in_flight, schedule_seconds=endpoint.schedule_seconds,
        )  # fmt: skip


def demo_part(stack: Stack, seed: Seed) -> dict[str, Any]:
    """What running.md promises of tenants, secrets and the operator's login."""
    house = next(app for app in seed.apps if app.app_id == HOUSE_APP)
    return {
        "database": operator_url(stack),
        "verify_token": house.verify_token,
        "app_secret": house.secrets[0],
        "tenants": [_shown(seed, tenant) for tenant in seed.tenants],
    }


def _shown(seed: Seed, tenant: Tenant) -> dict[str, Any]:
    own = seed.app_of(tenant)
    return {
        "company_id": tenant.company_id,
        **{f"{role}_token": tenant.token_of(role) for role in seeds.ROLES},
        "orchestrator_secret": tenant.endpoints[0].secret,
        "app": {"id": own.app_id, "secret": own.secrets[0], "verify_token": own.verify_token} if own else None,
        "accounts": [
            {"account_id": account.account_id, "phone_number": account.phone_number,
             "phone_number_id": account.phone_number_id, "waba_id": account.waba_id, "provider": "cloud"}
            for account in tenant.accounts
        ],
    }  # fmt: skip


def register_with_simulators(stack: Stack) -> None:
    """Tell the Graph simulator whose numbers exist and where their webhooks go, and the orchestrator its secrets.

    They forget when they are restarted, so this follows every start of them. What is not a simulator is left alone.
    """
    local = seeds.local_seed(stack.secret_path(LOCAL_SEED), stack.orchestrator_url)
    if not stack.settings.graph_url:
        _post(f"{stack.graph_url}/control/numbers", {"numbers": _graph_numbers(stack.ingress_url, local)})
    if not stack.settings.orchestrator_url:
        paths = [(urlsplit(end.url).path, end.secret) for tenant in local.tenants for end in tenant.endpoints]
        for path, secret in [*paths, ("/", default_endpoint_secret(stack))]:
            _post(f"{stack.orchestrator_url}/control/endpoints", {"path": path, "secret": secret})


def _graph_numbers(ingress_url: str, local: Seed) -> list[dict[str, str]]:
    apps = {app.app_id: app for app in local.apps}
    return [
        {"phone_number_id": account.phone_number_id, "display_phone_number": account.phone_number,
         "waba_id": account.waba_id, "token": account.api_key, "app_secret": apps[account.app_id].secrets[0],
         "webhook_url": webhook_url(ingress_url, account.app_id)}
        for tenant in local.tenants for account in tenant.accounts
    ]  # fmt: skip


def webhook_url(ingress_url: str, app_id: str) -> str:
    return f"{ingress_url}/webhook" if app_id == HOUSE_APP else f"{ingress_url}/webhook/{app_id}"


def _post(url: str, body: dict[str, Any]) -> None:
    answer = httpx.post(url, json=body, timeout=ASK_SECONDS, trust_env=False)
    if answer.is_error:
        raise StackError(f"prepare: {url} answered {answer.status_code}: {answer.text[:300]}")


def default_endpoint_secret(stack: Stack) -> str:
    """Of the endpoint that tenants without one of their own share."""
    path = stack.secret_path(ORCHESTRATOR_SECRET)
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(seeds.new_whsec())
    return stack.settings.orchestrator_secret or path.read_text()


def login_url(stack: Stack) -> str:
    return with_login(stack.database_url, provision.LOGIN, stack.secret(provision.LOGIN))


def operator_url(stack: Stack) -> str:
    return with_login(stack.database_url, provision.OPERATOR, stack.secret(provision.OPERATOR))


def with_login(url: str, user: str, password: str) -> str:
    """The same database for somebody else."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{place}"))


def _create_database_once(owner_url: str) -> None:
    """Only when it is missing: an owner who may not enter the maintenance database needs it made beforehand."""
    name = urlsplit(owner_url).path.strip("/")
    maintenance = urlunsplit(urlsplit(owner_url)._replace(path="/postgres"))
    try:
        with psycopg.connect(owner_url, connect_timeout=ASK_SECONDS):
            return
    except psycopg.OperationalError as problem:
        if f'database "{name}" does not exist' not in str(problem):
            raise StackError(f"prepare: no connection to PostgreSQL as its owner: {problem}") from None
    with psycopg.connect(maintenance, autocommit=True, connect_timeout=ASK_SECONDS) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
