"""What a simulator reads and answers: a call and an answer. Not here: what an answer says, nor how it travels."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import orjson


class Call(msgspec.Struct, frozen=True):
    """One HTTP request, read to its end."""

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]  # names in lower case
    body: bytes

    def header(self, name: bytes) -> str:
        """Value of a header, or an empty text."""
        for known, value in self.headers:
            if known == name:
                return value.decode("latin-1")
        return ""

    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(self.query.decode("latin-1"), keep_blank_values=True))


class Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    content_type: bytes = b"application/json"


Work = Callable[[Call], Awaitable[Answer]]


class ControlError(Exception):
    """A control call that makes no sense; the message says what to send instead."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def json_answer(value: Any, status: int = 200) -> Answer:
    # not orjson: each of its results keeps about 4 KB of heap for as long as it lives, and answers are kept
    return Answer(status, msgspec.json.encode(value))


def json_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object; raise ControlError for anything else."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ControlError(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ControlError("the body must be a JSON object")
    return value
