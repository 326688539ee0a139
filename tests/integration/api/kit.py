"""What the API's tests share: the ingress under test, what stands on its topics, and a sender that answers."""

import asyncio
import hashlib
import hmac
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import jsonschema
import msgspec
import psycopg

from services.domain.message import SendCommand, TemplateContent, decode_command
from services.domain.replies import Reply, parse_reply_to
from services.ingress.app import make_api
from services.runtime.clock import monotonic
from services.runtime.settings import Settings
from services.store.names import schema_of
from services.streams.codec import Outgoing, Record
from services.streams.producer import Producer
from services.streams.tail import Tail
from services.streams.topics import LANE_TOPICS, TopicName, Topics

HOUSE_SECRET = b"house-secret"
OPENAPI = make_api().openapi()
_numbers = itertools.count(100)


async def until(holds: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait for something to become true; the test's own timeout is only a net."""
    deadline = monotonic() + seconds
    while not await holds():
        assert monotonic() < deadline, f"never became true: {holds}"
        await asyncio.sleep(0.05)


@dataclass
class Edge:
    client: httpx.AsyncClient  # noqa: TID251 - the type only
    settings: Settings
    topics: Topics
    database: str
    tenants: dict[str, int]

    async def is_up(self) -> bool:
        try:
            return (await self.client.get("/health")).status_code == 200
        except httpx.TransportError:
            return False

    async def call(self, method: str, path: str, who: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {who}"} | more.pop("headers", {})
        answer = await self.client.request(method, path, headers=headers, **more)
        conforms(method, path, answer)
        return answer

    async def get(self, path: str, who: str = "reader-of-api_a") -> httpx.Response:
        return await self.call("GET", path, who)

    async def send(self, body: dict[str, Any], who: str = "agent-of-api_a", **headers: str) -> httpx.Response:
        return await self.call("POST", "/api/messages", who, json=body, headers=headers)

    async def account(self, company: str = "api_a", **more: Any) -> dict[str, Any]:
        answer = await self.call("POST", "/api/accounts", f"admin-of-{company}", json=number() | more)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def webhook(self, body: bytes, secret: bytes = HOUSE_SECRET, path: str = "/webhook") -> httpx.Response:
        signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        return await self.client.post(path, content=body, headers={"X-Hub-Signature-256": signature})

    def write(self, company: str, table: str, **row: Any) -> None:
        """Put a row into a tenant's schema, as the stream rooms would."""
        columns, places = ", ".join(row), ", ".join(["%s"] * len(row))
        text = f"INSERT INTO {schema_of(self.tenants[company])}.{table} ({columns}) VALUES ({places})"  # noqa: S608
        with psycopg.connect(self.database) as connection:
            connection.execute(text.encode(), list(row.values()))

    @asynccontextmanager
    async def reading(self, *topics: TopicName) -> AsyncIterator["Seen"]:
        """See what is written to these topics from now on."""
        seen, stop = Seen(), asyncio.Event()
        tails = [
            Tail(self.settings, self.topics, topic, partition)
            for topic in topics for partition in range(self.topics.partitions(topic))
        ]  # fmt: skip
        tasks = [asyncio.create_task(tail.run(stop, seen.take)) for tail in tails]
        await asyncio.gather(*(tail.ready.wait() for tail in tails))
        yield seen
        stop.set()
        await asyncio.gather(*tasks)

    @asynccontextmanager
    async def sender(self, answer: Callable[[SendCommand], Reply | None]) -> AsyncIterator["Seen"]:
        """Answer every command as the sender would."""
        producer = Producer(self.settings, self.topics)
        await producer.start()
        async with self.reading(*LANE_TOPICS.values()) as seen:
            seen.on_record = lambda record: _answer(producer, record, answer)
            yield seen
        await asyncio.gather(*seen.tasks)
        await producer.stop()


@dataclass
class Seen:
    records: list[Record] = field(default_factory=list)
    on_record: Callable[[Record], Any] | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def take(self, record: Record) -> None:
        self.records.append(record)
        if self.on_record:
            self.tasks.append(asyncio.create_task(self.on_record(record)))

    async def some(self, count: int) -> list[Record]:
        async def enough() -> bool:
            return len(self.records) >= count

        await until(enough)
        return self.records


async def _answer(producer: Producer, record: Record, answer: Callable[[SendCommand], Reply | None]) -> None:
    waiting = parse_reply_to(record.header("reply_to") or "")
    reply = answer(decode_command(record.value))
    if reply and waiting:
        headers = (("copy", waiting.copy.encode()), ("request", waiting.request.encode()))
        value = msgspec.json.encode(reply)
        await producer.produce([Outgoing(TopicName.REPLY, waiting.copy, value, headers, partition=waiting.partition)])


def template_of(record: Record) -> TemplateContent:
    template = decode_command(record.value).template
    assert template is not None
    return template


def number(**more: Any) -> dict[str, Any]:
    """A number that nobody has registered yet."""
    n = next(_numbers)
    return {
        "business_id": "business_1", "phone_number": f"+593990{n:06d}", "account_type": "cloud_api", "waba_id": "777",
        "phone_number_id": f"10{n:06d}", "api_key": "EAAG-secret-token-9f3c",
    } | more  # fmt: skip


def conforms(method: str, path: str, answer: httpx.Response) -> None:
    """Every answer that the tests see is one that OpenAPI describes."""
    operation = _operation(method, path.partition("?")[0])
    described = operation["responses"][str(answer.status_code)]["content"]
    media_type = answer.headers["content-type"].partition(";")[0]
    schema = {**described[media_type]["schema"], "components": OPENAPI["components"]}
    jsonschema.validate(answer.json(), schema)


def _operation(method: str, path: str) -> dict[str, Any]:
    for template, operations in OPENAPI["paths"].items():
        wanted, given = template.split("/"), path.split("/")
        if len(wanted) == len(given) and all(w == g or w.startswith("{") for w, g in zip(wanted, given, strict=True)):
            found: dict[str, Any] = operations[method.lower()]
            return found
    raise AssertionError(f"{path} is not described")
