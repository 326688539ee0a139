"""Migrations run from nothing, twice without harm, and go on after what interrupted them."""

# ruff: noqa: S608 - what is put into these statements is the name of a schema, made of a number

import psycopg
import pytest
import sqlalchemy as sa

from services.runtime import crypto
from services.store import provision
from services.store.migrations import runner
from services.store.names import schema_of
from tests.integration.store.kit import SHARED_TABLES, TENANT_TABLES, new_base

KEK = bytes(32)


def provisioned(url):
    """No password is given: the roles are shared with every other database of the server."""
    provision.provision_database(url, login_password="", operator_password="")


def look(url, query, *params):
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode(), params).fetchall()


def change(url, statement, *params):
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode(), params)


def shape_of(url):
    """Every column, index, policy and grant of our schemas."""
    ours = "schema_name LIKE 'recado%%' OR schema_name LIKE 't\\_%%'"
    schemas = f"SELECT schema_name FROM information_schema.schemata WHERE {ours}"
    return [
        look(url, f"SELECT table_schema, table_name, column_name, data_type, column_default, is_nullable "
                  f"FROM information_schema.columns WHERE table_schema IN ({schemas}) ORDER BY 1, 2, 3"),
        look(url, f"SELECT indexdef FROM pg_indexes WHERE schemaname IN ({schemas}) ORDER BY 1"),
        look(url, f"SELECT * FROM pg_policies WHERE schemaname IN ({schemas}) ORDER BY tablename, policyname"),
        look(url, f"SELECT table_schema, table_name, grantee, privilege_type FROM information_schema.role_table_grants "
                  f"WHERE table_schema IN ({schemas}) ORDER BY 1, 2, 3, 4"),
    ]  # fmt: skip


def tables_of(url, schema):
    return {name for (name,) in look(url, "SELECT tablename FROM pg_tables WHERE schemaname = %s", schema)}


def version_of(url, tenant):
    return look(url, "SELECT version FROM recado.schema_versions WHERE tenant_id = %s", tenant)


def company():
    return f"company_{new_base().hex[:20]}"


def test_from_nothing_to_directory_cell_and_tenant(fresh_database):
    provisioned(fresh_database)
    tenant = provision.create_tenant(fresh_database, company(), KEK)
    assert tables_of(fresh_database, schema_of(tenant)) == set(TENANT_TABLES)
    assert tables_of(fresh_database, "recado") >= set(SHARED_TABLES)
    assert tables_of(fresh_database, "recado_directory") >= {"tenants", "accounts", "meta_apps", "endpoints"}
    assert version_of(fresh_database, tenant) == [(runner.head("tenant"),)]


def test_a_second_run_changes_nothing(fresh_database):
    provisioned(fresh_database)
    name = company()
    tenant = provision.create_tenant(fresh_database, name, KEK)
    before = shape_of(fresh_database)
    tenants = look(fresh_database, "SELECT no, company_id, data_key FROM recado_directory.tenants")
    provisioned(fresh_database)
    assert provision.create_tenant(fresh_database, name, KEK) == tenant
    assert shape_of(fresh_database) == before
    assert look(fresh_database, "SELECT no, company_id, data_key FROM recado_directory.tenants") == tenants


def test_every_table_belongs_to_the_owner_and_not_to_a_tenant(fresh_database):
    provisioned(fresh_database)
    provision.create_tenant(fresh_database, company(), KEK)
    owners = look(fresh_database, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname LIKE 't\\_%%'")
    assert owners == [("recado_owner",)]


def test_a_tenant_s_migration_that_fails_leaves_nothing_and_goes_on_later(fresh_database):
    provisioned(fresh_database)
    engine = provision.owner_engine(fresh_database)
    schema, tenant = schema_of(77777), 77777
    with psycopg.connect(fresh_database) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (schema,)).fetchone():
            connection.execute(f"CREATE ROLE {schema} NOLOGIN IN ROLE recado_tenant".encode())
    change(fresh_database, f"CREATE SCHEMA {schema} AUTHORIZATION recado_owner")
    change(fresh_database, f"CREATE TABLE {schema}.events (in_the_way integer)")
    with pytest.raises(psycopg.errors.DuplicateTable), engine.begin() as connection:
        runner.upgrade_tenant(connection, tenant, schema)
    assert tables_of(fresh_database, schema) == {"events"}
    assert version_of(fresh_database, tenant) == []
    change(fresh_database, f"DROP TABLE {schema}.events")
    with engine.begin() as connection:
        runner.upgrade_tenant(connection, tenant, schema)
    assert tables_of(fresh_database, schema) == set(TENANT_TABLES)
    assert version_of(fresh_database, tenant) == [(runner.head("tenant"),)]


def test_a_tenant_whose_making_was_interrupted_stops_nobody_and_is_finished_later(fresh_database):
    provisioned(fresh_database)
    name = company()
    change(
        fresh_database,
        "INSERT INTO recado_directory.tenants (company_id, cell, data_key, status) "
        "VALUES (%s, 'default', %s, 'creating')",
        name,
        crypto.seal(KEK, crypto.new_key(), f"{name}|tenants|data_key|"),
    )
    provisioned(fresh_database)
    tenant = provision.create_tenant(fresh_database, name, KEK)
    assert tables_of(fresh_database, schema_of(tenant)) == set(TENANT_TABLES)
    assert look(fresh_database, "SELECT status FROM recado_directory.tenants WHERE no = %s", tenant) == [("active",)]


def test_a_migration_does_not_wait_for_locks_that_hold_up_everybody(fresh_database):
    """Whoever reads a table would queue behind an ALTER that waits."""
    provisioned(fresh_database)
    tenant = provision.create_tenant(fresh_database, company(), KEK)
    with provision.owner_engine(fresh_database).begin() as connection:
        runner.upgrade_tenant(connection, tenant, schema_of(tenant))
        assert connection.scalar(sa.text("SHOW lock_timeout")) == runner.LOCK_TIMEOUT
