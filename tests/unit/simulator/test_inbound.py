"""A user writes: every form that the control API takes, and the webhook that comes of it."""

import json

import pytest

from services.simulator.calls import ControlError
from services.simulator.identities import user_id
from services.simulator.inbound import read_inbound
from services.simulator.numbers import App, Number, Numbers

HOUSE = App("http://127.0.0.1:8080/webhook", "house secret")
NOW = 1_764_000_000.5
PHONE = "593987654321"
METADATA = {"display_phone_number": "59322222222", "phone_number_id": "1001"}
VALUE = {"messaging_product": "whatsapp", "metadata": METADATA, "messages": [{"id": "wamid.A", "type": "text"}]}
BODY = {
    "object": "whatsapp_business_account",
    "entry": [{"id": "9001", "changes": [{"value": VALUE, "field": "messages"}]}],
}


@pytest.fixture
def numbers():
    known = Numbers("http://127.0.0.1:8080/webhook")
    known.register(Number("1001", "59322222222", "9001", app_secret="house secret"))
    known.register(
        Number("2001", "14155238886", "9002", app_secret="own", webhook_url="http://127.0.0.1:8080/webhook/x")
    )
    return known


def posted(asked, numbers):
    return json.loads(read_inbound(asked, numbers, NOW).body)


def value(asked, numbers):
    return posted(asked, numbers)["entry"][0]["changes"][0]["value"]


def test_a_bare_message_becomes_a_whole_webhook(numbers):
    asked = {
        "phone_number_id": "1001",
        "from": "+593 98 765 4321",
        "type": "text",
        "text": {"body": "Hola"},
        "name": "Juan",
    }
    inbound = read_inbound(asked, numbers, NOW)
    assert inbound.app == HOUSE
    whole = json.loads(inbound.body)
    assert whole["entry"][0]["id"] == "9001"
    assert whole["entry"][0]["changes"][0] == {
        "value": {
            "messaging_product": "whatsapp",
            "metadata": METADATA,
            "contacts": [{"profile": {"name": "Juan"}, "wa_id": PHONE, "user_id": user_id(PHONE)}],
            "messages": [
                {
                    "from": PHONE,
                    "from_user_id": user_id(PHONE),
                    "id": inbound.ids[0],
                    "timestamp": "1764000000",
                    "type": "text",
                    "text": {"body": "Hola"},
                }
            ],
        },
        "field": "messages",
    }
    assert inbound.ids[0].startswith("wamid.HBgM")


def test_text_may_be_given_plainly(numbers):
    message = value({"phone_number_id": "1001", "from": PHONE, "text": "Hola"}, numbers)["messages"][0]
    assert (message["type"], message["text"]) == ("text", {"body": "Hola"})


def test_a_given_id_and_timestamp_are_kept(numbers):
    asked = {"phone_number_id": "1001", "from": PHONE, "text": "Hola", "id": "wamid.X", "timestamp": 5}
    message = value(asked, numbers)["messages"][0]
    assert (message["id"], message["timestamp"]) == ("wamid.X", "5")


def test_a_user_without_a_phone_has_neither_from_nor_wa_id(numbers):
    asked = {"phone_number_id": "1001", "from_user_id": "EC.1349", "username": "ana", "text": "Hola"}
    found = value(asked, numbers)
    assert "from" not in found["messages"][0]
    assert found["contacts"] == [{"profile": {"name": "User 1349", "username": "ana"}, "user_id": "EC.1349"}]


def test_a_contacts_message_keeps_its_own_contacts(numbers):
    shared = [{"name": {"formatted_name": "Ana Ruiz"}}]
    found = value({"phone_number_id": "1001", "from": PHONE, "type": "contacts", "contacts": shared}, numbers)
    assert found["messages"][0]["contacts"] == shared
    assert found["contacts"][0]["wa_id"] == PHONE


def test_a_system_message_comes_without_contacts(numbers):
    asked = {"phone_number_id": "1001", "from": PHONE, "type": "system", "system": {"type": "user_changed_number"}}
    assert "contacts" not in value(asked, numbers)


WHOLE_VALUES = {
    "as value": {"value": VALUE},
    "as value without metadata, beside the number": {
        "phone_number_id": "1001", "value": {"messages": VALUE["messages"]},
    },
    "standing alone": VALUE,
}  # fmt: skip


@pytest.mark.parametrize("asked", WHOLE_VALUES.values(), ids=WHOLE_VALUES.keys())
def test_a_whole_value_is_wrapped(asked, numbers):
    inbound = read_inbound(asked, numbers, NOW)
    assert (inbound.app, inbound.ids) == (HOUSE, ["wamid.A"])
    assert json.loads(inbound.body) == BODY


WHOLE_BODIES = {"as body": {"body": BODY}, "standing alone": BODY}


@pytest.mark.parametrize("asked", WHOLE_BODIES.values(), ids=WHOLE_BODIES.keys())
def test_a_whole_body_is_posted_as_it_is(asked, numbers):
    inbound = read_inbound(asked, numbers, NOW)
    assert (inbound.app, inbound.ids) == (HOUSE, ["wamid.A"])
    assert json.loads(inbound.body) == BODY


def test_a_text_is_posted_as_it_stands(numbers):
    asked = {"body": '{"object": "cut o', "app_secret": "s", "webhook_url": "http://x"}
    inbound = read_inbound(asked, numbers, NOW)
    assert (inbound.body, inbound.app) == (b'{"object": "cut o', App("http://x", "s"))


def test_secret_and_url_given_beside_win_over_the_numbers(numbers):
    asked = {"value": VALUE, "app_secret": "forged", "webhook_url": "http://x/webhook/9"}
    assert read_inbound(asked, numbers, NOW).app == App("http://x/webhook/9", "forged")


def test_a_number_with_its_own_app_is_posted_to_its_own_app(numbers):
    asked = {"phone_number_id": "2001", "from": PHONE, "text": "Hola"}
    assert read_inbound(asked, numbers, NOW).app == App("http://127.0.0.1:8080/webhook/x", "own")


def test_a_management_field_is_routed_by_its_waba_and_dated(numbers):
    asked = {"waba_id": "9002", "field": "account_update", "value": {"event": "ACCOUNT_DELETED"}}
    inbound = read_inbound(asked, numbers, NOW)
    assert inbound.app.secret == "own"
    assert json.loads(inbound.body)["entry"] == [
        {
            "id": "9002",
            "time": 1_764_000_000,
            "changes": [{"value": {"event": "ACCOUNT_DELETED"}, "field": "account_update"}],
        }
    ]


NONSENSE = {
    "an unknown number": ({"phone_number_id": "77", "from": PHONE, "text": "x"}, "registered"),
    "no number at all": ({"from": PHONE, "text": "x"}, "registered"),
    "nobody writes": ({"phone_number_id": "1001", "text": "x"}, "who writes"),
    "a raw body without a secret": ({"body": "x", "webhook_url": "http://x"}, "sign"),
}


@pytest.mark.parametrize(("asked", "reason"), NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_refused_with_a_reason(asked, reason, numbers):
    with pytest.raises(ControlError, match=reason):
        read_inbound(asked, numbers, NOW)
