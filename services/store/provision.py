"""Makes databases, roles and tenants. Owner's work: run by set-up and by `devstack seed`, never by a room."""

from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from services.runtime import crypto
from services.store.directory import data_key_place
from services.store.migrations import runner
from services.store.names import role_of, schema_of

LOGIN: Final = "recado_login"
OPERATOR: Final = "recado_operator"
GROUPS: Final = ("recado_directory", "recado_scheduler", "recado_notifier", "recado_ledger")
"""NOLOGIN roles that the login may take; each holds the grants of one kind of statement."""


def owner_engine(owner_url: str) -> Engine:
    return create_engine(owner_url.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=NullPool)


def provision_database(owner_url: str, *, login_password: str, operator_password: str) -> None:
    """Bring a database to what directory and cell need; harmless when it is there already."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        _create_roles(connection, login_password, operator_password)
    engine = owner_engine(owner_url)
    runner.upgrade_shared(engine, "directory")
    runner.upgrade_shared(engine, "cell")
    with engine.connect() as connection:
        # one whose making was interrupted has no schema yet: create_tenant finishes it
        ready = "SELECT no FROM recado_directory.tenants WHERE status <> 'creating' ORDER BY no"
        tenants = connection.execute(text(ready)).scalars().all()
    for no in tenants:
        with engine.begin() as connection:
            runner.upgrade_tenant(connection, no, schema_of(no))


def create_tenant(owner_url: str, company_id: str, kek: bytes, cell: str = "default") -> int:
    """Create a tenant with its role, schema and data key, or return the number of the one that is there."""
    engine = owner_engine(owner_url)
    with engine.begin() as connection:
        found = connection.scalar(
            text("SELECT no FROM recado_directory.tenants WHERE company_id = :company"), {"company": company_id}
        )
        no = found or connection.scalar(
            text("INSERT INTO recado_directory.tenants (company_id, cell, data_key, status) "
                 "VALUES (:company, :cell, :key, 'creating') RETURNING no"),
            {"company": company_id, "cell": cell,
             "key": crypto.seal(kek, crypto.new_key(), data_key_place(company_id))},
        )  # fmt: skip
    _create_schema(engine, int(no or 0))
    return int(no or 0)


def _create_schema(engine: Engine, no: int) -> None:
    schema = schema_of(no)
    with engine.begin() as connection:
        if not connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role_of(no)}):
            connection.execute(text(f"CREATE ROLE {role_of(no)} NOLOGIN IN ROLE recado_tenant"))
        connection.execute(text(f"GRANT {role_of(no)} TO {LOGIN}"))
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION recado_owner"))
        runner.upgrade_tenant(connection, no, schema)
        connection.execute(text("RESET ROLE"))
        connection.execute(
            text("UPDATE recado_directory.tenants SET status = 'active', changed_at = now() WHERE no = :no"), {"no": no}
        )


def _create_roles(connection: psycopg.Connection, login_password: str, operator_password: str) -> None:
    for role in ("recado_owner", "recado_tenant", *GROUPS):
        _create_role(connection, role, "NOLOGIN")
    _create_role(connection, LOGIN, "LOGIN NOINHERIT", login_password)
    _create_role(connection, OPERATOR, "LOGIN", operator_password)
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO recado_owner").format(database))
    connection.execute(sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
    for role in GROUPS:
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(LOGIN)))
    for name in (LOGIN, OPERATOR):
        connection.execute(sql.SQL("ALTER ROLE {} SET search_path = ''").format(sql.Identifier(name)))
    for setting in ("statement_timeout = '30s'", "idle_in_transaction_session_timeout = '30s'"):
        connection.execute(sql.SQL("ALTER ROLE {} SET " + setting).format(sql.Identifier(LOGIN)))
    connection.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(sql.Identifier(OPERATOR)))


def _create_role(connection: psycopg.Connection, role: str, options: str, password: str = "") -> None:
    name = sql.Identifier(role)
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
        connection.execute(sql.SQL("CREATE ROLE {} " + options).format(name))
    if password:
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(password)))
