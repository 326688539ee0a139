"""Webhook bodies and their signature, byte for byte as Meta writes them (facts §1.2, §1.4). Pure. Not here: posting."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

from services.simulator.identities import digits
from services.simulator.numbers import Number
from services.simulator.statuses import Json, Update


def sign(secret: str, body: bytes) -> str:
    """Value of X-Hub-Signature-256."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def render(value: Any) -> bytes:
    """JSON with every non-ASCII character escaped, as Meta signs it."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def value_of(number: Number) -> Json:
    """The beginning of every `messages` value of a number."""
    display = digits(number.display_phone_number) or number.display_phone_number
    metadata = {"display_phone_number": display, "phone_number_id": number.phone_number_id}
    return {"messaging_product": "whatsapp", "metadata": metadata}


def change_envelope(entry_id: str, value: Json, *, field: str = "messages", time: int | None = None) -> Json:
    """One change. `time` (seconds) stands on management fields only."""
    entry: Json = {"id": entry_id}
    if time is not None:
        entry["time"] = time
    entry["changes"] = [{"value": value, "field": field}]
    return {"object": "whatsapp_business_account", "entry": [entry]}


def status_envelope(updates: Sequence[Update]) -> Json:
    """Many statuses in one body: an entry for each WABA, in it a change for each number."""
    values: dict[str, dict[str, Json]] = {}
    for update in updates:
        number = update.number
        of_waba = values.setdefault(number.waba_id, {})
        value = of_waba.setdefault(number.phone_number_id, value_of(number) | {"contacts": [], "statuses": []})
        value["statuses"].append(update.status)
        if update.contact is not None and update.contact not in value["contacts"]:
            value["contacts"].append(update.contact)
    entries = [
        {"id": waba_id, "changes": [{"value": _tidy(value), "field": "messages"} for value in of_waba.values()]}
        for waba_id, of_waba in values.items()
    ]
    return {"object": "whatsapp_business_account", "entry": entries}


def _tidy(value: Json) -> Json:
    """Failures alone come without `contacts`."""
    return value if value["contacts"] else {key: part for key, part in value.items() if key != "contacts"}
