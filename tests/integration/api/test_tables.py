"""SQLAlchemy's description of the tables is the migrated schema, in all three trees."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.dialects.postgresql import base as postgresql

from services.runtime import crypto
from services.store import provision, tables
from services.store.names import schema_of


@pytest.fixture(scope="module")
def engine(database: str) -> Iterator[sa.Engine]:
    postgresql.ischema_names["xid8"] = tables.TransactionId
    engine = provision.owner_engine(database)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def tenant_schema(database: str) -> str:
    """A schema whose tenant is not active: its key is nobody's, so no directory may try to open it."""
    no = provision.create_tenant(database, "company_tables", crypto.new_key())
    with provision.owner_engine(database).begin() as connection:
        connection.execute(sa.update(tables.tenants).where(tables.tenants.c.no == no).values(status="test"))
    return schema_of(no)


def _differences(engine: sa.Engine, metadata: sa.MetaData, schema: str) -> list[Any]:
    options = {
        "include_schemas": True,
        "compare_type": True,
        "compare_server_default": True,
        "include_name": lambda name, kind, _parents: name == schema if kind == "schema" else True,
    }
    with engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def _in_schema(metadata: sa.MetaData, schema: str) -> sa.MetaData:
    copied = sa.MetaData()
    for table in metadata.tables.values():
        table.to_metadata(copied, schema=schema)
    return copied


def test_the_directory_is_described_as_it_was_migrated(engine):
    assert _differences(engine, tables.directory, "recado_directory") == []


def test_a_cell_is_described_as_it_was_migrated(engine):
    assert _differences(engine, tables.cell, "recado") == []


def test_a_tenant_schema_is_described_as_it_was_migrated(engine, tenant_schema):
    assert _differences(engine, _in_schema(tables.tenant, tenant_schema), tenant_schema) == []


def test_a_column_that_only_the_description_has_is_noticed(engine):
    wrong = _in_schema(tables.directory, "recado_directory")
    wrong.tables["recado_directory.endpoints"].append_column(sa.Column("colour", sa.Text))
    assert [row[0] for row in _differences(engine, wrong, "recado_directory")] == ["add_column"]


def test_the_placeholder_schema_does_not_exist(engine):
    with engine.connect() as connection:
        assert not connection.scalar(sa.text("SELECT 1 FROM pg_namespace WHERE nspname = 'tenant'"))
