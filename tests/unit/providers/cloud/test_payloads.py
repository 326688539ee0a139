from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.errors import RecordError
from services.domain.ids import MessageIds
from services.domain.limits import CALLBACK_DATA_CHARS
from services.domain.message import Recipient, SendCommand, TemplateContent
from services.providers.cloud.payloads import build, callback_data, parse_callback

MESSAGE_ID = MessageIds(b"k" * 32).issue(7, 42)
CALLBACK = f"r1.{MESSAGE_ID}.1"
PHONE = Recipient(phone="+593987654321")
BSUID = Recipient(user_id="EC.13491208655302741918")


def command(*, to=PHONE, type_="text", content="Hola", **more):
    return SendCommand(
        message_id=MESSAGE_ID, tenant=1, account_id="acc_1", to=to, type=type_, content=content, body_sha256="",
        accepted_at=datetime(2026, 11, 24, tzinfo=UTC), **more,
    )  # fmt: skip


def test_a_text_to_a_phone_keeps_its_plus():
    assert build(command(preview_url=True), CALLBACK) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+593987654321",
        "type": "text",
        "text": {"body": "Hola", "preview_url": True},
        "biz_opaque_callback_data": CALLBACK,
    }


def test_a_user_without_a_number_is_the_recipient_and_not_to():
    body = build(command(to=BSUID), CALLBACK)
    assert (body["recipient"], "to" in body) == ("EC.13491208655302741918", False)


def test_a_group_is_named_as_one():
    body = build(command(to=Recipient(group_id="Y2Fw")), CALLBACK)
    assert (body["recipient_type"], body["to"]) == ("group", "Y2Fw")


TEMPLATES: list[tuple[str, TemplateContent, list[dict[str, str]] | None]] = [
    ("without variables", TemplateContent(name="hola", language="es"), None),
    (
        "positional, in order",
        TemplateContent(name="hola", language="es", positional=["Juan", "MiEmpresa"]),
        [{"type": "text", "text": "Juan"}, {"type": "text", "text": "MiEmpresa"}],
    ),
    (
        "named",
        TemplateContent(name="hola", language="es", named={"name": "Juan"}),
        [{"type": "text", "parameter_name": "name", "text": "Juan"}],
    ),
]


@pytest.mark.parametrize(("template", "parameters"), [row[1:] for row in TEMPLATES], ids=[row[0] for row in TEMPLATES])
def test_a_template_is_named_with_its_language_and_variables(template, parameters):
    body = build(command(type_="template", template=template), CALLBACK)
    components = {"components": [{"type": "body", "parameters": parameters}]} if parameters else {}
    assert (body["type"], body["template"]) == ("template", {"name": "hola", "language": {"code": "es"}, **components})


def test_a_template_wins_over_the_type():
    body = build(command(type_="text", template=TemplateContent(name="hola", language="es")), CALLBACK)
    assert (body["type"], "text" in body) == ("template", False)


REPLIES = [
    ("a wamid of the client", {"reply_to": "wamid.HBgM"}, None, "wamid.HBgM"),
    ("a message of ours, found", {"reply_to": MESSAGE_ID}, "wamid.HBgN", "wamid.HBgN"),
    ("a message of ours, without a wamid", {"reply_to": MESSAGE_ID}, None, None),
    ("none", {}, None, None),
]


@pytest.mark.parametrize(("more", "found", "quoted"), [row[1:] for row in REPLIES], ids=[row[0] for row in REPLIES])
def test_a_reply_quotes_a_wamid(more, found, quoted):
    body = build(command(**more), CALLBACK, context_wamid=found)
    assert body.get("context") == ({"message_id": quoted} if quoted else None)


def test_a_conversation_is_sent_to_whom_it_is_with():
    to = Recipient(conversation_id="conv_1")
    assert build(command(to=to), CALLBACK, to=BSUID)["recipient"] == BSUID.user_id


CANNOT = [
    ("a type without a builder", command(type_="hologram"), "unsupported_type"),
    ("a template without a template", command(type_="template"), "template_missing"),
    ("a conversation that nobody resolved", command(to=Recipient(conversation_id="conv_1")), "recipient_unresolved"),
]


@pytest.mark.parametrize(("order", "reason"), [row[1:] for row in CANNOT], ids=[row[0] for row in CANNOT])
def test_what_cannot_be_said_to_whatsapp_is_refused(order, reason):
    with pytest.raises(RecordError) as refusal:
        build(order, CALLBACK)
    assert refusal.value.reason == reason


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 10**9 - 1))
def test_a_callback_is_read_as_it_was_written_and_fits(account, low, attempt):
    message_id = MessageIds(b"k" * 32).issue(account, low)
    text = callback_data(message_id, attempt)
    assert parse_callback(text) == (message_id, attempt)
    assert len(text) <= CALLBACK_DATA_CHARS


NOT_OURS = [
    ("nothing", None),
    ("empty", ""),
    ("a client's own", "order 77"),
    ("a client's own with dots", "a.b.c"),
    ("another version", f"r2.{MESSAGE_ID}.1"),
    ("another thing's id", "r1.acc_" + MESSAGE_ID[4:] + ".1"),
    ("an id cut short", f"r1.{MESSAGE_ID[:-1]}.1"),
    ("no attempt", f"r1.{MESSAGE_ID}"),
    ("an empty attempt", f"r1.{MESSAGE_ID}."),
    ("a negative attempt", f"r1.{MESSAGE_ID}.-1"),
    ("an attempt in other digits", f"r1.{MESSAGE_ID}.١"),
    ("an endless attempt", f"r1.{MESSAGE_ID}." + "1" * 5000),
    ("more behind it", f"r1.{MESSAGE_ID}.1.x"),
]


@pytest.mark.parametrize("text", [row[1] for row in NOT_OURS], ids=[row[0] for row in NOT_OURS])
def test_a_callback_that_is_not_ours_is_nothing(text):
    assert parse_callback(text) is None
