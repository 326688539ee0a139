"""The limit of ingress: a bare ASGI handler that reads the body and answers the same bytes, on ingress's own server.

`python -m tests.bench.bare_ingress PORT CORE`. Nothing else of the product runs here.
"""

import os
import sys
from typing import Any, Final, cast

import uvloop

from services.ingress.app import App
from services.ingress.server import make_server
from services.runtime.lifecycle import freeze_garbage

_ANSWER: Final = b'{"status":"received"}'
_HEADERS: Final = [(b"content-type", b"application/json"), (b"content-length", str(len(_ANSWER)).encode())]


async def app(_scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _ANSWER})


def main() -> None:
    port, core = int(sys.argv[1]), int(sys.argv[2])
    os.sched_setaffinity(0, {core})
    server = make_server(cast("App", app), port)
    freeze_garbage()
    uvloop.run(server.serve())


if __name__ == "__main__":
    main()
