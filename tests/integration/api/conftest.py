"""A whole ingress inside the test process, on real Kafka, PostgreSQL and Memcached, with a company of its own."""

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator

import pytest

from services.domain.tenants import HOUSE_APP
from services.ingress.wiring import run
from services.runtime import crypto
from services.runtime.clock import random64
from services.runtime.management_http import management_client
from services.runtime.settings import Settings
from services.store import accounts, provision
from services.store.directory import ROLE, Directory
from services.store.pools import Pools, transaction
from services.streams.admin import create_topics
from services.streams.topics import Topics
from tests.integration.api.kit import HOUSE_SECRET, Edge, until


@pytest.fixture(scope="session")
async def edge_settings(settings_for, tmp_path_factory) -> Settings:
    settings: Settings = settings_for(
        "ingress", http_port=_free_port(), metrics_port=0, reply_wait_seconds=2.0,
        topic_prefix=f"api{random64():x}.", policy_file=str(tmp_path_factory.mktemp("api") / "policy.json"),
    )  # fmt: skip
    await create_topics(settings.kafka_bootstrap_servers, Topics(settings.topic_prefix, "local"))
    return settings


@pytest.fixture(scope="session")
async def edge(edge_settings: Settings, database: str) -> AsyncIterator[Edge]:
    settings = edge_settings
    kek = crypto.read_key_file(settings.key_file)
    tenants = {company: provision.create_tenant(database, company, kek) for company in ("api_a", "api_b")}
    await _make_house_app(settings, kek)
    _write_policy(settings)
    stop = asyncio.Event()
    room = asyncio.create_task(run(settings, stop))
    async with management_client(timeout_seconds=15) as client:
        client.base_url = f"http://127.0.0.1:{settings.http_port}"
        made = Edge(client, settings, Topics(settings.topic_prefix, "local"), database, tenants)
        await until(made.is_up)
        yield made
    stop.set()
    await room


async def _make_house_app(settings: Settings, kek: bytes) -> None:
    pools = Pools(settings, size=1, directory_size=1)
    await pools.open()
    await Directory(pools, kek).refresh()
    async with transaction(pools.directory, ROLE) as connection:
        await accounts.put_app(
            connection, kek, app_id=HOUSE_APP, tenant=None, secrets=[HOUSE_SECRET], verify_token="house-token"
        )
    await pools.close()


def _write_policy(settings: Settings) -> None:
    rows = [
        {"sha256": hashlib.sha256(f"{role}-of-{company}".encode()).hexdigest(), "company_id": company, "role": role,
         "user_id": f"key:{role}", "business_ids": None}
        for company in ("api_a", "api_b") for role in ("admin", "agent", "reader")
    ]  # fmt: skip
    narrow = {"sha256": hashlib.sha256(b"narrow-of-api_a").hexdigest(), "company_id": "api_a", "role": "reader",
              "business_ids": ["business_9"]}  # fmt: skip
    with open(settings.policy_file, "w", encoding="utf-8") as file:  # noqa: PTH123 - once, before anything runs
        json.dump({"tokens": [*rows, narrow]}, file)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
