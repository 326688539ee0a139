"""Webhook bodies as Meta writes them: users' messages of every kind, statuses, management fields. Chance by the dice.

Not here: how many of which (demo_traffic.py), signing and posting (demo_post.py).
"""

import json
from collections.abc import Sequence
from random import Random
from typing import Any, Final

import msgspec

from services.simulator.identities import user_id

Json = dict[str, Any]

_WORDS: Final = ("hola", "gracias", "¿a qué hora?", "buenos días ☀️", "listo", "confirmo", "precio del envío", "ok 👍")
_NAMES: Final = ("Ana", "Luis", "María José", "Noé", "Zoë", "Iñaki", "Rosa", "Tomás")


class Line(msgspec.Struct, frozen=True):
    """A business number as demo.json lists it. `app` is None on the house app."""

    company_id: str
    account_id: str
    phone_number: str
    phone_number_id: str
    waba_id: str
    app: str | None


class Person(msgspec.Struct, frozen=True):
    """A user. `phone` is bare digits, empty for one without a number; `user_id` is the BSUID."""

    phone: str
    user_id: str
    name: str
    username: str | None = None


def person(dice: Random, number: int, *, with_phone: bool = True) -> Person:
    """The number-th of the demonstration's users; the same number is the same user."""
    phone = f"5939{80_000_000 + number}" if with_phone else ""
    bsuid = user_id(phone) if phone else f"EC.8{number:015d}"
    name = _NAMES[number % len(_NAMES)]
    username = None if with_phone else f"{dice.choice(('ana', 'luis', 'rosa'))}.{number}"
    return Person(phone, bsuid, name, username)


def wamid(dice: Random) -> str:
    return f"wamid.HBg{dice.getrandbits(128):032X}"


