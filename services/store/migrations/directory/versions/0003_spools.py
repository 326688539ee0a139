"""What each copy of ingress still holds on its disk, as it says itself."""

from alembic import op

from services.store.migrations.script import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql(op, __file__)
