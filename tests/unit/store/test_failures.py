"""PostgreSQL's errors become the four kinds of failure."""

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from services.domain.errors import (
    ConflictError,
    DependencyAwayError,
    RecordError,
    TenantUnavailableError,
)
from services.store.failures import translate


def error_of(sqlstate):
    return psycopg.errors.lookup(sqlstate)("said the database")


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("40001", ConflictError),
        ("40P01", ConflictError),
        ("55P03", ConflictError),
        ("23505", ConflictError),
        ("22023", TenantUnavailableError),
        ("3F000", TenantUnavailableError),
        ("42P01", TenantUnavailableError),
        ("42703", TenantUnavailableError),
        ("42501", TenantUnavailableError),
        ("08006", DependencyAwayError),
        ("53300", DependencyAwayError),
        ("53100", DependencyAwayError),
        ("57014", DependencyAwayError),
        ("57P01", DependencyAwayError),
        ("57P03", DependencyAwayError),
        ("58030", DependencyAwayError),
    ],
    ids=["serialisation failure", "deadlock", "lock timeout", "two made the same row", "no such role", "no such schema",
         "no such table", "no such column", "not permitted", "connection lost", "too many connections", "disk full",
         "statement timeout", "shut down", "starting up", "I/O error"],
)  # fmt: skip
def test_a_state_has_its_kind(sqlstate, kind):
    assert isinstance(translate(error_of(sqlstate)), kind)


@pytest.mark.parametrize("sqlstate", ["22021", "22P05", "23502", "22003", "42601"])
def test_data_and_bugs_stay_what_they_are(sqlstate):
    error = error_of(sqlstate)
    assert translate(error) is error


@pytest.mark.parametrize(
    "error", [psycopg.OperationalError("server closed"), psycopg.InterfaceError("closed"), PoolTimeout("none free"),
              ConnectionRefusedError(), TimeoutError()],
    ids=["closed by the server", "closed here", "no connection free", "refused", "timeout"],
)  # fmt: skip
def test_a_connection_that_is_gone_is_a_dependency_away(error):
    assert isinstance(translate(error), DependencyAwayError)


@pytest.mark.parametrize("error", [RecordError("unreadable", "x"), ConflictError("x"), DependencyAwayError("x")])
def test_what_has_its_kind_keeps_it(error):
    assert translate(error) is error


@pytest.mark.parametrize(
    "error", [KeyError("x"), ValueError("x"), psycopg.DataError("x"), psycopg.ProgrammingError("x")]
)
def test_a_bug_of_ours_stays_a_bug(error):
    assert translate(error) is error


def test_what_the_database_said_of_the_data_is_not_repeated():
    assert "said the database" not in str(translate(error_of("57P01")))
