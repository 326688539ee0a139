from datetime import UTC, datetime

import pytest

from services.providers.contract import Identity, StatusUpdate
from tests.unit.providers.cloud.payloads import item_of, items_of, read_as

GROUP = "Y2FwaV9ncm91cDoxNzA1NTU"


def status_of(name):
    return read_as(StatusUpdate, item_of(name))


WORDS = [
    ("status_sent", "sent", True),
    ("status_delivered", "delivered", True),
    ("status_read", "read", True),
    ("status_played", "played", True),
    ("status_failed", "failed", True),
    ("status_deleted_old", "deleted", False),
    ("status_invented", "pondered", False),
]


@pytest.mark.parametrize(("name", "word", "known"), WORDS)
def test_a_word_is_kept_and_only_known_ones_are_applied(name, word, known):
    update = status_of(name)
    assert (update.status, update.known) == (word, known)


def test_a_status_says_when_for_whom_and_for_which_attempt():
    update = status_of("status_sent")
    assert update.timestamp == datetime(2026, 9, 21, 14, 15, tzinfo=UTC)
    assert update.recipient == Identity("593987654321", "EC.13491208655302741918", name="Juan Pérez")
    assert update.callback == "r1.msg_00000064y5c8h2pqm9n4t7vx3k.1"
    assert update.participant == ""


def test_price_and_conversation_are_kept():
    update = status_of("status_sent")
    assert update.pricing["category"] == "utility"
    assert update.conversation["origin"] == {"type": "utility"}


def test_a_failure_brings_its_errors_and_no_contact():
    update = status_of("status_failed")
    assert [error["code"] for error in update.errors] == [131049]
    assert update.recipient == Identity("593987654321")


def test_an_old_failure_with_only_a_title_is_read():
    assert [error["code"] for error in status_of("status_failed_old").errors] == [131014]


def test_a_user_without_a_number_is_known_by_his_id():
    assert status_of("status_username").recipient == Identity(
        bsuid="EC.13491208655302741918", username="juan.perez", name="Juan Pérez"
    )


def test_statuses_of_a_group_name_the_group_and_the_participant():
    updates = [read_as(StatusUpdate, item) for item in items_of("status_group")]
    assert [(update.recipient, update.participant) for update in updates] == [
        (Identity(group_id=GROUP), "EC.13491208655302741918"),
        (Identity(group_id=GROUP), "EC.20817733019264410055"),
    ]
