"""What the migration files of all three trees share: running the SQL file that stands beside them."""

from pathlib import Path
from typing import Any


def run_sql(op: Any, python_file: str, **names: str) -> None:
    """Execute the .sql file of the same name; `{schema}` is filled in for tenants. Several statements are fine."""
    text = Path(python_file).with_suffix(".sql").read_text(encoding="utf-8")
    if names:
        text = text.format(**names)
    op.get_bind().connection.cursor().execute(text)
