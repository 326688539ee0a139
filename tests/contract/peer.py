"""A TCP peer that answers HTTP as it is told and records what reached it to the byte. Not here: any meaning."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self


class Request(NamedTuple):
    line: str
    headers: dict[str, str]
    body: bytes


def answer(status: int, body: bytes | Mapping[str, Any], headers: str = "") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(content)}\r\n\r\n".encode() + content


class Peer:
    """Each request takes the next scripted answer: bytes, "close", "reset", "hang", or a tuple of these."""

    def __init__(self, script: Sequence[Any]) -> None:
        self.script = list(script)
        self.requests: list[Request] = []
        self.received = b""
        self.connections = 0
        self.ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while True:
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended.set()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as cut:
            self.received += cut.partial
            raise
        line, *lines = head.decode().strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.received += head + body
        self.requests.append(Request(line, headers, body))
        scripted = self.script.pop(0)
        for step in scripted if isinstance(scripted, tuple) else (scripted,):
            await self._do(step, writer)

    async def _do(self, step: bytes | str, writer: asyncio.StreamWriter) -> None:
        if isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
        elif step == "hang":
            await asyncio.Event().wait()
        else:
            if step == "reset":  # linger for 0 seconds: close() sends RST
                rst = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, rst)
            raise ConnectionError(step)
