"""What a waiting request is told: the message's present outcome."""

import pytest

from services.domain.delivery import Status
from services.sender.replies import present_state
from tests.unit.domain.things import MESSAGE_ID, NOW, a_message

ERROR = {"code": "whatsapp_rejected"}


@pytest.mark.parametrize("status", [Status.SENT, Status.DELIVERED, Status.READ, Status.PLAYED])
def test_what_has_an_id_is_sent_whatever_came_later(status):
    reply = present_state(a_message(status, None, wamid="wamid.A", sent_at=NOW), whatsapp_status="accepted")
    assert (reply.status, reply.whatsapp_message_id) == ("sent", "wamid.A")
    assert (reply.sent_at, reply.whatsapp_status) == ("2026-04-10T15:30:45.120Z", "accepted")


@pytest.mark.parametrize(
    "status", [Status.QUEUED, Status.SENDING, Status.WAITING, Status.UNKNOWN, Status.EXPIRED, Status.CANCELLED]
)
def test_what_has_none_is_told_as_it_is(status):
    reply = present_state(a_message(status, None), whatsapp_status="accepted")
    assert (reply.message_id, reply.status, reply.whatsapp_status, reply.error) == (MESSAGE_ID, str(status), None, None)


def test_a_failure_brings_its_error():
    assert present_state(a_message(Status.FAILED, None, error=ERROR)).error == ERROR


def test_a_failure_that_was_overtaken_by_a_delivery_brings_none():
    assert present_state(a_message(Status.DELIVERED, None, error=ERROR)).error is None


@pytest.mark.parametrize("replay", [True, False])
def test_a_replay_says_so(replay):
    assert present_state(a_message(Status.SENT, None), replay=replay).replay is replay
