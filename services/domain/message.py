"""What a message is on its way out: the command as it travels, and the classes of traffic. Not here: provider JSON,
columns, states (delivery.py)."""

from datetime import datetime
from typing import Any, Final, Literal

import msgspec

Lane = Literal["urgent", "normal", "bulk"]
LANES: Final[tuple[Lane, ...]] = ("urgent", "normal", "bulk")


class TemplateContent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A template to send: resolved to the name and language that WhatsApp knows."""

    name: str
    language: str
    positional: list[str] = []
    named: dict[str, str] = {}


class Recipient(msgspec.Struct, frozen=True, omit_defaults=True):
    """Exactly one is set: phone is +E.164, user_id a BSUID, conversation_id ours, group_id WhatsApp's."""

    phone: str | None = None
    user_id: str | None = None
    conversation_id: str | None = None
    group_id: str | None = None

    @property
    def key(self) -> str:
        """What keeps messages of one conversation in order before the conversation is known."""
        return self.phone or self.user_id or self.conversation_id or self.group_id or ""


class SendCommand(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The value of a wa.send.* record. Times are UTC; `body_sha256` is the hash of the client's canonical body."""

    message_id: str
    tenant: int
    account_id: str
    to: Recipient
    type: str
    content: str
    body_sha256: str
    accepted_at: datetime
    lane: Lane = "normal"
    template: TemplateContent | None = None
    template_id: str | None = None
    preview_url: bool = False
    reply_to: str | None = None
    metadata: dict[str, Any] = {}
    not_before: datetime | None = None
    not_after: datetime | None = None
    outcome_policy: str | None = None
    message_class: str = "transactional"


class _Addressed(msgspec.Struct):
    account_id: str
    to: Recipient


_READ_ADDRESS: Final = msgspec.json.Decoder(_Addressed).decode
_DECODER: Final = msgspec.json.Decoder(SendCommand)
_ENCODER: Final = msgspec.json.Encoder()


def encode_command(command: SendCommand) -> bytes:
    return _ENCODER.encode(command)


def decode_command(value: bytes) -> SendCommand:
    """Raises msgspec.DecodeError or ValidationError for what is no command."""
    return _DECODER.decode(value)


def conversation_key(value: bytes) -> str | None:
    """Return what keeps a command behind the others of its conversation; None for what is no command."""
    try:
        addressed = _READ_ADDRESS(value)
    except msgspec.MsgspecError:
        return None
    return f"{addressed.account_id}|{addressed.to.key}"
