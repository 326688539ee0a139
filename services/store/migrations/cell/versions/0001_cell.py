"""The first shape; the statements stand in the file of the same name."""

from alembic import op

from services.store.migrations.script import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql(op, __file__)
