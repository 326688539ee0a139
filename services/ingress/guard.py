"""What every API request passes before its route: credential, permission, then the body's size, form and characters.

In this order, so that a stranger costs no parsing. Not here: what a body means (the models do that).
"""

import json
import math
import re
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, NoReturn

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from services.domain.errors import ProblemError
from services.domain.limits import API_BODY_BYTES, API_BODY_DEPTH
from services.ingress.auth import Caller, Permission, authenticate, demand
from services.ingress.deps import Deps

PERMISSION: Final = "x-permission"
_BAD_CHARACTER: Final = re.compile("[\x00\ud800-\udfff]")
_INT64: Final = 2**63
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


class CheckedRequest(Request):
    """A request whose JSON body has been read and checked once."""

    checked: Any = None

    async def json(self) -> Any:
        return self.checked


class ApiRoute(APIRoute):
    """A route that says in `openapi_extra` which permission it needs."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        serve = super().get_route_handler()
        permission: Permission = (self.openapi_extra or {})[PERMISSION]

        async def handle(request: Request) -> Response:
            deps: Deps = request.app.state.deps
            if not deps.directory.loaded.is_set():
                raise ProblemError("store_unavailable", "Accounts are not known yet.", retry_after_seconds=2)
            request.state.caller = authenticate(request.headers, deps.policy, deps.directory.book)
            demand(request.state.caller, permission)
            checked = CheckedRequest(request.scope, request.receive)
            if request.method in _WITH_BODY:
                checked.checked = await read_json(checked)
            return await serve(checked)

        return handle


def caller_of(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


def deps_of(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps


async def read_json(request: Request) -> Any:
    """Read, decode and check the body. Raises ProblemError."""
    headers = request.headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" or headers.get("content-encoding", "identity") != "identity":
        raise ProblemError("unsupported_media_type", "Send application/json, not compressed.")
    body = parse(await _read(request))
    _check(body)
    return body


async def _read(request: Request) -> bytes:
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > API_BODY_BYTES:
        _too_large()
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > API_BODY_BYTES:
            _too_large()
        chunks.append(chunk)
    # the framework asks for the body again
    request._body = b"".join(chunks)  # noqa: SLF001 - where Starlette itself keeps it
    return request._body  # noqa: SLF001 - as above


def _too_large() -> NoReturn:
    raise ProblemError("too_large", f"A body has at most {API_BODY_BYTES} bytes.")


def parse(body: bytes) -> Any:
    """Decode strictly: UTF-8 without BOM, no NaN, no member twice. Raises ProblemError malformed_json or invalid."""
    try:
        return json.loads(body.decode(), object_pairs_hook=_members, parse_constant=_no_constant)
    except RecursionError:
        raise ProblemError("invalid", f"The body is nested deeper than {API_BODY_DEPTH} levels.") from None
    except ValueError as error:
        place = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise ProblemError("malformed_json", f"The body is not valid JSON in UTF-8{place}.") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check(body: Any) -> None:
    """Refuse what could not be stored or passed on as it is. Raises ProblemError invalid with the place."""
    if found := _fault(body, 1):
        path = [str(part).replace("~", "~0").replace("/", "~1") for part in reversed(found.path)]
        pointer = "".join(f"/{part}" for part in path if not _BAD_CHARACTER.search(part))
        row = {"pointer": pointer, "code": "invalid", "detail": found.detail}
        raise ProblemError("invalid", found.detail, errors=[row])


class _Fault(NamedTuple):
    """`path` is filled from the inside out, so that what is sound costs nothing."""

    detail: str
    path: list[str | int]


def _fault(value: Any, depth: int) -> _Fault | None:
    if isinstance(value, dict | list):
        if depth > API_BODY_DEPTH:
            return _Fault(f"The body is nested deeper than {API_BODY_DEPTH} levels.", [])
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if found := _fault(inner, depth + 1) or _fault(name, depth + 1):
                found.path.append(name)
                return found
        return None
    detail = _scalar_fault(value)
    return _Fault(detail, []) if detail else None


def _scalar_fault(value: Any) -> str | None:
    """Say what is wrong with a leaf: characters that no store takes, numbers that are none elsewhere."""
    if isinstance(value, str):
        return "NUL and lone surrogates are not allowed." if _BAD_CHARACTER.search(value) else None
    if isinstance(value, float):
        return None if math.isfinite(value) else "The number is too large."
    if isinstance(value, int):
        return None if -_INT64 <= value < _INT64 else "The number does not fit 64 bits."
    return None
