"""Runs the three Alembic trees: directory once, cell for each database, tenant for each schema (resumable, one
transaction a tenant with its version row). Needs an owner's connection; rooms never migrate."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine, text

_HERE: Final = Path(__file__).parent
VERSIONS_SCHEMA: Final = "recado_versions"
LOCK_TIMEOUT: Final = "2s"  # every reader queues behind an ALTER that waits


def _tree(name: str) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(_HERE / name))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def head(name: str) -> str:
    return _tree(name).get_current_head() or ""


def upgrade_shared(engine: Engine, tree: str) -> None:
    """Bring the directory or a cell to its newest version."""
    with engine.begin() as connection:
        _prepare(connection)
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {VERSIONS_SCHEMA}"))
        options = {"version_table": tree, "version_table_schema": VERSIONS_SCHEMA}
        context = MigrationContext.configure(connection, opts=options)
        _run(context, _missing(_tree(tree), context.get_current_revision()), options)
        context.stamp(_tree(tree), "head")


def upgrade_tenant(connection: Connection, tenant_no: int, schema: str) -> None:
    """Bring one tenant's schema to the newest version, inside the caller's transaction."""
    _prepare(connection)
    current = connection.scalar(
        text("SELECT version FROM recado.schema_versions WHERE tenant_id = :tenant"), {"tenant": tenant_no}
    )
    tree = _tree("tenant")
    options = {"tenant_schema": schema}
    _run(MigrationContext.configure(connection, opts=options), _missing(tree, current), options)
    connection.execute(
        text("INSERT INTO recado.schema_versions (tenant_id, version) VALUES (:tenant, :version) "
             "ON CONFLICT (tenant_id) DO UPDATE SET version = excluded.version, at = now()"),
        {"tenant": tenant_no, "version": tree.get_current_head()},
    )  # fmt: skip


def _prepare(connection: Connection) -> None:
    connection.execute(text("SET LOCAL ROLE recado_owner"))
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))


def _missing(tree: ScriptDirectory, current: str | None) -> Iterator[Script]:
    newest_first = list(tree.iterate_revisions("heads", current or "base"))
    return (script for script in reversed(newest_first) if script.revision != current)


def _run(context: MigrationContext, scripts: Iterator[Script], options: dict[str, str]) -> None:
    context.opts.update(options)
    with Operations.context(context):
        for script in scripts:
            script.module.upgrade()
