"""`/metrics` and `/health*` of a room, from a thread of their own: they answer also when the event loop does not."""

import threading
import wsgiref.simple_server
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, Final, Literal

import msgspec
import prometheus_client

from services.domain.events import rfc3339
from services.runtime import clock

State = Literal["ok", "degraded", "down"]
_HTTP: Final = {"ok": "200 OK", "degraded": "200 OK", "down": "503 Service Unavailable"}


class Health:
    """What a room knows of its dependencies. Setting a check is cheap; asking never blocks."""

    def __init__(self) -> None:
        self._checks: dict[str, dict[str, Any]] = {}
        self._probes: dict[str, Callable[[], tuple[State, str]]] = {}

    def set(self, name: str, status: State, detail: str = "") -> None:
        known = self._checks.get(name)
        since = known["since"] if known and known["status"] == status else rfc3339(clock.now())
        self._checks[name] = {"status": status, "since": since, "detail": detail}

    def probe(self, name: str, ask: Callable[[], tuple[State, str]]) -> None:
        """Have `ask` called at each question (a loop's age, a pool's state); it must not block."""
        self._probes[name] = ask

    def answer(self) -> tuple[State, dict[str, Any]]:
        for name, ask in self._probes.items():
            self.set(name, *ask())
        states = [check["status"] for check in self._checks.values()]
        worst: State = "down" if "down" in states else "degraded" if "degraded" in states else "ok"
        return worst, {"status": worst, "checks": dict(self._checks)}


class _Server(ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class _Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing: a line per scrape helps nobody."""


def serve(health: Health, port: int) -> None:
    """Serve in a daemon thread; port 0 serves nowhere (a room inside a test)."""
    if not port:
        return
    metrics = prometheus_client.make_wsgi_app()

    def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, start)  # type: ignore[no-any-return]  # prometheus_client has no types
        if path == "/health/live":
            status, body = "200 OK", {"status": "ok"}
        elif path == "/health":
            state, body = health.answer()
            status = _HTTP[state]
        else:
            status, body = "404 Not Found", {"status": "no such page"}
        start(status, [("Content-Type", "application/json")])
        return [msgspec.json.encode(body)]

    server = wsgiref.simple_server.make_server("127.0.0.1", port, app, _Server, _Quiet)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