def render(whole: Json) -> bytes:
    """JSON with every non-ASCII character escaped, as Meta signs it."""
    return json.dumps(whole, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def envelope(entries: Sequence[Json]) -> Json:
    return {"object": "whatsapp_business_account", "entry": list(entries)}


def entry(line: Line, *changes: Json, time: int | None = None) -> Json:
    """`time` (seconds) stands on management fields only."""
    return {"id": line.waba_id} | ({"time": time} if time is not None else {}) | {"changes": list(changes)}


def messages_change(line: Line, **parts: Any) -> Json:
    metadata = {"display_phone_number": line.phone_number.removeprefix("+"), "phone_number_id": line.phone_number_id}
    return {"value": {"messaging_product": "whatsapp", "metadata": metadata} | parts, "field": "messages"}


def contact(user: Person) -> Json:
    profile: Json = {"name": user.name} | ({"username": user.username} if user.username else {})
    return {"profile": profile} | ({"wa_id": user.phone} if user.phone else {}) | {"user_id": user.user_id}


def message(user: Person, name: str, now: int, kind: str, **content: Any) -> Json:
    sender = {"from": user.phone} if user.phone else {}
    return sender | {"from_user_id": user.user_id, "id": name, "timestamp": str(now), "type": kind} | content


def text_message(dice: Random, user: Person, now: int) -> Json:
    words = " ".join(dice.choices(_WORDS, k=dice.randint(1, 6)))
    return message(user, wamid(dice), now, "text", text={"body": words})


def inbound(line: Line, user: Person, *messages: Json) -> Json:
    """One change with messages of one user."""
    return messages_change(line, contacts=[contact(user)], messages=list(messages))


def other_message(dice: Random, user: Person, now: int) -> Json:
    """A message of any kind but text."""
    kind, content = dice.choice(_OTHER_KINDS)
    return message(user, wamid(dice), now, kind, **content)


def unknown_message(dice: Random, user: Person, now: int) -> Json:
    """A kind that Meta may bring tomorrow."""
    return message(user, wamid(dice), now, "hologram", hologram={"id": str(dice.getrandbits(40)), "depth": 3})


def status(word: str, name: str, user: Person, now: int) -> Json:
    to = {"recipient_id": user.phone} if user.phone else {}
    whole: Json = {"id": name, "status": word, "timestamp": str(now)} | to | {"recipient_user_id": user.user_id}
    if word in {"sent", "delivered"}:
        whole["pricing"] = {"billable": False, "pricing_model": "PMP", "category": "service",
                            "type": "free_customer_service"}  # fmt: skip
    return whole


def statuses(line: Line, user: Person, *each: Json) -> Json:
    """One change with statuses of messages to one user."""
    return messages_change(line, contacts=[contact(user)], statuses=list(each))


def management_change(dice: Random, line: Line) -> Json:
    """What Meta says of a template, a number or an account."""
    mark = dice.getrandbits(40)
    display = line.phone_number.removeprefix("+")
    return dice.choice([
        {"field": "message_template_status_update", "value": {
            "event": "APPROVED", "message_template_id": mark, "message_template_name": f"aviso_{mark}",
            "message_template_language": "es", "message_template_category": "UTILITY", "reason": None}},
        {"field": "message_template_quality_update", "value": {
            "previous_quality_score": "GREEN", "new_quality_score": "YELLOW", "message_template_id": mark,
            "message_template_name": f"aviso_{mark}", "message_template_language": "es"}},
        {"field": "phone_number_quality_update", "value": {
            "display_phone_number": display, "event": "ONBOARDING", "current_limit": "TIER_1K",
            "old_limit": "TIER_250", "request": mark}},
        {"field": "account_alerts", "value": {
            "entity_type": "BUSINESS", "entity_id": str(mark), "alert_info": {
                "alert_severity": "INFORMATIONAL", "alert_status": "ACTIVE", "alert_type": "OBA_APPROVED",
                "alert_description": "Sample alert description"}}},
        {"field": "account_update", "value": {
            "event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "ADULT"}, "case": mark}},
    ])  # fmt: skip


def unknown_change(dice: Random, line: Line) -> Json:
    """A field that nobody knows yet, with a number in it or without."""
    value: Json = {"thing": str(dice.getrandbits(40)), "list": [1, {"two": None}]}
    if dice.random() < 0.5:  # noqa: PLR2004 - a coin
        value["metadata"] = {"phone_number_id": line.phone_number_id}
    return {"field": "quantum_messages", "value": value}


_OTHER_KINDS: Final[tuple[tuple[str, Json], ...]] = (
    ("image", {"image": {"id": "1001", "mime_type": "image/jpeg", "sha256": "aGFzaA==", "caption": "mi comprobante"}}),
    ("audio", {"audio": {"id": "1002", "mime_type": "audio/ogg; codecs=opus", "sha256": "aGFzaA==", "voice": True}}),
    ("document", {"document": {"id": "1003", "mime_type": "application/pdf", "filename": "contrato.pdf",
                               "caption": "el contrato"}}),
    ("sticker", {"sticker": {"id": "1004", "mime_type": "image/webp", "animated": False}}),
    ("location", {"location": {"latitude": -0.1807, "longitude": -78.4678, "name": "Oficina"}}),
    ("contacts", {"contacts": [{"name": {"formatted_name": "Ana Ruiz", "first_name": "Ana"},
                                "phones": [{"phone": "+593991112222", "type": "WORK"}]}]}),
    ("reaction", {"reaction": {"message_id": "wamid.HBgNNTkz", "emoji": "👍"}}),
    ("interactive", {"interactive": {"type": "button_reply", "button_reply": {"id": "si", "title": "Sí"}}}),
    ("interactive", {"interactive": {"type": "list_reply", "list_reply": {"id": "9", "title": "09:00"}}}),
    ("button", {"button": {"payload": "PEDIDO", "text": "Ver pedido"},
                "context": {"from": "593999", "id": "wamid.HBgNNTkz"}}),
    ("order", {"order": {"catalog_id": "77", "text": "para hoy", "product_items": [
        {"product_retailer_id": "sku", "quantity": "2", "item_price": "3.5", "currency": "USD"}]}}),
    ("unsupported", {"errors": [{"code": 131051, "title": "Message type unknown"}],
                     "unsupported": {"type": "poll_creation"}}),
)  # fmt: skip
