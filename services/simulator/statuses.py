"""How status webhooks follow a send: the script, its plan for one message, and Meta's body of a status. Pure.

Not here: timers, posting.
"""

from collections.abc import Mapping
from random import Random
from typing import Annotated, Any, Final

import msgspec

from services.simulator.faults import Share
from services.simulator.identities import profile_name, user_id
from services.simulator.numbers import Number

Milliseconds = Annotated[float, msgspec.Meta(ge=0)]
Json = dict[str, Any]

UNDELIVERABLE: Final[Json] = {
    "code": 131026,
    "title": "Message undeliverable",
    "message": "Message undeliverable",
    "error_data": {"details": "Message Undeliverable."},
    "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
}
_DAY_SECONDS: Final = 24 * 3600
_NO_CONVERSATION_FROM: Final = 24  # Graph versions from v24.0 on leave `conversation` out (facts §1.9)


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `POST /control/statuses` takes. Each of `duplicate`, `reorder` and `before_answer` is a probability.

    `delay_ms`: from one status to the next. `batch`: so many statuses at most in one POST. `errors`: of a `failed`.
    An empty `sequence` sends nothing.
    """

    sequence: tuple[str, ...] = ("sent", "delivered", "read")
    delay_ms: tuple[Milliseconds, Milliseconds] = (50, 500)
    duplicate: Share = 0.0
    reorder: Share = 0.0
    batch: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    before_answer: Share = 0.0
    errors: tuple[Json, ...] = (UNDELIVERABLE,)


class Sent(msgspec.Struct, frozen=True):
    """A message that Meta accepted; `at` in seconds since the epoch."""

    number: Number
    wamid: str
    phone: str
    user_id: str
    type: str
    at: float
    version: int
    callback: str | None = None


class Step(msgspec.Struct, frozen=True):
    """One status: posted `due` seconds after the send, dated `offset` seconds after it."""

    status: str
    due: float
    offset: float


class Update(msgspec.Struct, frozen=True):
    """One status as a webhook carries it, with the contact that Meta puts beside it."""

    number: Number
    status: Json
    contact: Json | None


def plan(script: Script, dice: Random) -> list[Step]:
    """When each status of one message happens and when it is posted; earliest post first.

    Reordering swaps the posts of two neighbours, never their timestamps; a duplicate comes later, with the same body.
    """
    offsets: list[float] = []
    now = 0.0
    for _ in script.sequence:
        now += dice.uniform(*script.delay_ms) / 1000
        offsets.append(now)
    dues = list(offsets)
    if len(dues) > 1 and dice.random() < script.reorder:
        place = dice.randrange(len(dues) - 1)
        dues[place], dues[place + 1] = dues[place + 1], dues[place]
    steps = [Step(*row) for row in zip(script.sequence, dues, offsets, strict=True)]
    again = [
        Step(step.status, step.due + dice.uniform(*script.delay_ms) / 1000, step.offset)
        for step in steps
        if dice.random() < script.duplicate
    ]
    return sorted(steps + again, key=lambda step: step.due)


def update(sent: Sent, step: Step, script: Script) -> Update:
    """Meta's body of a status (facts §1.8, §1.9)."""
    status: Json = {"id": sent.wamid, "status": step.status, "timestamp": str(int(sent.at + step.offset))}
    failed = step.status == "failed"
    if sent.phone:
        status["recipient_id"] = sent.phone
    if not (failed and sent.phone):  # left out of a failure when the message went to a phone
        status["recipient_user_id"] = sent.user_id
    if sent.callback is not None:
        status["biz_opaque_callback_data"] = sent.callback
    if failed:
        status["errors"] = list(script.errors)
        return Update(sent.number, status, None)
    status |= _billing(sent, step.status, script)
    return Update(sent.number, status, contact(sent.phone, sent.user_id))


def _billing(sent: Sent, status: str, script: Script) -> Json:
    """Pricing stands on `sent` and on one of delivered and read."""
    second = "delivered" if "delivered" in script.sequence else "read"
    if status not in {"sent", second}:
        return {}
    template = sent.type == "template"
    category = "utility" if template else "service"
    pricing = {
        "billable": template,
        "pricing_model": "PMP",
        "category": category,
        "type": "regular" if template else "free_customer_service",
    }
    if sent.version >= _NO_CONVERSATION_FROM:
        return {"pricing": pricing}
    conversation: Json = {"id": sent.wamid.removeprefix("wamid.")[-32:].lower(), "origin": {"type": category}}
    if status == "sent":
        conversation["expiration_timestamp"] = str(int(sent.at) + _DAY_SECONDS)
    return {"conversation": conversation, "pricing": pricing}


def contact(phone: str, user: str, name: str = "") -> Json:
    """`wa_id` is left out for users without a phone number."""
    whole: Json = {"profile": {"name": name or profile_name(phone or user)}}
    if phone:
        whole["wa_id"] = phone
    return whole | {"user_id": user or user_id(phone)}


def shown(script: Script) -> Mapping[str, Any]:
    whole: Mapping[str, Any] = msgspec.to_builtins(script)
    return whole
