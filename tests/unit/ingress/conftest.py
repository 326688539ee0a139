"""One ingress in this process: real routes, guard, policy file and webhook; Kafka and the directory are fakes."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from services.domain.ids import MessageIds
from services.ingress.app import App, make_api
from services.ingress.auth import Policy
from services.ingress.cursors import Cursors
from services.ingress.deps import Deps
from services.ingress.languages import Languages
from services.ingress.replies import Replies
from services.ingress.signatures import Signatures
from services.ingress.webhook import Webhook
from services.runtime.cache import Cache
from services.runtime.health import Health
from services.runtime.settings import Settings
from services.store.pools import Pools
from services.store.reads.engine import Reads
from tests.unit.ingress.fakes import KnownDirectory, MemoryProducer, policy_rows

KEY = bytes(range(32))


@dataclass
class Stage:
    app: App
    deps: Deps
    producer: MemoryProducer
    directory: KnownDirectory
    client: httpx.AsyncClient  # noqa: TID251 - the type only

    async def send(self, body, *, who="agent-of-a", **headers):
        """POST a command and do not wait for WhatsApp."""
        given = {"Authorization": f"Bearer {who}", "Prefer": "wait=0"} | headers
        return await self.client.post("/api/messages", json=body, headers=given)

    async def webhook(self, body: bytes, headers, path="/webhook"):
        return await self.client.post(path, content=body, headers=headers)


@pytest.fixture
async def stage(tmp_path) -> AsyncIterator[Stage]:
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"tokens": policy_rows()}))
    settings = Settings(reply_wait_seconds=0.5, policy_file=str(policy))
    producer, directory, reads = MemoryProducer(), KnownDirectory(), Reads(settings)
    deps = Deps(
        settings=settings, directory=directory, producer=producer, replies=Replies(32, cap=100),
        ids=MessageIds(KEY), policy=Policy(settings.policy_file), cursors=Cursors(KEY), languages=Languages(reads),
        pools=Pools(settings), reads=reads, cache=Cache([], KEY), health=Health(), kek=KEY,
    )  # fmt: skip
    webhook = Webhook(Signatures(directory.book), producer, directory.loaded.is_set, deadline_seconds=1)
    app = App(webhook, make_api(deps))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://recado") as client:  # noqa: TID251 - in-process
        yield Stage(app, deps, producer, directory, client)
