"""Dead letters on a real broker and database: redriven as they were, discarded with an event, marked and audited."""

import hashlib
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import psycopg
import pytest

from services.domain.ids import RecordName, derived_id
from services.domain.message import Recipient, SendCommand, encode_command
from services.domain.tenants import HOUSE_APP
from services.providers.cloud.webhook import raw_record, split
from services.replay.run import Asked, run
from services.replay.select import Wanted
from services.runtime import crypto
from services.runtime.clock import new_uuid7, now
from services.store import accounts, provision
from services.store.directory import ROLE, Directory
from services.store.names import schema_of
from services.store.pools import Pools, transaction
from services.streams.admin import create_topics
from services.streams.batch import Dead
from services.streams.codec import Record, headers
from services.streams.deadletter import dead_letter
from services.streams.topics import TopicName
from tests.integration.api.kit import HOUSE_SECRET
from tests.integration.streams.kit import Run
from tests.unit.providers.cloud.payloads import body_of

PHONE = "+593987654321"
SENT_AT = datetime.fromtimestamp(1_790_000_000, UTC)
"""When the user of text.json wrote."""
_numbers = itertools.count(1)


@dataclass
class Desk:
    """A tenant with an account, a log of its own, and who works at its dead letters."""

    log: Run
    owner: psycopg.AsyncConnection
    tenant: int
    company: str
    account_id: str
    register: Callable

    async def ask(self, verb, *, really=False, **more):
        wanted = {name: more.pop(name) for name in ("ids", "room", "reasons") if name in more}
        asked = Asked(verb=verb, wanted=Wanted(**wanted), actor="ana", really=really, per_second=1000, **more)
        return await run(self.log.settings, asked)

    async def set_aside(self, *records, reason="bug", room="sender", tenant=None):
        letters = [dead_letter(Dead(record, reason, "why", tenant), room, now()) for record in records]
        await self.log.write(*letters)
        return letters

    def command(self, **over):
        n = next(_numbers)
        command = SendCommand(
            message_id=derived_id("msg", self.company, str(n)), tenant=self.tenant, account_id=self.account_id,
            to=Recipient(phone=PHONE), type="text", content="Tu pedido salió", body_sha256="x", accepted_at=now(),
            **over,
        )  # fmt: skip
        return command, self.record(encode_command(command), tenant=self.tenant, traceparent="00-a-b-01")

    def record(self, value, topic=TopicName.SEND_NORMAL, **extra):
        name = RecordName(new_uuid7(), 0)
        given = dict(headers(name, "message_send", now(), **extra))
        return Record(topic, 0, next(_numbers), f"{self.account_id}#0", value, given, 0, name)

    async def rows(self, text, *params):
        return await (await self.owner.execute(text.replace("{s}", schema_of(self.tenant)).encode(), params)).fetchall()

    async def deeds(self):
        return await self.rows(
            "SELECT actor, action FROM recado_directory.audit_log WHERE tenant_no = %s ORDER BY id", self.tenant
        )


@pytest.fixture
async def desk(database, settings_for, kafka_bootstrap):
    log = Run(kafka_bootstrap)
    settings = settings_for("replay", topic_prefix=log.settings.topic_prefix)
    log.settings = settings
    await create_topics(kafka_bootstrap, log.topics)
    kek = crypto.read_key_file(settings.key_file)
    company = f"desk_{secrets.token_hex(6)}"
    tenant = provision.create_tenant(database, company, kek)
    pools = Pools(settings, size=1, directory_size=1)
    await pools.open()
    directory = Directory(pools, kek)

    async def register(number_id, registered_at=None):
        account_id = derived_id("acc", company, number_id)
        await directory.refresh()
        async with transaction(pools.directory, ROLE) as connection:
            await accounts.put_app(  # as other tests of this database have it
                connection, kek, app_id=HOUSE_APP, tenant=None, secrets=[HOUSE_SECRET], verify_token="house-token"
            )
            await accounts.insert_account(
                connection, directory.data_key(tenant), account_id=account_id, tenant=tenant,
                fields={"business_id": "b", "phone_number": f"+1{secrets.randbelow(10**10):010d}",
                        "phone_number_id": number_id, "waba_id": None, "app_id": HOUSE_APP,
                        "account_type": "cloud_api", "status": "active", "api_key": "token"},
            )  # fmt: skip
            if registered_at:
                await connection.execute(
                    "UPDATE recado_directory.accounts SET registered_at = %s WHERE id = %s", (registered_at, account_id)
                )
        return account_id

    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as owner:
        account_id = await register(f"7{secrets.randbelow(10**12):012d}")
        yield Desk(log, owner, tenant, company, account_id, register)
        await owner.execute("UPDATE recado_directory.tenants SET status = 'test' WHERE no = %s", (tenant,))
        await owner.execute("DELETE FROM recado_directory.accounts WHERE tenant_no = %s", (tenant,))
    await pools.close()


