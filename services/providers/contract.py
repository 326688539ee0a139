"""What a provider is to the rooms: how a send ends, and what an inbound update says. Not here: any provider's JSON,
codes or HTTP. Every record is a plain value; `SendOutcome` and `Update` are closed unions, to be matched in full."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from services.domain.errors import Fault
from services.domain.message import Recipient, SendCommand


class Sent(msgspec.Struct, frozen=True):
    """WhatsApp gave an id. `wa_id` and `user_id` name the recipient as WhatsApp knows him; `whatsapp_status` is
    accepted or held_for_quality_assessment."""

    wamid: str
    wa_id: str | None = None
    user_id: str | None = None
    whatsapp_status: str = "accepted"


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """WhatsApp said no and will say so again: the message fails. `meta` is {"code","subcode","details","fbtrace_id"}
    as far as they were given; `pause_account` means that no send of this account can succeed before a person acts."""

    code: str
    title: str
    detail: str
    fault: Fault
    retryable: bool = False
    pause_account: bool = False
    meta: Mapping[str, Any] = {}

    def as_error(self) -> dict[str, Any]:
        """Write the refusal as messages and events show it."""
        return {"code": self.code, "title": self.title, "details": self.detail, "meta": dict(self.meta),
                "meta_code": self.meta.get("code"), "retryable": self.retryable, "fault": self.fault}  # fmt: skip


class NotSent(msgspec.Struct, frozen=True, kw_only=True):
    """Known not sent: the attempt may be repeated. `retry_after_seconds` is the least wait that makes sense, if known;
    `meta` as in Refused, empty when no answer came."""

    reason: str
    retry_after_seconds: float | None = None
    meta: Mapping[str, Any] = {}


class Unknown(msgspec.Struct, frozen=True):
    """The request left and no answer tells what became of it: never to be repeated blindly (architecture §2.4)."""

    reason: str


SendOutcome = Sent | Refused | NotSent | Unknown


class SendingNumber(msgspec.Struct, frozen=True):
    """The business number that sends, as its provider knows it, and the token that may use it."""

    number: str
    token: str

    def __repr__(self) -> str:
        return f"SendingNumber({self.number!r}, token=***)"


class Provider(Protocol):
    async def send(
        self,
        command: SendCommand,
        *,
        origin: SendingNumber,
        attempt: int,
        lease_ends: float,
        to: Recipient | None = None,
        context_wamid: str | None = None,
    ) -> SendOutcome:
        """Make one attempt; raises only CancelledError (then the outcome is unknown) and RecordError for a command that
        cannot be written down.

        `lease_ends` is a reading of runtime.clock.monotonic: past it nothing leaves. `to` and `context_wamid` stand
        in for a recipient and a reply that the command names by ids of ours.
        """
        ...

    async def close(self) -> None: ...


class Identity(msgspec.Struct, frozen=True):
    """A user by all the names that one update gave; any may be missing, `wa_id` is bare digits."""

    wa_id: str | None = None
    bsuid: str | None = None
    parent_bsuid: str | None = None
    username: str | None = None
    name: str | None = None
    group_id: str | None = None


class InboundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A user wrote. `content` is what a person would read; `detail` holds the rest under the names of api.md §8.

    `event_type` is message_received, reaction_received, message_edited, message_revoked or contact_identity_changed.
    """

    wamid: str
    timestamp: datetime | None
    type: str
    content: str
    sender: Identity
    reply_to_wamid: str | None
    detail: dict[str, Any]
    event_type: str


class StatusUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message of ours. `known` is False for a word that is kept but not applied.

    `timestamp_text` is the time as it was written, part of the natural key; `participant` is set in groups only.
    """

    wamid: str
    status: str
    known: bool
    timestamp: datetime | None
    timestamp_text: str
    recipient: Identity
    participant: str
    callback: str | None
    errors: list[dict[str, Any]]
    pricing: dict[str, Any] | None
    conversation: dict[str, Any] | None


class AccountUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What WhatsApp says of an account, a number or a template.

    `state_field` names the row of account_state that holds the latest value, None where there is none to hold.
    """

    field: str
    event_type: str
    waba_id: str
    display_phone_number: str | None
    state_field: str | None
    old: str | None
    new: str | None
    raw: Any


class UnknownUpdate(msgspec.Struct, frozen=True):
    """Signed and readable, but of a kind that has no meaning here yet: kept with its raw."""

    field: str
    raw: Any


Update = InboundMessage | StatusUpdate | AccountUpdate | UnknownUpdate
