"""PostgreSQL's errors → the four kinds of failure (architecture §2.6). By SQLSTATE; unknown means data or bug."""

from typing import Final

import psycopg

from services.domain.errors import ConflictError, DependencyAwayError, TenantUnavailableError, WorkError

_CONFLICT: Final = frozenset({
    "40001",  # serialisation failure
    "40P01",  # deadlock
    "55P03",  # lock timeout
    "23505",  # two batches made the same row, each before it could see the other's: the second look finds it
})  # fmt: skip
_TENANT: Final = frozenset({
    "22023",  # set_config('role'): no such role
    "3F000",  # schema missing
    "42P01",  # table missing: migrating, or dropped
    "42703",  # column missing: migrating
    "42501",  # not permitted
})  # fmt: skip
# connection, resources, operator intervention, system error; a transaction that stood idle too long and was ended
_AWAY_CLASSES: Final = ("08", "53", "57", "58", "25P03")


def translate(error: BaseException) -> BaseException:
    """Return the WorkError that says what to do, or the error itself when its data or our code is at fault."""
    if isinstance(error, WorkError):
        return error
    if isinstance(error, psycopg.Error):
        state = error.sqlstate
        if state is None:
            lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
            return DependencyAwayError(f"database: {type(error).__name__}") if lost else error
        if state in _CONFLICT:
            return ConflictError(f"SQLSTATE {state}")
        if state in _TENANT:
            return TenantUnavailableError(f"SQLSTATE {state}")
        if state.startswith(_AWAY_CLASSES):
            return DependencyAwayError(f"database: SQLSTATE {state}")
    if isinstance(error, OSError):
        return DependencyAwayError(f"database: {type(error).__name__}")
    return error