async def test_a_redriven_record_is_the_one_that_was_set_aside(desk):
    _, record = desk.command()
    await desk.set_aside(record)

    answer = await desk.ask("redrive", room="sender", really=True)

    (back,) = await desk.log.log(TopicName.SEND_NORMAL)
    assert (back.name, back.key, back.value, back.headers) == (record.name, record.key, record.value, record.headers)
    assert answer.lines[-1] == "1 redriven"
    assert await desk.deeds() == [("ana", "dead_letter_redriven")]


async def test_a_dry_run_changes_nothing(desk):
    await desk.set_aside(desk.command()[1])

    said = [(await desk.ask(verb, room="sender")).lines for verb in ("redrive", "discard")]

    assert [lines[0] for lines in said] == ["1 dead letters: sender bug 1"] * 2
    assert (await desk.log.log(TopicName.SEND_NORMAL), await desk.deeds()) == ([], [])


async def test_what_was_redriven_is_not_redriven_again(desk):
    await desk.set_aside(desk.command()[1])

    answers = [await desk.ask("redrive", room="sender", really=True) for _ in range(2)]

    assert [answer.lines[-1] for answer in answers] == ["1 redriven", "0 redriven"]
    assert len(await desk.log.log(TopicName.SEND_NORMAL)) == 1


async def test_a_record_that_a_redo_set_aside_twice_comes_back_once(desk):
    _, record = desk.command()
    await desk.set_aside(record, record)

    await desk.ask("redrive", room="sender", really=True)

    assert len(await desk.log.log(TopicName.SEND_NORMAL)) == 1


async def test_a_record_that_fails_again_after_its_redrive_waits_again(desk):
    _, record = desk.command()
    await desk.set_aside(record)
    await desk.ask("redrive", room="sender", really=True)
    await desk.set_aside(msgspec.structs.replace(record, offset=next(_numbers)))

    assert (await desk.ask("list")).lines[-1] == "1 dead letters: sender bug 1"


async def test_records_of_one_key_come_back_in_their_order(desk):
    records = [desk.command()[1] for _ in range(25)]
    await desk.set_aside(*records)

    await desk.ask("redrive", room="sender", really=True)

    assert [back.name for back in await desk.log.log(TopicName.SEND_NORMAL)] == [record.name for record in records]


async def test_a_discarded_command_is_cancelled_announced_and_audited(desk):
    command, record = desk.command()
    await desk.set_aside(record)

    answer = await desk.ask("discard", room="sender", really=True)

    assert answer.lines[-1] == "1 discarded, 1 messages cancelled"
    assert await desk.rows("SELECT id, status, base FROM {s}.messages") == [
        (command.message_id, "cancelled", record.name.base)
    ]
    ((stored,),) = await desk.rows("SELECT value FROM {s}.events WHERE base = %s", record.name.base)
    (said,) = await desk.log.log(TopicName.EVENT_MESSAGE)
    assert said.value == stored
    assert msgspec.json.decode(said.value)["event_type"] == "message_cancelled"
    assert await desk.deeds() == [("ana", "dead_letter_discarded")]
    assert (await desk.ask("list")).lines == ["0 dead letters"]


