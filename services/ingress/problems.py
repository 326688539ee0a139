"""Errors as clients see them: application/problem+json from the one catalogue (domain/errors.py). Not here: the codes
themselves, and what is checked where."""

import re
from collections.abc import Mapping, Sequence
from traceback import format_tb
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from services.domain.errors import PROBLEMS, Problem, ProblemError
from services.runtime import clock, logs

MEDIA_TYPE: Final = "application/problem+json"
_TRACEPARENT: Final = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")
_TRACE: Final = "recado.trace_id"
_BY_STATUS: Final = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}
_BY_TYPE: Final = {"extra_forbidden": "unknown_field"}
_UNEXPECTED: Final = Problem("unexpected", 500, "Recado failed", retryable=True, fault="recado")


def trace_id(scope: Scope) -> str:
    """Return the request's trace: the client's by W3C `traceparent`, else a new one, the same at each call."""
    if _TRACE not in scope:
        given = [_TRACEPARENT.match(value) for name, value in scope["headers"] if name == b"traceparent"]
        found = given[0].group(1).decode() if len(given) == 1 and given[0] else clock.new_uuid7().hex
        scope[_TRACE] = found
    return str(scope[_TRACE])


def problem_bytes(problem: Problem, detail: str, trace: str, errors: Sequence[Mapping[str, str]] = (),
                  extra: Mapping[str, Any] | None = None) -> bytes:  # fmt: skip
    """Write the body; `error` repeats `detail` because the plan's clients read that."""
    return msgspec.json.encode({
        "type": f"urn:recado:problem:{problem.code}", "title": problem.title, "status": problem.status,
        "detail": detail, "code": problem.code, "error": detail, "retryable": problem.retryable,
        "fault": problem.fault, "errors": errors, "trace_id": trace, **(extra or {}),
    })  # fmt: skip


def problem_response(request: Request, error: ProblemError, headers: Mapping[str, str] | None = None) -> Response:
    given = dict(headers or {})
    if error.retry_after_seconds is not None:
        given["Retry-After"] = str(error.retry_after_seconds)
    if error.problem.status == 401:  # noqa: PLR2004 - RFC 9110 asks for the challenge
        given["WWW-Authenticate"] = "Bearer"
    body = problem_bytes(error.problem, error.detail, trace_id(request.scope), error.errors, error.extra)
    return Response(body, error.problem.status, given, MEDIA_TYPE)


def validation_problem(found: Sequence[Any]) -> ProblemError:
    """Turn the framework's findings into one problem with a pointer for each of them."""
    rows = [_row(error) for error in found]
    codes = {row["code"] for row in rows}
    code = codes.pop() if len(codes) == 1 else "invalid"
    detail = rows[0]["detail"] if len(rows) == 1 else f"{len(rows)} fields do not fit: see errors."
    return ProblemError(code, detail, errors=rows)


def _row(error: Mapping[str, Any]) -> dict[str, str]:
    where, *path = error["loc"]
    kind = _BY_TYPE.get(error["type"], error["type"])
    code = kind if kind in PROBLEMS else "bad_filter" if where == "query" else "invalid"
    detail = str(error["msg"])
    pointer = error.get("ctx", {}).get("pointer")
    return {"pointer": pointer or _pointer(where, path), "code": code, "detail": detail}


def _pointer(where: str, path: Sequence[str | int]) -> str:
    """A JSON pointer into the body; `?name` for a query parameter, `name:` for a header."""
    if where == "query":
        return f"?{path[0] if path else ''}"
    if where == "header":
        return f"{path[0] if path else ''}:"
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def install(app: FastAPI) -> None:
    """Have every error of the app answered from the catalogue."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_unexpected)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - the handler's registration says so
    return problem_response(request, error)


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the handler's registration says so
    found = error.errors()
    if any(row["loc"][0] == "path" for row in found):
        return problem_response(request, ProblemError("not_found", "There is nothing of this name."))
    return problem_response(request, validation_problem(found))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler's registration says so
    code = _BY_STATUS.get(error.status_code, "invalid")
    return problem_response(request, ProblemError(code, f"{PROBLEMS[code].title}."), error.headers)


async def _on_disconnect(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the handler's shape
    return Response(status_code=400)  # nobody reads it


async def _on_unexpected(request: Request, error: Exception) -> Response:
    """A bug. Only places and the error's class are logged: its text may hold what a message said."""
    trace = trace_id(request.scope)
    frames = "".join(format_tb(error.__traceback__)[-3:])
    logs.get_logger().error("request_failed", err=type(error).__name__, trace_id=trace, path=request.url.path,
                            frames=frames)  # fmt: skip
    return Response(problem_bytes(_UNEXPECTED, "Something went wrong here.", trace), 500, media_type=MEDIA_TYPE)
