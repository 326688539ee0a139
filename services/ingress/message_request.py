"""The body of POST /api/messages: what it may say, and the command that it becomes. Not here: HTTP, Kafka."""

import hashlib
import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import AfterValidator, Field, model_validator

from services.domain.ids import is_typed_id
from services.domain.limits import (
    NOT_AFTER_DEFAULT,
    NOT_AFTER_URGENT,
    TEMPLATE_VARIABLE_CHARS,
    TEMPLATE_VARIABLE_SPACES,
    TEXT_BODY_CHARS,
)
from services.domain.message import Lane, Recipient, SendCommand, TemplateContent
from services.domain.tenants import Account
from services.ingress.fields import Bsuid, Metadata, Moment, OwnId, Phone, StrictModel, Visible, wrong

TYPES: Final = ("text", "template")
_OTHER_TYPES: Final = frozenset({"image", "video", "sticker", "document", "audio", "location", "contacts",
                                 "interactive", "reaction"})  # fmt: skip
_VARIABLES: Final = 100
_VARIABLE_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,99}\Z")  # facts §2.2: lower case, digits, underscore
_TEMPLATE: Final = re.compile(r"[a-z0-9_]{1,512}\Z")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(_[A-Z]{2,3}|_[A-Z][a-z]{3})?\Z")
_FORBIDDEN_IN_VARIABLE: Final = re.compile(rf"[\n\r\t]| {{{TEMPLATE_VARIABLE_SPACES + 1}}}")


def _variables(value: Any) -> Any:
    """A list, or an object by name or by number 1…n. Each value is a text that WhatsApp would take."""
    if value is None:
        return None
    if not isinstance(value, list | dict):
        raise wrong("template_variables", "variables is a list, or an object by name or number.")
    if len(value) > _VARIABLES:
        raise wrong("template_variables", f"A template has at most {_VARIABLES} variables.")
    for name, text in enumerate(value) if isinstance(value, list) else value.items():
        _check_variable(str(name), text)
    if isinstance(value, dict):
        _check_names(set(value))
    return value


def _check_variable(name: str, text: Any) -> None:
    where = f"/variables/{name}".replace("~", "~0")
    if not isinstance(text, str):
        raise wrong("variable_format", "A variable is a text.", where)
    if len(text) > TEMPLATE_VARIABLE_CHARS:
        raise wrong("variable_format", f"A variable has at most {TEMPLATE_VARIABLE_CHARS} characters.", where)
    if _FORBIDDEN_IN_VARIABLE.search(text):
        detail = f"A variable has no line break, no tab and at most {TEMPLATE_VARIABLE_SPACES} spaces in a row."
        raise wrong("variable_format", detail, where)


def _check_names(names: set[str]) -> None:
    if any(name.isdecimal() for name in names):
        if names != {str(number + 1) for number in range(len(names))}:
            raise wrong("template_variables", "Numbered variables are 1, 2, … without a gap, and no names beside them.")
    elif not all(_VARIABLE_NAME.match(name) for name in names):
        raise wrong("template_variables", "A variable's name is lower-case letters, digits and underscores.")


def _content(text: str) -> str:
    if len(text) > TEXT_BODY_CHARS:
        raise wrong("content_length", f"content has at most {TEXT_BODY_CHARS} characters; these are {len(text)}.")
    return text


def _language(text: str) -> str:
    if not _LANGUAGE.match(text):
        raise wrong("invalid", "A language is written as WhatsApp does: es, es_MX, en_US.")
    return text


Language = Annotated[str, AfterValidator(_language), Field(max_length=12)]


