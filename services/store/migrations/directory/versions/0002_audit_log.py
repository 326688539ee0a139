"""Who did what by hand; and redrive requests may be taken away once they are served."""

from alembic import op

from services.store.migrations.script import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql(op, __file__)
