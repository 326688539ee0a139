"""The ledger on a running corridor: it balances, and a row that is taken away is named."""

import contextlib
import secrets
import subprocess
import sys
from collections.abc import Iterator
from random import Random
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from services.devstack import demo_bodies as bodies
from services.devstack import prepare
from services.devstack.demo_post import sign
from services.devstack.demo_traffic import lines_of
from services.ledger.books import Book, balance
from services.ledger.check import check_when_settled
from services.ledger.read import Source, read
from services.ledger.report import balances, pending
from services.runtime import clock
from services.streams.topics import Topics
from tests.integration.conftest import Corridor

SETTLE_SECONDS = 60.0


@pytest.fixture(scope="module")
def source(corridor: Corridor) -> Source:
    return Source(bootstrap=corridor.demo["kafka"], database=corridor.demo["database"], topics=Topics("", "local"))


@pytest.fixture(scope="module")
def wamid(corridor: Corridor) -> str:
    """A message that a user of the first tenant wrote."""
    dice, line = Random(secrets.token_hex(8)), lines_of(corridor.demo)[0]
    user = bodies.person(dice, 1)
    message = bodies.text_message(dice, user, int(clock.now().timestamp()))
    body = bodies.render(bodies.envelope([bodies.entry(line, bodies.inbound(line, user, message))]))
    headers = {"X-Hub-Signature-256": sign(corridor.demo["app_secret"], body), "Content-Type": "application/json"}
    answer = httpx.post(f"{corridor.demo['ingress']}/webhook", content=body, headers=headers, timeout=10)
    assert answer.status_code == 200
    return str(message["id"])


@pytest.fixture(scope="module")
async def settled(source: Source, wamid: str) -> None:
    books = await check_when_settled(source, SETTLE_SECONDS)
    assert balances(books)
    assert not pending(books)


@pytest.fixture(scope="module")
def owner(corridor: Corridor) -> Iterator[psycopg.Connection]:
    with psycopg.connect(corridor.stack.database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def schema(corridor: Corridor, owner: psycopg.Connection) -> str:
    company = corridor.demo["tenants"][0]["company_id"]
    query = "SELECT no FROM recado_directory.tenants WHERE company_id = %s"
    return f"t_{one_value(owner, query, company):05d}"


async def read_once(source: Source) -> list[Book]:
    return balance(await read(source))


def one_value(owner: psycopg.Connection, query: Any, *values: str) -> Any:
    row = owner.execute(query, values).fetchone()
    assert row is not None
    return row[0]


@contextlib.contextmanager
def taken_away(owner: psycopg.Connection, table: tuple[str, str], where: str, value: str) -> Iterator[None]:
    """Delete a row, and put it back."""
    name = sql.Identifier(*table)
    condition = sql.SQL(where).format(value=sql.Literal(value))
    delete = sql.SQL("DELETE FROM {t} AS t WHERE {c} RETURNING to_jsonb(t)").format(t=name, c=condition)
    row = one_value(owner, delete)
    put_back = "INSERT INTO {t} OVERRIDING SYSTEM VALUE SELECT (jsonb_populate_record(NULL::{t}, {row})).*"
    try:
        yield
    finally:
        literal = sql.Literal(psycopg.types.json.Jsonb(row))
        owner.execute(sql.SQL(put_back).format(t=name, row=literal))


def named(books: list[Book]) -> list[tuple[str, str]]:
    return [(one.book, one.id) for book in books for one in book.differences]


def event_of(owner: psycopg.Connection, schema: str, wamid: str) -> str:
    query = "SELECT e.event_id::text FROM {s}.events e JOIN {s}.messages m ON m.id = e.message_id WHERE m.wamid = %s"
    return str(one_value(owner, sql.SQL(query).format(s=sql.Identifier(schema)), wamid))


@pytest.mark.usefixtures("settled")
async def test_an_inbound_row_that_is_gone_is_named(source, owner, schema, wamid):
    with taken_away(owner, (schema, "messages"), "wamid = {value}", wamid):
        books = await read_once(source)
    assert [(book, key.split()[-1]) for book, key in named(books)] == [("received = recorded", wamid)]


@pytest.mark.usefixtures("settled")
async def test_a_stored_event_that_is_gone_is_named_by_every_book_that_knows_it(source, owner, schema, wamid):
    event = event_of(owner, schema, wamid)
    with taken_away(owner, (schema, "events"), "event_id = {value}::uuid", event):
        books = await read_once(source)
    assert ("announced = on the wire", event) in named(books)
    assert "sequences" in {book for book, _ in named(books)}


@pytest.mark.usefixtures("settled")
async def test_an_acknowledgement_that_is_gone_is_named(source, owner, schema, wamid):
    event = event_of(owner, schema, wamid)
    with taken_away(owner, ("recado", "deliveries"), "event_id = {value}::uuid", event):
        books = await read_once(source)
    assert [(book, key.split()[0]) for book, key in named(books)] == [("acknowledged = deliveries", event)]


@pytest.mark.usefixtures("settled")
async def test_the_books_of_another_tenant_do_not_show_it(corridor, source, owner, schema, wamid):
    other = Source(bootstrap=source.bootstrap, database=source.database, topics=source.topics,
                   company=corridor.demo["tenants"][1]["company_id"])  # fmt: skip
    with taken_away(owner, (schema, "messages"), "wamid = {value}", wamid):
        assert balances(await read_once(other))


def check_by_hand(corridor: Corridor, database: str, *more: str) -> subprocess.CompletedProcess[str]:
    known = {
        "RECADO_KAFKA_BOOTSTRAP_SERVERS": corridor.demo["kafka"],
        "RECADO_DATABASE_URL": database,
        "RECADO_ORCHESTRATOR_URL": corridor.demo["orchestrator"],
    }
    command = [sys.executable, "-m", "services.ledger", "check", *more]
    return subprocess.run(command, env=known, capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("login", ["operator", "rooms"])
def test_the_command_line_ends_with_0_when_the_books_balance(corridor, login):
    url = corridor.demo["database"] if login == "operator" else prepare.login_url(corridor.stack)
    balanced = check_by_hand(corridor, url, "--wait", "30")
    assert (balanced.returncode, balanced.stdout.splitlines()[-1:]) == (0, ["the books balance"])


@pytest.mark.usefixtures("settled")
def test_the_command_line_ends_with_1_and_names_what_is_gone(corridor, owner, schema, wamid):
    with taken_away(owner, (schema, "messages"), "wamid = {value}", wamid):
        differs = check_by_hand(corridor, corridor.demo["database"])
    assert differs.returncode == 1
    assert wamid in differs.stdout
