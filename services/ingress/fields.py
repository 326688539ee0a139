"""Kinds of fields that several request models share: each says its own code when a value does not fit. Strict: a number
is no text, an unknown field is an error. Not here: rules between fields (the models)."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from services.domain.ids import clean_phone
from services.domain.limits import METADATA_BYTES, METADATA_KEYS

_RFC3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})\Z")
_BSUID: Final = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}\Z")  # facts §1.8
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+\Z")


class StrictModel(BaseModel):
    """A request body: unknown fields are refused (a lost `varibles` costs more than strictness)."""

    model_config = ConfigDict(extra="forbid", strict=True)


def wrong(code: str, detail: str, pointer: str | None = None) -> PydanticCustomError:
    """Say what does not fit; `pointer` where a rule between fields speaks of one of them."""
    plain = detail.replace("{", "{{").replace("}", "}}")
    return PydanticCustomError(code, plain, {"pointer": pointer} if pointer else None)


def _phone(text: str) -> str:
    phone = clean_phone(text)
    if phone is None:
        raise wrong("phone_not_e164", "Write the number as + and digits; without + it would be another country's.")
    return phone


def _bsuid(text: str) -> str:
    if not _BSUID.match(text):
        raise wrong("invalid", "A recipient is a user id as WhatsApp gives it, for example EC.1349….")
    return text


def _moment(text: Any) -> datetime:
    moment = _read_moment(text) if isinstance(text, str) and _RFC3339.match(text) else None
    if moment is None:
        raise wrong("invalid", "A time is RFC 3339 with its zone, for example 2026-11-24T15:30:45Z.")
    return moment


def _read_moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    if len(value) > METADATA_KEYS:
        raise wrong("invalid", f"metadata has at most {METADATA_KEYS} keys.")
    if len(msgspec.json.encode(value)) > METADATA_BYTES:
        raise wrong("invalid", f"metadata has at most {METADATA_BYTES} bytes.")
    return value


def _visible(text: str) -> str:
    if not _VISIBLE.match(text):
        raise wrong("invalid", "Only visible ASCII characters are allowed.")
    return text


Phone = Annotated[str, AfterValidator(_phone), Field(examples=["+593987654321"], max_length=40)]
Bsuid = Annotated[str, AfterValidator(_bsuid), Field(max_length=140)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
"""Text outside, a datetime in UTC inside."""
Metadata = Annotated[dict[str, Any], AfterValidator(_metadata)]
OwnId = Annotated[str, Field(min_length=1, max_length=36)]
Visible = Annotated[str, AfterValidator(_visible)]
