"""Meta's rules of a send as a table: which body is taken, and which code refuses the others."""

import pytest

from services.simulator.meta_errors import MetaError
from services.simulator.send_rules import MarkRead, Recipient, Send, read_send

TEXT = {"messaging_product": "whatsapp", "to": "+593987654321", "type": "text", "text": {"body": "Hola"}}
QUITO = "593022222222"


def template(*parameters, **changes):
    body = {"type": "body", "parameters": list(parameters)}
    whole = {"name": "welcome_template", "language": {"code": "es_EC"}, "components": [body], **changes}
    return TEXT | {"type": "template", "template": whole}


def say(text, **more):
    return {"type": "text", "text": text, **more}


TAKEN = {
    "a text": TEXT,
    "a text of 4096 characters": TEXT | {"text": {"body": "ñ" * 4096}},
    "a text with a preview": TEXT | {"text": {"body": "https://x.ec", "preview_url": True}},
    "a text without a type, which Meta takes for text": {key: part for key, part in TEXT.items() if key != "type"},
    "a reply": TEXT | {"context": {"message_id": "wamid.HBg"}},
    "callback data of 512 characters": TEXT | {"biz_opaque_callback_data": "x" * 512},
    "a template without components": template(components=[]),
    "a template with positional variables": template(say("Juan"), say("MiEmpresa")),
    "a template with named variables": template(say("Juan", parameter_name="name")),
    "a template with a button": template(
        components=[{"type": "button", "sub_type": "url", "index": "0", "parameters": [say("pedido/77")]}]
    ),
    "an image by link": TEXT | {"type": "image", "image": {"link": "https://x.ec/a.png", "caption": "Factura"}},
    "a voice note by id": TEXT | {"type": "audio", "audio": {"id": "1", "voice": True}},
    "a location": TEXT | {"type": "location", "location": {"latitude": "-0.1807", "longitude": -78.46}},
    "contacts": TEXT | {"type": "contacts", "contacts": [{"name": {"formatted_name": "Ana Ruiz"}}]},
    "a reaction taken back": TEXT | {"type": "reaction", "reaction": {"message_id": "wamid.HBg", "emoji": ""}},
    "buttons": TEXT | {"type": "interactive", "interactive": {"type": "button", "action": {"buttons": []}}},
}

REFUSED = {
    "an array": ([], 100, "must be a JSON object"),
    "no messaging_product": (TEXT | {"messaging_product": None}, 100, "messaging_product"),
    "no recipient": (TEXT | {"to": None}, 100, "parameter to"),
    "a phone with letters": (TEXT | {"to": "+59398abc"}, 131009, "phone number"),
    "a phone as a number": (TEXT | {"to": 593987654321}, 131009, "phone number"),
    "a recipient that is no BSUID": (TEXT | {"to": None, "recipient": "593987654321"}, 131009, "user id"),
    "the business itself": (TEXT | {"to": "+593 02-222-2222"}, 131021, "sender"),
    "an unknown recipient type": (TEXT | {"recipient_type": "crowd"}, 100, "recipient_type"),
    "an unknown type": (TEXT | {"type": "hologram"}, 100, "Param type"),
    "no text object": (TEXT | {"text": None}, 131008, "text"),
    "a text that is a string": (TEXT | {"text": "Hola"}, 100, "JSON object"),
    "no text body": (TEXT | {"text": {}}, 131008, "text['body']"),
    "a blank text": (TEXT | {"text": {"body": " \n"}}, 100, "non-empty"),
    "a text of 4097 characters": (TEXT | {"text": {"body": "x" * 4097}}, 100, "4096"),
    "a preview_url that is a word": (TEXT | {"text": {"body": "x", "preview_url": "yes"}}, 100, "preview_url"),
    "callback data of 513 characters": (TEXT | {"biz_opaque_callback_data": "x" * 513}, 100, "512"),
    "callback data that is an object": (TEXT | {"biz_opaque_callback_data": {}}, 100, "string"),
    "a context without an id": (TEXT | {"context": {}}, 131008, "message_id"),
    "a template without a name": (template(name=None), 131008, "name"),
    "a template name in capitals": (template(name="Welcome"), 100, "lower-case"),
    "a template name of 513 characters": (template(name="x" * 513), 100, "name"),
    "a template without a language": (template(language={}), 131008, "language"),
    "a template language as a word": (template(language={"code": "spanish"}), 100, "language"),
    "components that are an object": (template(components={}), 100, "array"),
    "an unknown component": (template(components=[{"type": "footer"}]), 100, "['type']"),
    "a button without a sub_type": (template(components=[{"type": "button", "index": 0}]), 131008, "sub_type"),
    "an eleventh button": (
        template(components=[{"type": "button", "sub_type": "url", "index": 10}]), 131009, "index",
    ),
    "an unknown parameter type": (template({"type": "poem", "poem": "x"}), 100, "['type']"),
    "a variable without text": (template({"type": "text"}), 131008, "text"),
    "an empty variable": (template(say("")), 131008, "text"),
    "a variable with a line break": (template(say("a\nb")), 100, "new-line"),
    "a variable with five spaces": (template(say("a     b")), 100, "consecutive spaces"),
    "a variable of 1025 characters": (template(say("x" * 1025)), 100, "1024"),
    "named beside positional variables": (template(say("a"), say("b", parameter_name="n")), 100, "mixes"),
    "a coupon of 16 characters": (template({"type": "coupon_code", "coupon_code": "x" * 16}), 100, "15"),
    "media with id and link": (TEXT | {"type": "image", "image": {"id": "1", "link": "https://x.ec"}}, 100, "exactly"),
    "a long caption": (TEXT | {"type": "video", "video": {"id": "1", "caption": "x" * 1025}}, 100, "1024"),
    "no coordinates": (TEXT | {"type": "location", "location": {}}, 131009, "latitude"),
    "no contacts": (TEXT | {"type": "contacts", "contacts": []}, 100, "1 to 50"),
    "a contact without a name": (TEXT | {"type": "contacts", "contacts": [{}]}, 131008, "formatted_name"),
    "a reaction to nothing": (TEXT | {"type": "reaction", "reaction": {"emoji": "👍"}}, 131008, "message_id"),
    "an interactive message without action": (
        TEXT | {"type": "interactive", "interactive": {"type": "button"}}, 131008, "action",
    ),
    "a read mark without an id": ({"messaging_product": "whatsapp", "status": "read"}, 131008, "message_id"),
}  # fmt: skip


