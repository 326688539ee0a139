"""The face that every simulator has: control API, health, record of calls, faults. Not here: the simulated work."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from services.runtime import clock
from services.simulator.calls import Answer, Call, ControlError, Work, json_answer
from services.simulator.faults import Ending, Fault, Faults, suffer
from services.simulator.received import PAGE_ITEMS, Received
from services.simulator.serve import Receive, Scope, Send, reset, transport

Control = Callable[[Call], Awaitable[Answer]]
Routes = Mapping[tuple[str, str], Control]

_PREFIX: Final = "/control/"
_HEALTHY: Final = json_answer({"status": "ok", "checks": {}})


class ControlledApp:
    """ASGI app around the simulated work. `show` adds to /control/state, `forget` to /control/reset."""

    def __init__(
        self, work: Work, routes: Routes, show: Callable[[], dict[str, Any]], forget: Callable[[], None],
    ) -> None:  # fmt: skip
        self._work = work
        self._show = show
        self._forget = forget
        self._started = clock.monotonic()
        self.received = Received()
        self.faults = Faults(random.Random().random)  # noqa: S311 - chance of a fault, no secret
        self._routes: Routes = {
            ("GET", "received"): self._list_received,
            ("POST", "faults"): self._arm,
            ("DELETE", "faults"): self._disarm,
            ("POST", "reset"): self._reset,
            ("GET", "state"): self._state,
            **routes,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if body is None:
            return
        call = Call(scope["method"], scope["path"], scope["query_string"], scope["headers"], body)
        if call.path.startswith(_PREFIX):
            await _send(send, await self._control(call))
        elif call.path in {"/health", "/health/live"}:
            await _send(send, _HEALTHY)
        else:
            await self._serve(call, scope, receive, send)

    async def _serve(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        item = self.received.add(call)
        action = self.faults.strike(call.path, call.body)
        if action is None:
            answer = await self._work(call)
            self.received.settle(item, answer)
            await _send(send, answer)
            return
        item.fault = action.kind
        ending = await suffer(action, lambda: self._work(call))
        self.received.settle(item, ending.answer, action.kind)
        await _finish(ending, scope, receive, send)

    async def _control(self, call: Call) -> Answer:
        name = call.path.removeprefix(_PREFIX).partition("/")[0]
        route = self._routes.get((call.method, name))
        if route is None:
            known = sorted(f"{method} {_PREFIX}{each}" for method, each in self._routes)
            return json_answer({"error": "no such control call", "known": known}, 404)
        try:
            return await route(call)
        except ControlError as error:
            return json_answer({"error": str(error)}, error.status)
        except msgspec.MsgspecError as error:
            return json_answer({"error": str(error)}, 400)

    async def _list_received(self, call: Call) -> Answer:
        asked = call.parameters()
        after, limit = _number(asked, "after", 0), _number(asked, "limit", PAGE_ITEMS)
        return json_answer(self.received.page(after, asked.get("match", ""), min(max(limit, 1), PAGE_ITEMS)))

    async def _arm(self, call: Call) -> Answer:
        return json_answer({"id": self.faults.arm(msgspec.json.decode(call.body, type=Fault))})

    async def _disarm(self, call: Call) -> Answer:
        name = call.path.removeprefix(_PREFIX + "faults").strip("/")
        return json_answer({"deleted": self.faults.disarm(name or None)})

    async def _reset(self, _call: Call) -> Answer:
        """Forget calls, faults and what is on its way; registered numbers and endpoints stay."""
        self.received.clear()
        self.faults.disarm()
        self._forget()
        return json_answer({"status": "reset"})

    async def _state(self, _call: Call) -> Answer:
        book = self.received
        shown = {
            "uptime_seconds": round(clock.monotonic() - self._started, 3),
            "received": {"last": book.last, "kept": len(book), "dropped": book.dropped},
            "faults": self.faults.shown(),
        }
        return json_answer(shown | self._show())


def _number(asked: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(asked.get(name, default))
    except ValueError as error:
        raise ControlError(f"{name} must be a whole number") from error


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None when the caller left before its end."""
    parts: list[bytes] = []
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        parts.append(event["body"])
        if not event["more_body"]:
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _send(send: Send, answer: Answer) -> None:
    length = str(len(answer.body)).encode()
    headers = [(b"content-type", answer.content_type), (b"content-length", length)]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _finish(ending: Ending, scope: Scope, receive: Receive, send: Send) -> None:
    if ending.manner == "send" and ending.answer is not None:
        await _send(send, ending.answer)
        return
    if ending.manner == "hold":
        await _hold(receive, ending.seconds)
        transport(scope).abort()
    else:
        reset(transport(scope))
    await receive()  # comes back when the connection is gone: uvicorn then expects no answer


async def _hold(receive: Receive, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds or None):
            await receive()
    except TimeoutError:
        return
