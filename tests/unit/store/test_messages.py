"""Which statement a new message is inserted with."""

from uuid import UUID

import pytest

from services.domain.workset import BEGINNING, Message, Workset
from services.store import messages

THE_REST = [
    {"metadata": {"order": "4471"}}, {"lease_seconds": 45.0}, {"lane": "urgent"}, {"wait_no": 1}, {"attempt": 1},
    {"sent_at": BEGINNING}, {"error": {"code": "blocked"}}, {"template_id": "welcome"}, {"variables": ["Ana"]},
]  # fmt: skip


def inserted(**more):
    work = Workset()
    message = Message(
        id="msg_1", conversation_id="conv_1", account_id="acc_1", direction="inbound", message_type="text",
        content="hi", status="delivered", base=UUID(int=1), message_at=BEGINNING, **more,
    )  # fmt: skip
    work.messages[message.id] = message
    work.new_messages.add(message.id)
    (statement,) = messages.write(work)
    return statement


def test_what_a_user_wrote_is_inserted_without_the_columns_of_a_send():
    assert "lease_until" not in inserted().text
    assert "wamid" in inserted(wamid="wamid.1").text


@pytest.mark.parametrize("more", THE_REST, ids=lambda more: next(iter(more)))
def test_a_row_that_has_more_is_inserted_whole(more):
    assert "lease_until" in inserted(**more).text


@pytest.mark.parametrize("more", [{}, *THE_REST], ids=lambda more: next(iter(more), "plain"))
def test_every_column_of_a_statement_has_its_array(more):
    statement = inserted(**more)
    assert statement.text.count("%b") == len(statement.params)
