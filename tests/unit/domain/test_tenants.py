"""Whose an update is, and when it must not be taken."""

from datetime import timedelta

import pytest

from services.domain.tenants import Endpoint, Phonebook, Tenant, owners_of, quarantine
from tests.unit.domain.things import NOW, an_account

FIRST = an_account(1, phone_number="+14155238886", phone_number_id="N1", waba_id="W")
SECOND = an_account(2, phone_number="+14155550000", phone_number_id="N2", waba_id="W")


def book_of(*accounts):
    book = Phonebook()
    for account in accounts:
        book.learn_account(account, deleted=False)
    return book


def an_endpoint(name, tenant):
    return Endpoint(
        id=name, tenant=tenant, url="http://here/", secrets=(), timeout_seconds=10, max_in_flight=50,
        schedule_seconds=(5,), status="active",
    )  # fmt: skip


def test_an_account_is_found_by_everything_that_names_it():
    book = book_of(FIRST, SECOND)
    assert book.by_no(1) is FIRST
    assert book.by_number("N1") is FIRST
    assert book.of_waba("W") == (FIRST, SECOND)


def test_an_account_that_was_deleted_is_found_by_nothing():
    book = book_of(FIRST, SECOND)
    book.learn_account(FIRST, deleted=True)
    assert (book.accounts.get(FIRST.id), book.by_no(1), book.by_number("N1")) == (None, None, None)
    assert book.of_waba("W") == (SECOND,)


def test_an_account_that_changed_is_found_only_by_what_it_is_now():
    book = book_of(FIRST)
    moved = an_account(1, phone_number_id="N3", waba_id="V")
    book.learn_account(moved, deleted=False)
    assert book.by_number("N1") is None
    assert book.by_number("N3") is moved
    assert (book.of_waba("W"), book.of_waba("V")) == ((), (moved,))


def test_the_end_of_a_deleted_account_does_not_unlearn_who_took_its_number():
    book = book_of(FIRST)
    heir = an_account(5, phone_number_id="N1")
    book.learn_account(heir, deleted=False)
    book.learn_account(FIRST, deleted=True)
    assert book.by_number("N1") is heir


def test_deleting_what_was_never_known_is_harmless():
    book = Phonebook()
    book.learn_account(FIRST, deleted=True)
    assert book.accounts == {}


def test_a_company_is_found_by_its_name_and_an_endpoint_by_its_tenant():
    book = Phonebook()
    book.tenants[1] = Tenant(no=1, company_id="company_1", cell="default")
    book.endpoints = {name: an_endpoint(name, tenant) for name, tenant in (("e1", 1), ("e2", 1), ("e3", 2))}
    assert book.of_company("company_1") == book.tenants[1]
    assert book.of_company("company_2") is None
    assert [endpoint.id for endpoint in book.endpoints_of(1)] == ["e1", "e2"]


@pytest.mark.parametrize(
    ("number", "waba", "display", "owners"),
    [
        ("N1", "W", None, (FIRST,)),
        ("N2", "somebody's", None, (SECOND,)),
        ("N9", "W", None, ()),
        ("", "W", None, (FIRST, SECOND)),
        ("", "W", "+1 (415) 555-0000", (SECOND,)),
        ("", "W", "14155550000", (SECOND,)),
        ("", "W", "15550009999", (FIRST, SECOND)),
        ("", "V", None, ()),
    ],
    ids=["its number", "the number decides over the WABA", "an unknown number is not guessed by its WABA",
         "without number the whole WABA", "the one that is named", "named without a plus", "named, but none of ours",
         "unknown WABA"],
)  # fmt: skip
def test_an_update_concerns(number, waba, display, owners):
    assert owners_of(book_of(FIRST, SECOND), number, waba, display) == owners


@pytest.mark.parametrize(
    ("owners", "app", "at", "why"),
    [
        ((), "house", NOW, "unknown_number"),
        ((FIRST,), "another", NOW, "wrong_app"),
        ((FIRST, an_account(3, app_id="another")), "house", NOW, "wrong_app"),
        ((FIRST,), "house", NOW - timedelta(seconds=1), "before_registration"),
        ((FIRST,), "house", NOW.replace(microsecond=0), None),
        ((FIRST,), "house", NOW + timedelta(days=1), None),
        ((FIRST,), "house", None, None),
    ],
    ids=["nobody's", "another app signed", "another app signed for one of them", "older than the registration",
         "in the second of the registration", "later", "without a time"],
)  # fmt: skip
def test_an_update_is_quarantined(owners, app, at, why):
    assert quarantine(owners, app, at) == why
