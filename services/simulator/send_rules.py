"""Meta's validation of `POST /{phone_number_id}/messages` (facts §2): pure; raises MetaError. Not here: HTTP, answers.

Text and template are checked in full, the other types by their shape.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from services.domain import limits
from services.simulator.identities import BSUID, calling_code, digits
from services.simulator.meta_errors import MetaError, bad_value, invalid, missing
from services.simulator.template_rules import check_template

Body = Mapping[str, Any]

_CAPTION_CHARS: Final = 1024  # facts §2.1
_CONTACTS: Final = 50


class Recipient(msgspec.Struct, frozen=True):
    """To whom a message goes: `phone` in digits, or a BSUID; `given` is what the caller wrote."""

    given: str
    phone: str = ""
    user_id: str = ""


class Send(msgspec.Struct, frozen=True):
    """A valid call; `callback` is the caller's biz_opaque_callback_data."""

    recipient: Recipient
    type: str
    callback: str | None = None


class MarkRead(msgspec.Struct, frozen=True):
    message_id: str


def read_send(body: Any, business_phone: str) -> Send | MarkRead:
    """Judge a body for a number whose own phone is `business_phone` (digits, or empty when nobody told us)."""
    if not isinstance(body, dict):
        raise invalid("The request body must be a JSON object")
    if body.get("messaging_product") != "whatsapp":
        raise invalid("The parameter messaging_product is required and must be 'whatsapp'")
    if body.get("status") == "read":
        return MarkRead(_text(body, "message_id"))
    recipient = _recipient(body, business_phone)
    kind = body.get("type", "text")
    rule = _RULES.get(kind) if isinstance(kind, str) else None
    if rule is None:
        raise invalid(f"Param type must be one of {{{', '.join(sorted(_RULES)).upper()}}}")
    rule(body)
    _check_context(body)
    return Send(recipient, kind, _callback(body))


def _recipient(body: Body, business_phone: str) -> Recipient:
    if body.get("recipient_type", "individual") not in {"individual", "group"}:
        raise invalid("Param recipient_type must be one of {INDIVIDUAL, GROUP}")
    to, user = body.get("to"), body.get("recipient")
    if to:  # wins when both are given
        return _phone(to, business_phone)
    if user is None:
        raise invalid("The parameter to is required")
    if not isinstance(user, str) or not BSUID.fullmatch(user):
        raise bad_value("Parameter recipient is not a business-scoped user id")
    return Recipient(user, user_id=user)


def _phone(to: Any, business_phone: str) -> Recipient:
    phone = digits(to) if isinstance(to, str) else ""
    if not phone:
        raise bad_value("Parameter to is not a valid phone number")
    if not to.lstrip().startswith("+"):
        # Meta takes it for a number of the business's own country: the message goes astray without an error
        code = calling_code(business_phone)
        phone = phone if phone.startswith(code) else code + phone
    if phone == business_phone:
        raise MetaError(131021, "The recipient is the sender")
    return Recipient(to, phone=phone)


def _callback(body: Body) -> str | None:
    callback = body.get("biz_opaque_callback_data")
    if callback is None:
        return None
    if not isinstance(callback, str):
        raise invalid("Param biz_opaque_callback_data must be a string")
    if len(callback) > limits.CALLBACK_DATA_CHARS:
        raise invalid(f"Param biz_opaque_callback_data must be at most {limits.CALLBACK_DATA_CHARS} characters long.")
    return callback


def _check_context(body: Body) -> None:
    if body.get("context") is not None:
        _text(_object(body, "context"), "message_id")


def _object(body: Body, name: str) -> Body:
    value = body.get(name)
    if value is None:
        raise missing(name)
    if not isinstance(value, dict):
        raise invalid(f"Param {name} must be a JSON object.")
    return value


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if value is None:
        raise missing(name)
    if not isinstance(value, str) or not value:
        raise invalid(f"Param {name} must be a non-empty string.")
    return value


def _check_text(body: Body) -> None:
    text = _object(body, "text")
    content = text.get("body")
    if content is None:
        raise missing("text['body']")
    if not isinstance(content, str) or not content.strip():
        raise invalid("Param text['body'] must be a non-empty string.")
    if len(content) > limits.TEXT_BODY_CHARS:
        raise invalid(f"Param text['body'] must be at most {limits.TEXT_BODY_CHARS} characters long.")
    if not isinstance(text.get("preview_url", False), bool):
        raise invalid("Param text['preview_url'] must be a boolean.")


def _media(kind: str) -> Callable[[Body], None]:
    def check(body: Body) -> None:
        media = _object(body, kind)
        if ("id" in media) == ("link" in media):
            raise invalid(f"Param {kind} must have exactly one of id and link.")
        if len(str(media.get("caption", ""))) > _CAPTION_CHARS:
            raise invalid(f"Param {kind}['caption'] must be at most {_CAPTION_CHARS} characters long.")

    return check


def _check_location(body: Body) -> None:
    location = _object(body, "location")
    for name in ("latitude", "longitude"):
        if not re.fullmatch(r"-?\d{1,3}(\.\d+)?", str(location.get(name))):
            raise bad_value(f"Parameter location['{name}'] is not a coordinate")


def _check_contacts(body: Body) -> None:
    contacts = body.get("contacts")
    if not isinstance(contacts, list) or not 1 <= len(contacts) <= _CONTACTS:
        raise invalid(f"Param contacts must be an array of 1 to {_CONTACTS} elements.")
    for contact in contacts:
        name = contact.get("name") if isinstance(contact, dict) else None
        if not isinstance(name, dict) or not name.get("formatted_name"):
            raise missing("contacts['name']['formatted_name']")


def _check_reaction(body: Body) -> None:
    reaction = _object(body, "reaction")
    _text(reaction, "message_id")
    if not isinstance(reaction.get("emoji", ""), str):
        raise invalid("Param reaction['emoji'] must be a string.")


def _check_interactive(body: Body) -> None:
    interactive = _object(body, "interactive")
    _text(interactive, "type")
    _object(interactive, "action")


def _check_template(body: Body) -> None:
    check_template(_object(body, "template"))


_RULES: Final[Mapping[str, Callable[[Body], None]]] = MappingProxyType({
    "text": _check_text,
    "template": _check_template,
    **{kind: _media(kind) for kind in ("image", "video", "audio", "document", "sticker")},
    "location": _check_location,
    "contacts": _check_contacts,
    "reaction": _check_reaction,
    "interactive": _check_interactive,
})  # fmt: skip