class NewMessage(StrictModel):
    """Exactly one of phone_number, recipient and conversation_id; `template_id` makes it a template."""

    account_id: OwnId | None = Field(None, description="needed unless conversation_id is given")
    phone_number: Phone | None = None
    recipient: Bsuid | None = Field(None, description="a user's id (BSUID), for users without a phone number")
    conversation_id: OwnId | None = None
    type: str | None = Field(None, description="text or template", max_length=36)
    content: Annotated[str, AfterValidator(_content)] = Field("", description="what a person would read")
    template_id: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        None, description="the template's name at WhatsApp; wins over type"
    )
    variables: Annotated[Any, AfterValidator(_variables)] = Field(
        None, description="body variables: a list, or an object by name or number",
        json_schema_extra={"anyOf": [{"type": "array", "items": {"type": "string"}},
                                     {"type": "object", "additionalProperties": {"type": "string"}}]},
    )  # fmt: skip
    language: Language | None = Field(None, description="default: the account's default_language, else es")
    preview_url: bool = False
    reply_to: Annotated[Visible, Field(max_length=256)] | None = Field(None, description="our id or a wamid")
    priority: Lane = "normal"
    not_before: Moment | None = None
    not_after: Moment | None = Field(None, description="default: 10 minutes if urgent, else 24 hours")
    metadata: Metadata = Field(default_factory=dict)
    message_class: Literal["transactional", "marketing"] = Field("transactional", alias="class")
    outcome_policy: Literal["at_most_once", "at_least_once"] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "NewMessage":
        self._check_recipient()
        self._check_type()
        if self.not_before and self.not_after and self.not_after <= self.not_before:
            raise wrong("invalid", "not_after comes after not_before.", "/not_after")
        return self

    def _check_recipient(self) -> None:
        given = [name for name in ("phone_number", "recipient", "conversation_id") if getattr(self, name) is not None]
        if len(given) != 1:
            raise wrong("invalid", "Exactly one of phone_number, recipient and conversation_id is needed.",
                        f"/{given[1]}" if given else "/phone_number")  # fmt: skip
        if self.account_id is None and self.conversation_id is None:
            raise wrong("invalid", "account_id is needed.", "/account_id")

    def _check_type(self) -> None:
        if self.template_id is not None:
            self._check_template(self.template_id)
        elif self.type == "template":
            raise wrong("invalid", "A template needs template_id.", "/template_id")
        elif self.type != "text":
            raise wrong("invalid", f"type is one of {', '.join(TYPES)}.", "/type")
        elif not self.content:
            raise wrong("content_length", f"content has 1 to {TEXT_BODY_CHARS} characters.", "/content")
        elif self.variables is not None or self.language is not None:
            field = "variables" if self.variables is not None else "language"
            raise wrong("invalid", f"{field} belongs to a template.", f"/{field}")

    def _check_template(self, name: str) -> None:
        if self.type in _OTHER_TYPES:
            raise wrong("type_conflict", f"A template is sent as text or template, not as {self.type}.", "/type")
        if self.type not in (None, *TYPES):
            raise wrong("invalid", f"type is one of {', '.join(TYPES)}.", "/type")
        if not _TEMPLATE.match(name) or is_typed_id(name, "tpl"):
            raise wrong("invalid", "template_id is the template's name at WhatsApp: a-z, 0-9 and _.", "/template_id")


def command_of(message: NewMessage, account: Account, *, message_id: str, to: Recipient, language: str,
               body_sha256: str, accepted_at: datetime) -> SendCommand:  # fmt: skip
    """Build the command; `language` is the message's own or its account's."""
    life = NOT_AFTER_URGENT if message.priority == "urgent" else NOT_AFTER_DEFAULT
    template = None
    if message.template_id is not None:
        template = template_of(message.template_id, language, message.variables)
    return SendCommand(
        message_id=message_id, tenant=account.tenant, account_id=account.id, to=to,
        type="template" if template else "text", content=message.content, body_sha256=body_sha256,
        accepted_at=accepted_at, lane=message.priority, template=template, template_id=message.template_id,
        preview_url=message.preview_url, reply_to=message.reply_to, metadata=message.metadata,
        not_before=message.not_before, not_after=message.not_after or (message.not_before or accepted_at) + life,
        outcome_policy=message.outcome_policy, message_class=message.message_class,
    )  # fmt: skip


def template_of(name: str, language: str, variables: list[str] | dict[str, str] | None) -> TemplateContent:
    """Resolve the variables' three ways of writing into positional or named ones."""
    if isinstance(variables, dict) and "1" not in variables:
        return TemplateContent(name=name, language=language, named=variables)
    if isinstance(variables, dict):
        variables = [variables[str(number + 1)] for number in range(len(variables))]
    return TemplateContent(name=name, language=language, positional=variables or [])


def canonical_sha256(body: Any) -> str:
    """Hash what the client asked for, whatever the order of its members and its white space."""
    return hashlib.sha256(msgspec.json.encode(body, order="sorted")).hexdigest()
