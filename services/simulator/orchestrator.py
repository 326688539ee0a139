"""The company's side: takes pushes, checks their Standard Webhooks signature, acknowledges. Not here: what is pushed.

Endpoints without a registered secret are acknowledged unchecked.
"""

import base64
import binascii
import contextlib
import hashlib
import hmac
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import msgspec

from services.runtime import clock
from services.simulator.calls import Answer, Call, ControlError, json_answer
from services.simulator.control import ControlledApp
from services.simulator.serve import serving

TOLERANCE_SECONDS: Final = 300  # of webhook-timestamp, as the Standard Webhooks libraries have it
_PREFIX: Final = "whsec_"
_PROCESSED: Final = json_answer({"status": "processed"})


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: Annotated[str, msgspec.Meta(pattern=r"^/")]
    secret: Annotated[str, msgspec.Meta(pattern=r"^whsec_")]

    def key(self) -> bytes:
        """Raise ControlError when the secret is not base64."""
        try:
            return base64.b64decode(self.secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error as error:
            raise ControlError("secret must be whsec_ followed by base64") from error


def signature_is_good(key: bytes, call: Call, now_seconds: float) -> bool:
    """Standard Webhooks: one of the `v1,…` signatures is ours and the timestamp is near."""
    stamp = call.header(b"webhook-timestamp")
    if not stamp.isdecimal() or abs(now_seconds - int(stamp)) > TOLERANCE_SECONDS:
        return False
    signed = f"{call.header(b'webhook-id')}.{stamp}.".encode() + call.body
    right = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    offered = call.header(b"webhook-signature").split()
    return any(hmac.compare_digest(b"v1," + right, each.encode("latin-1")) for each in offered)


class Orchestrator:
    """Answers pushes; `answer` is the work of a ControlledApp, `routes` its own part of the control API."""

    def __init__(self) -> None:
        self._keys: dict[str, bytes] = {}
        self._verdicts: Counter[str] = Counter()
        self.routes = {("POST", "endpoints"): self._register}

    async def answer(self, call: Call) -> Answer:
        key = self._keys.get(_plain(call.path))
        if key is None:
            self._verdicts["unchecked"] += 1
            return _PROCESSED
        if signature_is_good(key, call, clock.now().timestamp()):
            self._verdicts["valid"] += 1
            return _PROCESSED
        self._verdicts["invalid"] += 1
        return json_answer({"error": "signature_invalid"}, 401)

    async def _register(self, call: Call) -> Answer:
        endpoint = msgspec.json.decode(call.body, type=Endpoint)
        self._keys[_plain(endpoint.path)] = endpoint.key()
        return json_answer({"path": endpoint.path})

    def shown(self) -> dict[str, Any]:
        return {"endpoints": sorted(self._keys), "signatures": dict(self._verdicts)}

    def forget(self) -> None:
        self._verdicts.clear()


def _plain(path: str) -> str:
    return path.rstrip("/") or "/"


@contextlib.asynccontextmanager
async def orchestrator_simulator(*, port: int = 0) -> AsyncIterator[str]:
    """Serve an orchestrator until the block ends; gives its base URL. Port 0 takes a free one."""
    work = Orchestrator()
    app = ControlledApp(work.answer, work.routes, work.shown, work.forget)
    async with serving(app, port=port) as url:
        yield url
