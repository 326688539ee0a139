"""What the API's answers look like, for OpenAPI: the shapes of views.py and answers.py, and the problem document.

Tests hold every answer against these. Not here: request bodies (the models of each route).
"""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.domain.errors import PROBLEMS
from services.ingress.auth import Permission
from services.ingress.guard import PERMISSION
from services.ingress.problems import MEDIA_TYPE

_ALWAYS: Final = (400, 401, 403, 422, 503)


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorRow(Document):
    pointer: str = Field(description="JSON pointer into the body; `?name` of a query parameter; `Name:` of a header")
    code: str
    detail: str


class MetaError(Document):
    code: int | str | None = None
    subcode: int | str | None = None
    details: str | None = None
    fbtrace_id: str | None = None


class ProblemDocument(Document):
    """RFC 9457. `code` is one of the catalogue; `error` repeats `detail`."""

    type: str
    title: str
    status: int
    detail: str
    code: Literal[*sorted(PROBLEMS)]  # type: ignore[valid-type]  # the catalogue is the one place of the codes
    error: str
    retryable: bool
    fault: Literal["caller", "whatsapp", "recado"]
    errors: list[ErrorRow]
    trace_id: str
    message_id: str | None = None
    meta: MetaError | None = None


class Sent(Document):
    """201: WhatsApp returned an id."""

    id: str
    whatsapp_message_id: str | None
    status: Literal["sent"]
    sent_at: str | None
    account_id: str
    phone_number: str | None
    conversation_id: str | None
    provider: str
    whatsapp_status: str


class Accepted(Document):
    """202: durable; what became of it is not known yet, or unknown."""

    id: str
    status: str
    account_id: str
    phone_number: str | None


class Pending(Document):
    """The id was issued and its message has no row yet."""

    id: str
    status: Literal["accepted"]


class Message(Document):
    id: str
    conversation_id: str | None
    message_type: str
    direction: Literal["inbound", "outbound"]
    content: str
    media_url: str | None
    status: str
    whatsapp_message_id: str | None
    metadata: dict[str, Any]
    sent_at: str | None
    delivered_at: str | None
    read_at: str | None
    created_at: str
    updated_at: str
    account_id: str
    phone_number: str | None
    recipient: str | None
    type: str
    template_id: str | None
    variables: Any
    reply_to: str | None
    priority: str | None
    error: dict[str, Any] | None
    media: dict[str, Any] | None
    pricing: dict[str, Any] | None
    failed_at: str | None
    played_at: str | None


class TimelineLine(Document):
    at: str
    event_type: str
    event_id: str | None
    status: str
    attempt: int | None
    source: Literal["sender", "status", "api"]
    late: bool


class Timeline(Document):
    data: list[TimelineLine]


class ContactNames(Document):
    id: str
    bsuid: str | None
    username: str | None
    lid: str | None
    wa_id: str | None


class LastMessage(Document):
    id: str
    direction: str
    type: str
    content: str


class Conversation(Document):
    id: str
    account_id: str
    contact_phone: str | None
    contact_name: str | None
    status: Literal["open", "closed", "archived"]
    last_message_at: str | None
    metadata: dict[str, Any]
    created_at: str
    updated_at: str
    contact: ContactNames
    window_expires_at: str | None
    unread_count: int
    assigned_to: str | None
    handler: Literal["ai", "human"]
    tags: list[str]
    last_message: LastMessage | None


class Secret(Document):
    set: bool


class Token(Secret):
    last4: str | None
    expires_at: str | None


class Secrets(Document):
    api_key: Token
    webhook_secret: Secret


class Check(Document):
    """Connection checks are not run yet: `ok` is null."""

    ok: bool | None


class Account(Document):
    id: str
    company_id: str
    business_id: str
    phone_number: str
    waba_id: str | None
    account_type: str
    status: str
    created_at: str
    updated_at: str
    phone_number_id: str | None
    name: str | None
    app_id: str
    settings: dict[str, Any]
    quality_rating: Any
    messaging_limit: Any
    throughput_mps: Any
    transports: list[str]
    secrets: Secrets
    meta_door: None
    check: Check


class MessagePage(Document):
    data: list[Message]
    next_cursor: str | None


class ConversationPage(Document):
    data: list[Conversation]
    next_cursor: str | None


class AccountPage(Document):
    data: list[Account]
    next_cursor: str | None


def documented(permission: Permission, answers: dict[int, Any], *problems: int) -> dict[str, Any]:
    """Say for a route: which permission it needs, how it answers, which problems beside the common ones it has."""
    known = {int(row.status) for row in PROBLEMS.values()}
    statuses = sorted({*_ALWAYS, *problems} & known)
    responses: dict[int, Any] = {status: {"model": model} for status, model in answers.items()}
    responses |= {
        status: {"description": ", ".join(sorted(row.code for row in PROBLEMS.values() if row.status == status)),
                 "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}}
        for status in statuses
    }  # fmt: skip
    return {
        "responses": responses, "status_code": min(answers), "response_model": answers[min(answers)],
        "openapi_extra": {PERMISSION: permission},
    }  # fmt: skip
