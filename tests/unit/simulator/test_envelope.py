"""Webhook bodies and signature, byte for byte."""

import json

from services.simulator.envelope import change_envelope, render, sign, status_envelope
from services.simulator.numbers import Number
from services.simulator.statuses import Update

ONE = Number("1001", "+593 2 222 2222", "9001")
TWO = Number("1002", "59322222223", "9001")
FAR = Number("2001", "14155238886", "9002")
ANA = {"profile": {"name": "Ana"}, "wa_id": "593987654321", "user_id": "EC.1"}


def status(number, wamid, contact=ANA):
    return Update(number, {"id": wamid, "status": "sent"}, contact)


def test_the_signature_is_hmac_sha256_in_lower_case_hex():
    # computed with: openssl dgst -sha256 -hmac secret
    expected = "sha256=03f6dd944ecab4ddac0e3dbc3923b2da4e12b03df679ae23a52efd78ca6056e0"
    assert sign("secret", b'{"object":"whatsapp_business_account"}') == expected


def test_non_ascii_is_escaped_in_lower_case_hex():
    assert render({"body": "ñ 👍"}) == rb'{"body":"\u00f1 \ud83d\udc4d"}'


def test_a_single_status_as_in_metas_reference():
    assert status_envelope([status(ONE, "wamid.A")]) == {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": "9001",
                "changes": [
                    {
                        "value": {
                            "messaging_product": "whatsapp",
                            "metadata": {"display_phone_number": "59322222222", "phone_number_id": "1001"},
                            "contacts": [ANA],
                            "statuses": [{"id": "wamid.A", "status": "sent"}],
                        },
                        "field": "messages",
                    }
                ],
            }
        ],
    }


def test_a_batch_has_an_entry_for_each_waba_and_a_change_for_each_number():
    batch = [status(ONE, "A"), status(FAR, "B"), status(TWO, "C"), status(ONE, "D")]
    found = [
        (
            entry["id"],
            change["value"]["metadata"]["phone_number_id"],
            [each["id"] for each in change["value"]["statuses"]],
        )
        for entry in status_envelope(batch)["entry"]
        for change in entry["changes"]
    ]
    assert found == [("9001", "1001", ["A", "D"]), ("9001", "1002", ["C"]), ("9002", "2001", ["B"])]


def test_one_person_stands_once_in_contacts():
    value = status_envelope([status(ONE, "A"), status(ONE, "B")])["entry"][0]["changes"][0]["value"]
    assert value["contacts"] == [ANA]


def test_failures_alone_come_without_contacts():
    value = status_envelope([status(ONE, "A", contact=None)])["entry"][0]["changes"][0]["value"]
    assert "contacts" not in value


def test_time_stands_on_management_fields_only():
    assert "time" not in change_envelope("9001", {})["entry"][0]
    management = change_envelope("9001", {"event": "APPROVED"}, field="message_template_status_update", time=5)
    assert management["entry"][0]["time"] == 5


def test_bodies_are_json():
    assert json.loads(render(status_envelope([status(ONE, "A")])))["object"] == "whatsapp_business_account"
