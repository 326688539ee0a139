"""One ASGI callable: /webhook goes to its plain handler before FastAPI (half the cost), the rest to FastAPI."""

from typing import Any, Final

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from services.ingress import (
    problems,
    routes_accounts,
    routes_conversations,
    routes_deadletters,
    routes_health,
    routes_messages,
)
from services.ingress.deps import Deps
from services.ingress.openapi import describe
from services.ingress.webhook import PATH

_UNDER: Final = PATH + "/"


class App:
    """What the server calls."""

    def __init__(self, webhook: ASGIApp, api: ASGIApp) -> None:
        self._webhook = webhook
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            if path == PATH or path.startswith(_UNDER):
                await self._webhook(scope, receive, send)
                return
        await self._api(scope, receive, send)


def make_api(deps: Deps | None = None) -> FastAPI:
    """Build the API; without `deps` it can only be described."""
    api = FastAPI(title="Recado", version="1.0.0", redirect_slashes=False, redoc_url=None)
    api.state.deps = deps
    problems.install(api)
    for room in (routes_messages, routes_conversations, routes_accounts, routes_deadletters, routes_health):
        api.include_router(room.router)
    document: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not document:
            document.update(describe(api))
        return document

    api.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the description
    return api
