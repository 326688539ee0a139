"""Tenants cannot see each other: a schema and a role each, and a login that may do nothing by itself."""

# ruff: noqa: S608 - what is put into these statements is the name of a schema, made of a number

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from services.domain.errors import TenantUnavailableError
from services.store.names import role_of, schema_of
from services.store.pools import transaction
from services.store.tenancy import SWITCH, Statement, run_phase
from tests.integration.store.kit import SHARED_TABLES, TENANT_TABLES, account_of, new_base, new_wamid, somebody
from tests.unit.normaliser.updates import a_text, told

LOGIN = "recado_login"
REFUSED = psycopg.errors.InsufficientPrivilege
SHARED = (*SHARED_TABLES, "deliveries", "delivery_queues")
BY_ITSELF = [
    "SELECT * FROM {mine}.messages",
    "SELECT * FROM {mine}.events",
    "SELECT * FROM recado.deferred",
    "SELECT * FROM recado.send_attempts",
    "SELECT * FROM recado_directory.accounts",
    "SELECT * FROM recado_directory.tenants",
    "INSERT INTO {mine}.contacts (id) VALUES ('x')",
    "CREATE SCHEMA of_my_own",
    "CREATE TABLE public.of_my_own (id integer)",
]


@pytest.fixture
def mine_and_theirs(tenants):
    return tenants[0], tenants[1]


@pytest.fixture
def session(database):
    """A session of the login itself, whatever its password is."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(sql.SQL("SET SESSION AUTHORIZATION {}").format(sql.Identifier(LOGIN)))
        yield connection


@pytest_asyncio.fixture
async def of_both(store, mine_and_theirs):
    """Both tenants hold a message."""
    for tenant in mine_and_theirs:
        await store.hear(told(a_text(new_wamid(), sender=somebody()), account_of(tenant), base=new_base()))
    return mine_and_theirs


def as_tenant(connection, role, setting, statement):
    """Run a statement under a tenant's role and setting, as a batch does."""
    with connection.transaction():
        connection.execute(SWITCH, (role, setting))
        return connection.execute(statement.encode())


def as_role(connection, role, statement):
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        return connection.execute(statement.encode())


@pytest.mark.parametrize("statement", BY_ITSELF)
def test_the_login_may_do_nothing_by_itself(session, mine_and_theirs, statement):
    with pytest.raises(REFUSED):
        session.execute(statement.format(mine=schema_of(mine_and_theirs[0])).encode())


@pytest.mark.parametrize("table", TENANT_TABLES)
@pytest.mark.parametrize("verb", ["SELECT * FROM", "DELETE FROM", "TRUNCATE"])
def test_a_tenant_s_role_is_refused_in_another_one_s_schema(session, mine_and_theirs, table, verb):
    mine, theirs = mine_and_theirs
    with pytest.raises(REFUSED):
        as_tenant(session, role_of(mine), str(mine), f"{verb} {schema_of(theirs)}.{table}")


def test_a_tenant_s_role_sees_its_own(session, of_both):
    mine, _ = of_both
    rows = as_tenant(session, role_of(mine), str(mine), f"SELECT 1 FROM {schema_of(mine)}.messages").fetchall()
    assert rows


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM {s}.messages", "DELETE FROM {s}.events", "UPDATE {s}.events SET value = ''", "TRUNCATE {s}.messages",
     "DROP TABLE {s}.messages", "ALTER TABLE {s}.messages ADD COLUMN x integer", "CREATE TABLE {s}.x (id integer)",
     "SELECT * FROM recado_directory.accounts", "SELECT * FROM recado_directory.tenants",
     "SELECT * FROM recado.delivery_queues", "INSERT INTO recado.deliveries SELECT * FROM recado.deliveries",
     "DELETE FROM recado.send_attempts"],
)  # fmt: skip
def test_a_tenant_s_role_has_no_right_that_a_batch_does_not_need(session, mine_and_theirs, statement):
    mine, _ = mine_and_theirs
    with pytest.raises(REFUSED):
        as_tenant(session, role_of(mine), str(mine), statement.format(s=schema_of(mine)))


def put_off(connection, role, setting, tenant):
    as_tenant(
        connection,
        role,
        str(setting),
        f"""
        INSERT INTO recado.deferred (tenant_id, reason, topic, key, base, n, payload)
        VALUES ({tenant}, 'retry', 't', 'k', gen_random_uuid(), 0, '')""",
    )


@pytest.mark.parametrize("table", SHARED_TABLES)
@pytest.mark.parametrize("setting", [None, ""], ids=["never set", "set to nothing"])
def test_without_a_tenant_set_a_shared_table_raises(session, mine_and_theirs, table, setting):
    mine, _ = mine_and_theirs
    role = role_of(mine)
    put_off(session, role, mine, mine)  # a table without rows and without a key on tenants would ask no policy
    with session.transaction():
        session.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        if setting is not None:
            session.execute("SELECT set_config('recado.tenant', %s, true)", (setting,))
        with pytest.raises(REFUSED, match="tenant not set"), session.transaction():
            session.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier("recado", table)))


def test_a_tenant_sees_only_its_own_rows_of_a_shared_table(session, of_both):
    mine, theirs = of_both
    for tenant in of_both:
        put_off(session, role_of(tenant), tenant, tenant)
    rows = as_tenant(session, role_of(mine), str(mine), "SELECT DISTINCT tenant_id FROM recado.deferred").fetchall()
    assert rows == [(mine,)]
    ((count,),) = as_tenant(session, role_of(mine), str(mine),
                            f"SELECT count(*) FROM recado.deferred WHERE tenant_id = {theirs}").fetchall()  # fmt: skip
    assert count == 0


