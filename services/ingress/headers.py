"""The request headers that say how to answer: Idempotency-Key, Prefer, If-Match. Not here: credentials (auth.py)."""

import re
from typing import Final

from starlette.datastructures import Headers

from services.domain.errors import ProblemError
from services.domain.limits import IDEMPOTENCY_KEY_CHARS

WAIT_MAX_SECONDS: Final = 30.0
_KEY: Final = re.compile(rf"[\x21-\x7e]{{1,{IDEMPOTENCY_KEY_CHARS}}}\Z")
_WAIT: Final = re.compile(r"wait\s*=\s*\"?(\d{1,4})\"?\Z", re.IGNORECASE)


def idempotency_key(headers: Headers) -> str | None:
    """Raises ProblemError for a key that is none, or is there twice."""
    given = headers.getlist("idempotency-key")
    if not given:
        return None
    if len(given) > 1 or not _KEY.match(given[0]):
        raise ProblemError(
            "invalid", f"Idempotency-Key is one header of 1 to {IDEMPOTENCY_KEY_CHARS} visible ASCII characters.",
            pointer="Idempotency-Key:",
        )  # fmt: skip
    return given[0]


def wait_seconds(headers: Headers, ours: float) -> float:
    """How long to wait: our own limit, or less if `Prefer: wait=N` (RFC 7240) says so; what is not understood is
    ignored, as that RFC asks."""
    for preference in ",".join(headers.getlist("prefer")).split(","):
        name = preference.partition(";")[0].strip()
        if found := _WAIT.match(name):
            return min(ours, float(found.group(1)), WAIT_MAX_SECONDS)
        if name.lower() == "respond-async":
            return 0.0
    return min(ours, WAIT_MAX_SECONDS)


def matches(headers: Headers, version: int) -> bool:
    """Whether `If-Match` allows a change of what is at this version; without the header everything is allowed."""
    given = [tag.strip() for value in headers.getlist("if-match") for tag in value.split(",")]
    return not given or "*" in given or etag(version) in given


def etag(version: int) -> str:
    return f'"{version}"'
