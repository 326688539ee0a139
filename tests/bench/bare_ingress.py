"""The limit of ingress: a bare ASGI handler that reads the body and answers the same bytes, served with the same
settings of uvicorn. `python -m tests.bench.bare_ingress PORT CORE`. Nothing of the product runs here."""

import os
import sys
from typing import Any, Final

import uvicorn

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
    uvicorn.run(
        app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", ws="none", lifespan="off", log_config=None,
        access_log=False, server_header=False, date_header=True, proxy_headers=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
