"""The answer to a waiting POST /api/messages: the message's present outcome as the sender knows it.

It is no announcement: it may be lost, and then the request answers 202."""

from typing import Any

import msgspec


class Reply(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The value of a wa.reply record; headers carry `copy` and `request` of the ingress that waits.

    `status` is a message state; `problem` names a row of the catalogue when the request itself is at fault
    (idempotency_mismatch, idempotency_key_spent); `replay`: the message was there before this command.
    """

    message_id: str
    status: str
    whatsapp_message_id: str | None = None
    whatsapp_status: str | None = None
    sent_at: str | None = None
    conversation_id: str | None = None
    error: dict[str, Any] | None = None
    problem: str | None = None
    replay: bool = False


class ReplyTo(msgspec.Struct, frozen=True):
    """Who waits: travels as header `reply_to` of a command, `partition/copy/request`."""

    partition: int
    copy: str
    request: str

    def __str__(self) -> str:
        return f"{self.partition}/{self.copy}/{self.request}"


def parse_reply_to(text: str) -> ReplyTo | None:
    """Read the header; None for what is none (the answer is then simply not given)."""
    parts = text.split("/")
    if len(parts) != 3 or not parts[0].isdecimal():  # noqa: PLR2004 - partition, copy, request
        return None
    return ReplyTo(int(parts[0]), parts[1], parts[2])
