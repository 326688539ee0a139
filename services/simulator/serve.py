"""Serves an ASGI app on a loopback port with uvicorn's httptools protocol, and can reset a connection for real.

The app finds its connection by `transport(scope)`. Not here: what is answered.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_TRANSPORT: Final = "simulator.transport"
# Longer than any client keeps an idle connection (aiohttp: 15 s): the only resets are the scripted ones
_IDLE_SECONDS: Final = 300
_LINGER_NOTHING: Final = struct.pack("ii", 1, 0)  # close() sends RST and drops what was not sent


class _Protocol(HttpToolsProtocol):
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_TRANSPORT: self.transport}  # type: ignore[dict-item]  # ASGI foresees only dicts


def transport(scope: Scope) -> asyncio.Transport:
    found: asyncio.Transport = scope["extensions"][_TRANSPORT]
    return found


def reset(connection: asyncio.Transport) -> None:
    """End a connection with a TCP reset."""
    handle = os.dup(connection.get_extra_info("socket").fileno())  # uvloop's own socket object has no setsockopt
    with socket.socket(fileno=handle) as twin:
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOTHING)
    connection.abort()


@contextlib.asynccontextmanager
async def serving(app: App, *, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve until the block ends; gives the base URL. Port 0 takes a free one. OSError when the port is taken."""

    async def quiet(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # only we cancel; uvicorn would log it as a crash
            await app(scope, receive, send)

    config = uvicorn.Config(
        quiet, interface="asgi3", http="httptools", ws="none", lifespan="off", log_config=None, log_level="warning",
        access_log=False, proxy_headers=False, timeout_keep_alive=_IDLE_SECONDS,
    )  # fmt: skip
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Protocol(config, state, {}), host, port, backlog=4096)
    try:
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await _end(state)


async def _end(state: ServerState) -> None:
    for connection in list(state.connections):
        connection.transport.abort()
    for task in list(state.tasks):
        task.cancel()
    if state.tasks:
        await asyncio.wait(list(state.tasks), timeout=2)
    await asyncio.sleep(0)  # connection_lost is called in the next step of the loop