def test_a_row_for_another_tenant_cannot_be_written(session, mine_and_theirs):
    mine, theirs = mine_and_theirs
    with pytest.raises(REFUSED, match="row-level security"):
        put_off(session, role_of(mine), mine, theirs)


def test_another_tenant_s_rows_can_be_neither_changed_nor_deleted(session, mine_and_theirs):
    mine, theirs = mine_and_theirs
    put_off(session, role_of(theirs), theirs, theirs)
    for statement in ("UPDATE recado.deferred SET due_at = now()", "DELETE FROM recado.deferred"):
        done = as_tenant(session, role_of(mine), str(mine), f"{statement} WHERE tenant_id = {theirs}")
        assert done.rowcount == 0


@pytest.mark.parametrize("table", SHARED)
def test_row_security_is_forced_and_no_policy_is_for_everybody(store, table):
    assert store.rows(
        "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass", f"recado.{table}"
    ) == [(True, True)]
    roles = store.rows("SELECT roles::text[] FROM pg_policies WHERE schemaname = 'recado' AND tablename = %s", table)
    assert roles
    assert not any("public" in names for (names,) in roles)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("recado_scheduler", "SELECT * FROM {s}.messages"),
        ("recado_notifier", "SELECT * FROM {s}.messages"),
        ("recado_ledger", "SELECT * FROM {s}.messages"),
        ("recado_directory", "SELECT * FROM {s}.messages"),
        ("recado_directory", "SELECT * FROM recado.deferred"),
        ("recado_scheduler", "SELECT * FROM recado_directory.accounts"),
        ("recado_notifier", "SELECT * FROM recado_directory.accounts"),
        ("recado_scheduler", "SELECT * FROM recado.deliveries"),
        ("recado_notifier", "UPDATE recado.deliveries SET outcome = 'acknowledged'"),
        ("recado_ledger", "DELETE FROM recado.deferred"),
        ("recado_directory", "DELETE FROM recado_directory.accounts"),
        ("recado_directory", "UPDATE recado_directory.tenants SET cell = 'x'"),
    ],
)
def test_a_role_that_crosses_tenants_has_only_its_tables(session, mine_and_theirs, role, statement):
    with pytest.raises(REFUSED):
        as_role(session, role, statement.format(s=schema_of(mine_and_theirs[0])))


@pytest.mark.parametrize("role", ["recado_owner", "recado_operator", "postgres"])
def test_the_login_cannot_become_who_may_more(session, role):
    with pytest.raises(REFUSED):
        as_role(session, role, "SELECT 1")


@pytest.mark.parametrize(
    "statement",
    ["UPDATE {s}.messages SET status = 'read'", "DELETE FROM recado.deferred", "CREATE TABLE public.x (id integer)",
     "SELECT api_key FROM recado_directory.accounts", "SELECT data_key FROM recado_directory.tenants",
     "SELECT secrets FROM recado_directory.endpoints", "SELECT * FROM recado_directory.meta_apps"],
)  # fmt: skip
def test_the_operator_reads_and_sees_no_secret(database, mine_and_theirs, statement):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SET SESSION AUTHORIZATION recado_operator")
        connection.execute(f"SELECT 1 FROM {schema_of(mine_and_theirs[0])}.messages".encode())
        with pytest.raises(REFUSED):
            connection.execute(statement.format(s=schema_of(mine_and_theirs[0])).encode())


async def test_inside_a_phase_role_tenant_and_an_empty_path_are_set(store, tenants):
    question = Statement("who", "SELECT current_user::text, current_setting('recado.tenant'), "
                                "current_setting('search_path')")  # fmt: skip
    async with store.pools.cell("default").connection() as connection, connection.transaction():
        rows = await run_phase(connection, {tenant: [question] for tenant in tenants})
    assert rows == {tenant: {"who": [(role_of(tenant), str(tenant), "")]} for tenant in tenants}


async def test_after_the_transaction_the_role_is_gone(store, tenants):
    async with store.pools.cell("default").connection() as connection:
        async with connection.transaction():
            await run_phase(connection, {tenants[0]: [Statement("x", "SELECT 1")]})
        cursor = await connection.execute("SELECT current_user::text, current_setting('recado.tenant', true)")
        assert await cursor.fetchone() == (LOGIN, "")


async def test_a_table_without_its_schema_is_not_found(store, tenants):
    with pytest.raises(psycopg.errors.UndefinedTable):
        async with store.pools.cell("default").connection() as connection, connection.transaction():
            await run_phase(connection, {tenants[0]: [Statement("x", "SELECT * FROM messages")]})


async def test_a_statement_under_no_role_is_that_tenant_s_trouble_and_not_an_answer(store, mine_and_theirs):
    async def forgetful(connection, _group):
        await connection.execute(f"SELECT * FROM {schema_of(mine_and_theirs[0])}.messages".encode())

    done = await store.in_groups({mine_and_theirs[0]: ["a record"]}, forgetful)
    assert (done.results, done.unavailable) == ([], {mine_and_theirs[0]: ["a record"]})


async def test_a_transaction_under_a_role_that_does_not_exist_is_refused(store):
    with pytest.raises(TenantUnavailableError):
        async with transaction(store.pools.directory, "recado_nobody"):
            pass
