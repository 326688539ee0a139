"""Our command → Meta's JSON, and the correlation string that rides in it. Pure. Not here: HTTP, template rules."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from services.domain.errors import RecordError
from services.domain.ids import is_typed_id
from services.domain.message import Recipient, SendCommand, TemplateContent

CALLBACK_VERSION: Final = "r1"
_CALLBACK_PARTS: Final = 3
_ATTEMPT_DIGITS: Final = 9


def build(
    command: SendCommand, callback: str, *, to: Recipient | None = None, context_wamid: str | None = None
) -> dict[str, Any]:
    """Write the body of `POST /{phone_number_id}/messages` (facts §2).

    `to` and `context_wamid` stand in for a conversation and a reply that the command names by ids of ours.
    Raises RecordError when the command's type or recipient cannot be said to WhatsApp.
    """
    type_ = "template" if command.template else command.type
    writer = WRITERS.get(type_)
    if writer is None:
        raise RecordError("unsupported_type", f"the Cloud API is not sent messages of type {command.type!r}")
    body = {
        "messaging_product": "whatsapp",
        **_address(to or command.to),
        "type": type_,
        type_: writer(command),
        "biz_opaque_callback_data": callback,
    }
    wamid = context_wamid or command.reply_to
    if wamid and wamid.startswith("wamid."):
        body["context"] = {"message_id": wamid}
    return body


def callback_data(message_id: str, attempt: int) -> str:
    """Write what every status of this attempt will carry back."""
    return f"{CALLBACK_VERSION}.{message_id}.{attempt}"


def parse_callback(text: str | None) -> tuple[str, int] | None:
    """Return message id and attempt, or None for what we did not write (a client's own value, an older program's)."""
    parts = (text or "").split(".")
    if len(parts) != _CALLBACK_PARTS or parts[0] != CALLBACK_VERSION or not is_typed_id(parts[1], "msg"):
        return None
    number = parts[2]
    if not (number.isascii() and number.isdigit() and len(number) <= _ATTEMPT_DIGITS):
        return None
    return parts[1], int(number)


def _address(to: Recipient) -> dict[str, str]:
    """Phones keep their `+`: without it Meta prepends the business's own country code."""
    if to.group_id:
        return {"recipient_type": "group", "to": to.group_id}
    if to.phone:
        return {"recipient_type": "individual", "to": to.phone}
    if to.user_id:
        return {"recipient_type": "individual", "recipient": to.user_id}
    raise RecordError("recipient_unresolved", "the command names no phone number, user or group")


def _text(command: SendCommand) -> dict[str, Any]:
    return {"body": command.content, "preview_url": command.preview_url}


def _template(command: SendCommand) -> dict[str, Any]:
    template = command.template
    if template is None:
        raise RecordError("template_missing", "a template message carries no template")
    body: dict[str, Any] = {"name": template.name, "language": {"code": template.language}}
    if parameters := _parameters(template):
        body["components"] = [{"type": "body", "parameters": parameters}]
    return body


def _parameters(template: TemplateContent) -> list[dict[str, str]]:
    positional = [{"type": "text", "text": text} for text in template.positional]
    named = [{"type": "text", "parameter_name": name, "text": text} for name, text in template.named.items()]
    return positional + named


WRITERS: Final[Mapping[str, Callable[[SendCommand], dict[str, Any]]]] = MappingProxyType(
    {
        "text": _text,  # facts §2.1
        "template": _template,  # facts §2.2
    }
)
