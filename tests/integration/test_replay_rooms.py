"""Redrive and discard among running rooms: what comes back is worked on, and the books balance afterwards."""

import asyncio
import secrets
from random import Random

import httpx
import msgspec
import psycopg
import pytest

from services.devstack import demo_bodies as bodies
from services.devstack import prepare
from services.devstack.demo_post import sign
from services.devstack.demo_traffic import lines_of
from services.domain.ids import RecordName, derived_id
from services.domain.message import Recipient, SendCommand, encode_command
from services.ledger.check import check_when_settled
from services.ledger.read import Source
from services.ledger.report import balances, pending
from services.replay.run import Asked, run
from services.replay.select import Wanted
from services.runtime import clock, crypto
from services.store import accounts
from services.store.directory import ROLE, Directory
from services.store.pools import Pools, transaction
from services.streams.codec import Outgoing, headers
from services.streams.producer import Producer
from services.streams.topics import TopicName, Topics

HOUR = 3600


class Office:
    """The first tenant of a running corridor, and its dead letters."""

    def __init__(self, corridor):
        self.demo = corridor.demo
        self.company = self.demo["tenants"][0]
        self.settings = msgspec.structs.replace(
            corridor.stack.settings, database_url=prepare.login_url(corridor.stack),
            kafka_bootstrap_servers=self.demo["kafka"],
        )  # fmt: skip
        self.owner = corridor.stack.database_url

    async def ask(self, verb, **more):
        wanted = Wanted(room=more.pop("room", None), reasons=more.pop("reasons", frozenset()))
        return (await run(self.settings, Asked(verb=verb, wanted=wanted, actor="ana", really=True, **more))).lines

    async def set_aside(self, reason, count):
        """Wait until so many letters of this reason lie there."""
        async with asyncio.timeout(60):
            while True:
                lines = await self.ask("list", reasons=frozenset({reason}))
                if lines[-1].startswith(f"{count} dead letters"):
                    return
                await asyncio.sleep(0.2)

    def row(self, text, *params):
        with psycopg.connect(self.owner) as connection:
            text = text.replace("{no}", f"{self.tenant(connection):05d}")
            return connection.execute(text.encode(), params).fetchone()

    def tenant(self, connection):
        query = "SELECT no FROM recado_directory.tenants WHERE company_id = %s"
        return connection.execute(query, (self.company["company_id"],)).fetchone()[0]

    async def until_row(self, text, *params):
        async with asyncio.timeout(60):
            while True:
                if (row := self.row(text, *params)) is not None:
                    return row
                await asyncio.sleep(0.1)

    async def command(self, account_id, **extra):
        """Put a command on its lane as ingress would; return its message's id."""
        with psycopg.connect(self.owner) as connection:
            tenant = self.tenant(connection)
        command = SendCommand(
            message_id=derived_id("msg", secrets.token_hex(8)), tenant=tenant, account_id=account_id,
            to=Recipient(phone="+593987000111"), type="text", content="Tu pedido salió", body_sha256="x",
            accepted_at=clock.now(),
        )  # fmt: skip
        named = headers(RecordName(clock.new_uuid7(), 0), "message_send", clock.now(), tenant=tenant, **extra)
        producer = Producer(self.settings, Topics("", "local"))
        await producer.start()
        await producer.produce([
            Outgoing(TopicName.SEND_NORMAL, f"{account_id}#0", encode_command(command), named)
        ])  # fmt: skip
        await producer.stop()
        return command.message_id

    async def register(self, account_id):
        pools = Pools(self.settings, size=1, directory_size=1)
        await pools.open()
        directory = Directory(pools, crypto.read_key_file(self.settings.key_file))
        await directory.refresh()
        with psycopg.connect(self.owner) as connection:
            tenant = self.tenant(connection)
        async with transaction(pools.directory, ROLE) as connection:
            await accounts.insert_account(
                connection, directory.data_key(tenant), account_id=account_id, tenant=tenant,
                fields={"business_id": "b", "phone_number": f"+1{secrets.randbelow(10**9):09d}", "waba_id": None,
                        "phone_number_id": f"9{secrets.randbelow(10**12):012d}", "app_id": "house",
                        "account_type": "cloud_api", "status": "active", "api_key": "token"},
            )  # fmt: skip
        await pools.close()

    async def books(self):
        source = Source(bootstrap=self.demo["kafka"], database=self.demo["database"], topics=Topics("", "local"))
        return await check_when_settled(source, 60.0)


@pytest.fixture
def office(corridor):
    return Office(corridor)


async def balanced(office):
    books = await office.books()
    return (balances(books), pending(books)) == (True, 0)


async def test_a_webhook_of_a_number_registered_later_becomes_a_message(office):
    line = lines_of(office.demo)[0]
    later = msgspec.structs.replace(
        line, phone_number_id=f"9{secrets.randbelow(10**12):012d}", waba_id="", phone_number="+14155550123"
    )
    dice = Random(secrets.token_hex(8))
    user = bodies.person(dice, 1)
    # the user's clock is ahead: an older message than its account would rightly stay away
    message = bodies.text_message(dice, user, int(clock.now().timestamp()) + HOUR)
    body = bodies.render(bodies.envelope([bodies.entry(later, bodies.inbound(later, user, message))]))
    signed = {"X-Hub-Signature-256": sign(office.demo["app_secret"], body), "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=office.demo["ingress"], timeout=10) as client:  # noqa: TID251 - the test's
        assert (await client.post("/webhook", content=body, headers=signed)).status_code == 200
        await office.set_aside("unknown_number", 1)
        answer = await client.post(
            "/api/accounts", headers={"Authorization": f"Bearer {office.company['admin_token']}"},
            json={"business_id": "b", "phone_number": later.phone_number, "account_type": "cloud_api",
                  "waba_id": f"9{secrets.randbelow(10**9):09d}", "phone_number_id": later.phone_number_id,
                  "api_key": "EAAG-token"},
        )  # fmt: skip
        assert answer.status_code == 201, answer.text

    lines = await office.ask("redrive", registered=True)

    assert lines[-1] == "1 redriven"
    found = await office.until_row("SELECT account_id FROM t_{no}.messages WHERE wamid = %s", message["id"])
    assert found == (answer.json()["id"],)
    assert await balanced(office)


async def test_a_command_whose_account_came_later_is_carried_out_once(office):
    account_id = derived_id("acc", secrets.token_hex(8))
    message_id = await office.command(account_id)
    await office.set_aside("unknown_account", 1)
    await office.register(account_id)

    for _ in range(2):
        await office.ask("redrive", reasons=frozenset({"unknown_account"}))

    done = "SELECT attempt FROM t_{no}.messages WHERE id = %s AND status IN ('sent', 'delivered', 'read', 'failed')"
    assert await office.until_row(done, message_id) == (1,)
    assert await balanced(office)


async def test_a_discarded_command_is_cancelled_and_the_orchestrator_is_told(office):
    message_id = await office.command(office.company["accounts"][0]["account_id"], replay="1")
    await office.set_aside("replayed_command", 1)

    assert (await office.ask("discard", room="sender"))[-1] == "1 discarded, 1 messages cancelled"

    assert office.row("SELECT status FROM t_{no}.messages WHERE id = %s", message_id) == ("cancelled",)
    told = """SELECT outcome FROM recado.deliveries d JOIN t_{no}.events e USING (event_id)
        WHERE e.message_id = %s AND outcome = 'acknowledged'"""
    assert await office.until_row(told, message_id) == ("acknowledged",)
    assert await balanced(office)
