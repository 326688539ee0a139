"""What lists may be asked: filters, order, page. An unknown parameter is refused like an unknown field. Not here: the
queries that answer."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.domain.ids import clean_phone
from services.domain.limits import LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX
from services.ingress.fields import wrong

CONVERSATION_STATES = ("open", "closed", "archived")
_NUL = "\0"


def _plain(text: str) -> str:
    if _NUL in text:
        raise wrong("bad_filter", "NUL is not allowed.")
    return text


def _states(text: str) -> str:
    if not set(text.split(",")) <= set(CONVERSATION_STATES):
        raise wrong("bad_filter", f"status is a comma-separated list of {', '.join(CONVERSATION_STATES)}.")
    return text


def _phone(text: str) -> str:
    phone = clean_phone(text)
    if phone is None:
        raise wrong("phone_not_e164", "Write the number as + and digits; in a URL the + is %2B.")
    return phone


Plain = Annotated[str, AfterValidator(_plain), Field(max_length=256)]


class Page(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(LIST_LIMIT_DEFAULT, ge=1, le=LIST_LIMIT_MAX)
    cursor: Plain | None = Field(None, description="next_cursor of the page before")


class ConversationQuery(Page):
    account_id: Plain | None = None
    status: Annotated[Plain, AfterValidator(_states)] | None = Field(None, description="open,closed,archived")
    contact_phone: Annotated[Plain, AfterValidator(_phone)] | None = None
    sort: Literal["-last_message_at", "last_message_at"] = "-last_message_at"


class MessageQuery(Page):
    direction: Literal["inbound", "outbound"] | None = None
    type: Plain | None = None
    status: Literal["queued", "sending", "waiting", "sent", "delivered", "read", "played", "failed", "expired",
                    "cancelled", "unknown"] | None = None  # fmt: skip
    order: Literal["asc", "desc"] = Field("desc", description="by the message's time")


class AccountQuery(Page):
    business_id: Plain | None = None
    account_type: Literal["cloud_api", "baileys"] | None = None
    status: Literal["pending", "active", "paused", "degraded", "error", "disabled"] | None = None
    q: Annotated[Plain, Field(min_length=1, max_length=100)] | None = Field(None, description="in name or number")
