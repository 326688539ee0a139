"""The simulators' scripted faults, armed for a while. Not here: which ones (crash.py, isolation.py)."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from services.devstack.demo_bodies import Json
from services.runtime import http

TIMEOUT_SECONDS: Final = 10.0
THROTTLED: Final[Json] = {
    "kind": "status", "status": 429,
    "body": {"error": {"message": "(#130429) Rate limit hit", "type": "OAuthException", "code": 130429}},
}  # fmt: skip
"""Known not sent: the message waits and is tried again."""


@asynccontextmanager
async def fault(
    url: str, action: Mapping[str, Any], *, path: str = "", body_contains: str = "", probability: float = 1.0
) -> AsyncIterator[None]:
    """Let calls of the simulator at `url` suffer until the block is left."""
    match = {"path": path, "body_contains": body_contains}
    name = (await ask(url, "POST", "faults", {"match": match, "action": action, "probability": probability}))["id"]
    try:
        yield
    finally:
        await ask(url, "DELETE", f"faults/{name}")


async def ask(url: str, method: str, name: str, body: Mapping[str, Any] | None = None) -> Json:
    """Make one call of the control API. Raises aiohttp.ClientResponseError when it is refused."""
    sent = None if body is None else msgspec.json.encode(body)
    headers = {"Content-Type": "application/json"}
    async with (
        http.session(timeout_seconds=TIMEOUT_SECONDS, limit=1) as session,
        session.request(method, f"{url}/control/{name}", data=sent, headers=headers) as response,
    ):
        response.raise_for_status()
        return msgspec.json.decode(await response.read(), type=dict[str, Any])
