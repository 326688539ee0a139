"""One POST to an endpoint: signed, bounded in time and in what is read of the answer. Not here: what it means."""

import asyncio
import contextlib
from typing import Final

import aiohttp

from services.domain.tenants import Endpoint
from services.notifier.plan import Answer, Push, judge, read_retry_after
from services.notifier.signature import SecretError, headers
from services.runtime import clock, metrics
from services.runtime.http import Session

_FIXED: Final = {"content-type": "application/json", "user-agent": "Recado"}
_ANSWER_BYTES: Final = 64 * 1024
_BROKEN: Final = (aiohttp.ClientError, OSError, TimeoutError)


async def post(session: Session, endpoint: Endpoint, push: Push) -> Answer:
    """Send the stored bytes as they are. Never raises for what an endpoint can do: that is an answer too."""
    started = clock.monotonic()
    answer = await _post(session, endpoint, push)
    metrics.DELIVERY.labels(answer.verdict).observe(clock.monotonic() - started)
    return answer


async def _post(session: Session, endpoint: Endpoint, push: Push) -> Answer:
    now = clock.now()
    try:
        signed = headers(endpoint.secrets, str(push.key.event_id), int(now.timestamp()), push.body)
    except SecretError:
        return Answer(verdict="failed", detail="secret_unreadable")
    try:
        async with session.post(
            endpoint.url, data=push.body, headers=_FIXED | signed, allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=endpoint.timeout_seconds),
        ) as response:  # fmt: skip
            answer = judge(response.status, read_retry_after(response.headers.get("Retry-After"), now))
            with contextlib.suppress(*_BROKEN):  # the status has said everything already
                await _read_some(response)
            return answer
    except (aiohttp.InvalidURL, ValueError):
        return Answer(verdict="failed", detail="url_unusable")
    except TimeoutError:
        return Answer(verdict="failed", detail="timeout")
    except aiohttp.ClientConnectorError:
        return Answer(verdict="failed", detail="not_connected")
    except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError):
        return Answer(verdict="failed", detail="connection_broken")


async def _read_some(response: aiohttp.ClientResponse) -> None:
    """Read the answer so that its connection can serve again; one that says more than it may loses it."""
    left = _ANSWER_BYTES
    while left > 0:
        piece = await response.content.read(left)
        if not piece:
            return
        left -= len(piece)
    response.close()
