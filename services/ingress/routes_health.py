"""Routes of /health* on the API's port: whether this copy can do its work now, check by check; liveness asks nobody."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.domain.errors import ProblemError
from services.ingress.answers import json_response
from services.ingress.guard import deps_of

router: Final = APIRouter(prefix="/health", tags=["health"])
_NAMES: Final = {"db": "database"}
"""The plan's names → ours."""


@router.get("", response_model=None)
async def health(request: Request) -> Response:
    """200 while the work can be done (`ok` or `degraded`), 503 when not."""
    state, body = deps_of(request).health.answer()
    return json_response(body, 503 if state == "down" else 200)


@router.get("/live", response_model=None)
async def live() -> Response:
    """The process turns; no dependency is asked."""
    return json_response({"status": "ok"})


@router.get("/{name}", response_model=None)
async def check(request: Request, name: str) -> Response:
    """One check: kafka, database (or db), memcached."""
    _, body = deps_of(request).health.answer()
    found = body["checks"].get(_NAMES.get(name, name))
    if found is None:
        raise ProblemError("not_found", "There is no such check.")
    return json_response(found, 503 if found["status"] == "down" else 200)