async def test_a_discard_that_was_interrupted_before_its_mark_says_the_same_again(desk):
    await desk.set_aside(desk.command()[1])
    await desk.ask("discard", room="sender", really=True)
    await desk.rows("DELETE FROM recado_directory.audit_log WHERE tenant_no = %s RETURNING id", desk.tenant)

    answer = await desk.ask("discard", room="sender", really=True)

    first, again = await desk.log.log(TopicName.EVENT_MESSAGE)
    assert (first.name, first.value) == (again.name, again.value)
    assert answer.lines[-1] == "1 discarded, 0 messages cancelled"


async def test_what_is_no_command_is_only_marked(desk):
    await desk.set_aside(desk.record(b"no command", tenant=desk.tenant), reason="unreadable")

    answer = await desk.ask("discard", room="sender", really=True)

    assert answer.lines[-1] == "1 discarded, 0 messages cancelled"
    assert await desk.rows("SELECT count(*) FROM {s}.messages") == [(0,)]


def a_webhook(number_id):
    body = body_of("text").replace(b"106540352242922", number_id.encode())
    (item,) = split(body)
    return raw_record(item, app=HOUSE_APP, body_sha256=hashlib.sha256(body).hexdigest(),
                      received_at="2026-11-24T10:00:00.000Z")  # fmt: skip


async def test_the_webhooks_of_a_number_registered_later_come_back_by_one_command(desk):
    ours, foreign = (f"8{secrets.randbelow(10**12):012d}" for _ in range(2))
    records = [desk.record(a_webhook(number), TopicName.RAW) for number in (ours, foreign)]
    await desk.set_aside(*records, reason="unknown_number", room="normaliser")
    await desk.register(ours, registered_at=SENT_AT - timedelta(days=1))

    answer = await desk.ask("redrive", registered=True, really=True)

    assert [back.name for back in await desk.log.log(TopicName.RAW)] == [records[0].name]
    assert "  1 stay: would be set aside again: unknown_number" in answer.lines
    left = await desk.rows("SELECT account_id FROM recado_directory.redrive_requests WHERE tenant_no = %s", desk.tenant)
    assert left == []


async def test_a_narrower_look_leaves_the_requests_of_registrations(desk):
    requests = "SELECT count(*) FROM recado_directory.redrive_requests WHERE tenant_no = %s"

    await desk.ask("redrive", registered=True, really=True, company=desk.company)
    await desk.ask("redrive", registered=True, really=True, room="normaliser")
    await desk.ask("redrive", registered=True)

    assert await desk.rows(requests, desk.tenant) == [(1,)]


async def test_a_number_that_changed_hands_brings_no_old_messages(desk):
    number = f"8{secrets.randbelow(10**12):012d}"
    await desk.set_aside(desk.record(a_webhook(number), TopicName.RAW), reason="unknown_number", room="normaliser")
    await desk.register(number, registered_at=SENT_AT + timedelta(days=1))

    answer = await desk.ask("redrive", registered=True, really=True)

    assert await desk.log.log(TopicName.RAW) == []
    assert "  1 stay: would be set aside again: before_registration" in answer.lines


async def test_a_letter_of_another_tenant_is_not_in_a_tenant_s_list(desk):
    await desk.set_aside(desk.command()[1])
    await desk.set_aside(desk.record(b"{}", tenant=desk.tenant + 1000))

    assert (await desk.ask("list", company=desk.company)).lines[-1] == "1 dead letters: sender bug 1"
    assert (await desk.ask("list", company="nobody")).code == 1


async def test_showing_personal_data_is_audited_and_nothing_else_is(desk):
    await desk.set_aside(desk.command()[1])
    letter_id = (await desk.ask("list")).lines[0].split()[0]

    plain = await desk.ask("show", ids=frozenset({letter_id}))
    private = await desk.ask("show", ids=frozenset({letter_id}), personal=True)

    assert (PHONE in "".join(plain.lines), PHONE in "".join(private.lines)) == (False, True)
    assert await desk.deeds() == [("ana", "dead_letter_shown")]
