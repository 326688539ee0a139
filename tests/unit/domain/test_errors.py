"""The catalogue of errors: complete rows, one per code; and the four kinds of failure."""

import pytest

from services.domain.errors import (
    PROBLEMS,
    ConflictError,
    DependencyAwayError,
    ProblemError,
    RecadoError,
    RecordError,
    TenantUnavailableError,
    WorkError,
)

ROWS = list(PROBLEMS.values())
CALLER, WHATSAPP, RECADO = "caller", "whatsapp", "recado"


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_row_stands_under_its_own_code(code):
    assert PROBLEMS[code].code == code
    assert code.islower()
    assert code.replace("_", "").isalnum()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_a_row_says_status_fault_and_words(row):
    assert 400 <= row.status <= 599
    assert row.fault in {CALLER, WHATSAPP, RECADO}
    assert row.title[0].isupper()
    assert not row.title.endswith(".")


@pytest.mark.parametrize("row", [row for row in ROWS if row.status >= 500], ids=lambda row: row.code)
def test_a_5xx_is_never_the_caller_s_fault_and_may_be_tried_again(row):
    assert row.fault != CALLER
    assert row.retryable


@pytest.mark.parametrize("row", [row for row in ROWS if row.status < 500], ids=lambda row: row.code)
def test_a_4xx_is_never_ours(row):
    assert row.fault != RECADO


def test_no_two_rows_say_the_same():
    assert len({row.title for row in ROWS}) == len(ROWS)


def test_a_problem_takes_its_row_and_says_what_was_wrong():
    error = ProblemError("phone_not_e164", "The number lacks its +.", pointer="/phone_number")
    assert error.problem == PROBLEMS["phone_not_e164"]
    assert error.errors == [{"pointer": "/phone_number", "code": "phone_not_e164", "detail": "The number lacks its +."}]
    assert str(error) == "The number lacks its +."


def test_a_problem_without_a_place_has_no_errors():
    assert ProblemError("not_found", "No such message.").errors == []


def test_a_problem_keeps_a_list_of_errors_as_it_is():
    rows = [{"pointer": "/a", "code": "invalid", "detail": "x"}, {"pointer": "/b", "code": "invalid", "detail": "y"}]
    assert ProblemError("invalid", "Two things are wrong.", errors=rows).errors == rows


def test_a_code_that_is_not_in_the_catalogue_cannot_be_raised():
    with pytest.raises(KeyError):
        ProblemError("invented", "No row has this code.")


@pytest.mark.parametrize("kind", [DependencyAwayError, ConflictError, TenantUnavailableError, RecordError])
def test_the_four_kinds_of_failure_are_told_apart(kind):
    others = {DependencyAwayError, ConflictError, TenantUnavailableError, RecordError} - {kind}
    assert issubclass(kind, WorkError)
    assert issubclass(kind, RecadoError)
    assert not any(issubclass(kind, other) for other in others)


def test_a_record_at_fault_carries_its_reason():
    error = RecordError("unreadable", "no JSON")
    assert (error.reason, str(error)) == ("unreadable", "no JSON")