@pytest.mark.parametrize("body", TAKEN.values(), ids=TAKEN.keys())
def test_meta_takes(body):
    assert isinstance(read_send(body, QUITO), Send)


@pytest.mark.parametrize(("body", "code", "details"), REFUSED.values(), ids=REFUSED.keys())
def test_meta_refuses(body, code, details):
    with pytest.raises(MetaError) as caught:
        read_send(body, QUITO)
    assert caught.value.code == code
    assert details in caught.value.details


RECIPIENTS = {
    "E.164": ({"to": "+593987654321"}, Recipient("+593987654321", phone="593987654321")),
    "decorated": ({"to": "+593 (98) 765-4321"}, Recipient("+593 (98) 765-4321", phone="593987654321")),
    "without + but with the business's code": ({"to": "593987654321"}, Recipient("593987654321", phone="593987654321")),
    "without +: the business's code is put before it": (
        {"to": "14155238886"},
        Recipient("14155238886", "59314155238886"),
    ),
    "a BSUID": ({"to": None, "recipient": "EC.1349"}, Recipient("EC.1349", user_id="EC.1349")),
    "a parent BSUID": ({"to": None, "recipient": "EC.ENT.1a"}, Recipient("EC.ENT.1a", user_id="EC.ENT.1a")),
    "both: the phone wins": ({"recipient": "EC.1349"}, Recipient("+593987654321", phone="593987654321")),
}


@pytest.mark.parametrize(("change", "recipient"), RECIPIENTS.values(), ids=RECIPIENTS.keys())
def test_recipient_is_read_as_meta_reads_it(change, recipient):
    send = read_send(TEXT | change, QUITO)
    assert isinstance(send, Send)
    assert send.recipient == recipient


def test_without_a_known_business_phone_nothing_is_put_before_a_number():
    send = read_send(TEXT | {"to": "14155238886"}, "")
    assert isinstance(send, Send)
    assert send.recipient.phone == "14155238886"


def test_callback_data_is_kept_for_the_statuses():
    send = read_send(TEXT | {"biz_opaque_callback_data": "r1.msg_1.1"}, QUITO)
    assert isinstance(send, Send)
    assert send.callback == "r1.msg_1.1"


def test_marking_as_read_is_no_send():
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.HBg"}
    assert read_send(body, QUITO) == MarkRead("wamid.HBg")
