"""The HTTP server of this process: uvicorn with what measurements chose (facts, python-limits §1). Not here: routes.

SIGTERM belongs to runtime/lifecycle.py; the server is told to stop and lets running requests finish.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from traceback import format_tb
from typing import Final, cast

import uvicorn
from uvicorn._types import ASGIApplication

from services.ingress.app import App

HOST: Final = "127.0.0.1"
_DRAIN_SECONDS: Final = 10
_BACKLOG: Final = 2048
_KEEP_ALIVE_SECONDS: Final = 75
_HEAD_BYTES: Final = 64 * 1024


class _WithoutBodies(logging.Filter):
    """An exception's text may hold what a message said: its class and places are enough."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            kind, _, frames = record.exc_info
            name = kind.__name__ if kind else "?"
            record.msg, record.args, record.exc_info = (
                f"{record.msg}{name}\n{''.join(format_tb(frames)[-3:])}",
                (),
                None,
            )
        return True


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_server(app: App, port: int) -> uvicorn.Server:
    config = uvicorn.Config(
        cast("ASGIApplication", app), host=HOST, port=port, loop="uvloop", http="httptools", ws="none", lifespan="off",
        access_log=False, log_config=None, server_header=False, date_header=True, proxy_headers=False,
        backlog=_BACKLOG, timeout_keep_alive=_KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=_DRAIN_SECONDS,
        h11_max_incomplete_event_size=_HEAD_BYTES,
    )  # fmt: skip
    logging.getLogger("uvicorn.error").addFilter(_WithoutBodies())
    return _Server(config)


async def serve_until(server: uvicorn.Server, stop: asyncio.Event) -> None:
    """Serve; once `stop` is set take no more connections and finish what runs."""
    serving = asyncio.create_task(server.serve(), name="http")
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving
