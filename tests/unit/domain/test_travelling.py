"""What travels between rooms survives the way: commands, and who waits for a reply."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.message import LANES, Recipient, TemplateContent, decode_command, encode_command
from services.domain.replies import Reply, ReplyTo, parse_reply_to
from tests.unit.domain.things import NOW, a_command


@pytest.mark.parametrize(
    "command",
    [
        a_command(),
        a_command(to=Recipient(user_id="EC.1349"), lane="urgent", metadata={"a": [1, None, {"b": "ñ"}]}),
        a_command(
            type="template",
            template=TemplateContent(name="order", language="es", positional=["1", "2"]),
            template_id="tpl_1",
            not_before=NOW,
            not_after=NOW + timedelta(hours=24),
        ),
        a_command(template=TemplateContent(name="order", language="es", named={"who": "Ana"}), reply_to="wamid.X"),
    ],
    ids=["text", "everything of a text", "positional template", "named template"],
)
def test_a_command_survives_the_way(command):
    assert decode_command(encode_command(command)) == command


def test_a_command_of_a_newer_writer_is_read():
    newer = msgspec.json.encode(msgspec.to_builtins(a_command()) | {"field_of_tomorrow": 1})
    assert decode_command(newer) == a_command()


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"message_id":1}', b"\xff"])
def test_what_is_no_command_is_a_decoding_error(value):
    with pytest.raises(msgspec.MsgspecError):
        decode_command(value)


def test_a_command_of_an_unknown_lane_is_refused():
    wrong = msgspec.json.encode(msgspec.to_builtins(a_command()) | {"lane": "express"})
    with pytest.raises(msgspec.ValidationError):
        decode_command(wrong)


def test_the_lanes_are_three_the_urgent_one_first():
    assert LANES == ("urgent", "normal", "bulk")


@pytest.mark.parametrize(
    ("recipient", "key"),
    [
        (Recipient(phone="+593987654321"), "+593987654321"),
        (Recipient(user_id="EC.1349"), "EC.1349"),
        (Recipient(conversation_id="conv_1"), "conv_1"),
        (Recipient(group_id="1203@g.us"), "1203@g.us"),
        (Recipient(), ""),
    ],
)
def test_a_recipient_keeps_its_messages_in_order_by_one_key(recipient, key):
    assert recipient.key == key


@given(st.integers(0, 31), st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True), st.integers(0, 2**32))
def test_who_waits_survives_the_way(partition, copy, request):
    waiting = ReplyTo(partition, copy, str(request))
    assert parse_reply_to(str(waiting)) == waiting


@given(st.text(max_size=30) | st.text("/0123456789²a", max_size=12))
def test_no_header_makes_the_reading_fail(text):
    waiting = parse_reply_to(text)
    assert waiting is None or isinstance(waiting.partition, int)


@pytest.mark.parametrize("text", ["", "1/copy", "x/copy/request", "1/copy/request/more", "-1/copy/request"])
def test_what_names_nobody_is_none(text):
    assert parse_reply_to(text) is None


def test_a_reply_leaves_out_what_it_does_not_know():
    reply = msgspec.json.decode(msgspec.json.encode(Reply(message_id="msg_1", status="sent")))
    assert reply == {"message_id": "msg_1", "status": "sent"}
