"""Columns for `unnest`: rows turned into binary arrays (`%b::text[]`; `%s` lists cost half of a room's CPU). Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

T = TypeVar("T")
_JSON: Final = msgspec.json.Encoder()


class Column(NamedTuple):
    """A column and the array it arrives in. `value`: the SQL that makes it of `x.<name>` when that is not its type."""

    name: str
    array: str
    value: str = ""
    stored: bool = True

    @property
    def expression(self) -> str:
        return self.value or f"x.{self.name}"


def text(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "text") for name in names)


def of(array: str, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, array) for name in names)


def json(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "text", f"x.{name}::jsonb") for name in names)


def after_seconds(name: str) -> Column:
    """A moment that arrives as seconds from the database's now()."""
    return Column(name, "double precision", f"now() + x.{name} * interval '1 second'")


PLACE: Final = Column("place", "bigint", stored=False)
"""The order of the rows in the batch; it is no column."""


class Table(NamedTuple):
    """A table and the columns that batches write, in order."""

    name: str
    columns: tuple[Column, ...]

    def source(self) -> str:
        arrays = ", ".join(f"%b::{column.array}[]" for column in self.columns)
        return f"unnest({arrays}) AS x({', '.join(column.name for column in self.columns)})"

    def names(self) -> str:
        return ", ".join(column.name for column in self.columns if column.stored)

    def fields(self) -> list[str]:
        return [column.name for column in self.columns]

    def insert(self, *, order: str, conflict: str = "", returning: str = "") -> str:
        """One INSERT of all rows, sorted by the unique key: unsorted batches deadlock."""
        values = ", ".join(column.expression for column in self.columns if column.stored)
        tail = f" ON CONFLICT {conflict}" if conflict else ""
        tail += f" RETURNING {returning}" if returning else ""
        return f"INSERT INTO {self.name} ({self.names()}) SELECT {values} FROM {self.source()} ORDER BY {order}{tail}"

    def update(self, *, key: Sequence[str], extra: str = "", condition: str = "") -> str:
        """One UPDATE, each row once (several source rows of one target would keep an arbitrary one)."""
        sets = ", ".join(f"{c.name} = {c.expression}" for c in self.columns if c.name not in key)
        where = " AND ".join((*(f"t.{name} = x.{name}" for name in key), *([condition] if condition else [])))
        return f"UPDATE {self.name} AS t SET {sets}{extra} FROM {self.source()} WHERE {where}"


def as_json(value: Any) -> str | None:
    return None if value is None else _JSON.encode(value).decode()


def transpose(rows: Iterable[T], *fields: Callable[[T], Any]) -> tuple[list[Any], ...]:
    """Turn rows into one list a column."""
    listed = list(rows)
    return tuple(list(map(field, listed)) for field in fields)
