"""Which dead letters are meant, and which would only come back."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from services.domain.tenants import Phonebook
from services.providers.cloud.webhook import split
from services.replay.select import Wanted, obstacle, part
from tests.unit.domain.things import NOW, an_account
from tests.unit.providers.cloud.payloads import body_of, record_of
from tests.unit.replay.kit import dead_command, found, number

SENT_AT = datetime.fromtimestamp(1_790_000_000, UTC)
"""When the user of text.json wrote."""
LETTER = found(room="normaliser", reason="bug", tenant=5, age=3)[0]


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (Wanted(), True),
        (Wanted(ids=frozenset({LETTER.id})), True),
        (Wanted(ids=frozenset({"dead_other"})), False),
        (Wanted(room="normaliser", reasons=frozenset({"bug", "unreadable"}), tenant=5), True),
        (Wanted(room="sender"), False),
        (Wanted(reasons=frozenset({"unreadable"})), False),
        (Wanted(tenant=6), False),
        (Wanted(before=NOW - timedelta(hours=2)), True),
        (Wanted(before=NOW - timedelta(hours=4)), False),
        (Wanted(after=NOW - timedelta(hours=4)), True),
        (Wanted(after=NOW - timedelta(hours=2)), False),
    ],
    ids=["all", "id", "another id", "all of them right", "another room", "another reason", "another tenant",
         "older than 2 h", "not older than 4 h", "newer than 4 h", "not newer than 2 h"],
)  # fmt: skip
def test_a_letter_is_meant_when_every_filter_says_so(wanted, matches):
    assert wanted.matches(LETTER) is matches


def test_only_the_empty_selection_means_everything():
    assert Wanted().is_everything
    assert not Wanted(room="sender").is_everything


def quarantined(reason="unknown_number"):
    (item,) = split(body_of("text"))
    return found(record_of(item), reason=reason)


def a_book(**over):
    book = Phonebook()
    book.learn_account(
        an_account(1, **({"phone_number_id": "106540352242922", "registered_at": SENT_AT} | over)), deleted=False
    )
    return book


def test_a_webhook_whose_number_was_registered_in_time_goes_back():
    assert obstacle(quarantined(), a_book()) is None


@pytest.mark.parametrize(
    ("book", "why"),
    [
        (Phonebook(), "unknown_number"),
        (a_book(app_id="another"), "wrong_app"),
        (a_book(registered_at=SENT_AT + timedelta(seconds=1)), "before_registration"),
    ],
    ids=["nobody's", "of another app", "older than its account"],
)
def test_a_webhook_that_would_be_quarantined_again_stays(book, why):
    assert obstacle(quarantined(), book) == f"would be set aside again: {why}"


@pytest.mark.parametrize("reason", ["undeliverable", "replayed_command"])
def test_what_a_redrive_could_not_change_stays(reason):
    assert obstacle(found(reason=reason), Phonebook())


def test_a_letter_that_names_no_origin_stays():
    letter, record = found()
    lost = msgspec.structs.replace(record, headers={})
    assert "names no topic" in str(obstacle(found()._replace(letter=letter, record=lost), Phonebook()))


def test_what_goes_keeps_its_order_and_what_stays_says_why():
    one, two = dead_command(base=number(1)), dead_command(base=number(2))
    parted = part([one, found(reason="undeliverable", base=number(3)), two], Phonebook())
    assert parted.going == [one, two]
    assert [letter.reason for letter, _ in parted.staying] == ["undeliverable"]
