"""Meta's door, GET and POST /webhook[/{app}]: a plain ASGI handler that runs before FastAPI (see make bench).

Signature over the raw bytes, one record per item, 200 only when every record is durable; no work after the answer and
no log line per request. Not here: what an item means (normaliser), whose it is.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qs

from prometheus_client import Counter
from starlette.types import Receive, Scope, Send

from services.domain.errors import PROBLEMS, RecordError
from services.domain.events import rfc3339
from services.domain.ids import item_name
from services.domain.limits import WEBHOOK_BODY_BYTES
from services.domain.tenants import HOUSE_APP
from services.ingress.deps import Producing
from services.ingress.problems import MEDIA_TYPE, problem_bytes, trace_id
from services.ingress.signatures import Signatures, presented
from services.providers.cloud.webhook import UnreadableBodyError, raw_record, split
from services.runtime import clock, metrics
from services.streams.codec import CE_ID, Outgoing, attributes
from services.streams.producer import Outcome
from services.streams.topics import TopicName

PATH: Final = "/webhook"
_RETRY_AFTER_SECONDS: Final = 2
# Each item repeats its value's metadata and contact: a body made to multiply must not fill the memory.
_RECORDS_BYTES: Final = 8 * WEBHOOK_BODY_BYTES
_KEY_CHARS: Final = 1024  # Meta's have 60
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")  # Meta sends digits; nothing that a browser would run

_QUERY_BYTES: Final = 8192
_QUERY_FIELDS: Final = 20

_RECEIVED: Final = b'{"status":"received"}'
_JSON_HEADERS: Final = [(b"content-type", b"application/json"), (b"content-length", str(len(_RECEIVED)).encode())]
_START: Final = {"type": "http.response.start", "status": 200, "headers": _JSON_HEADERS}
_BODY: Final = {"type": "http.response.body", "body": _RECEIVED}
_COUNTS: Final[Mapping[int, Counter]] = {
    status: metrics.WEBHOOKS.labels(str(status)) for status in (200, 401, 403, 405, 413, 415, 503)
}


class TooLargeError(Exception):
    """The body has more than 3 MB; the rest of it is not read."""


class DisconnectedError(Exception):
    """The client went before its body was there."""


class Webhook:
    """One per process. `ready`: whether the apps' secrets are known yet."""

    def __init__(self, signatures: Signatures, producer: Producing, ready: Callable[[], bool],
                 deadline_seconds: float) -> None:  # fmt: skip
        self._signatures = signatures
        self._produce = producer.produce_each
        self._ready = ready
        self._deadline_seconds = deadline_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        app = scope["path"][len(PATH) + 1 :] or HOUSE_APP
        if method == "POST":
            await self._take(app, scope, receive, send)
        elif method == "GET":
            await self._verify(app, scope, send)
        else:
            await _refuse(scope, send, "method_not_allowed", "GET or POST.", (b"allow", b"GET, POST"))

    async def _take(self, app: str, scope: Scope, receive: Receive, send: Send) -> None:
        began = clock.monotonic()
        given = scope["headers"]
        signature = presented(given)
        if signature is None:
            await _refuse(scope, send, "signature_invalid", "One X-Hub-Signature-256 of the form sha256=<hex>.")
            return
        if any(name == b"content-encoding" and value != b"identity" for name, value in given):
            await _refuse(scope, send, "unsupported_media_type", "The body must not be compressed.")
            return
        try:
            body = await read_body(given, receive)
        except TooLargeError:
            await _refuse(scope, send, "too_large", f"A webhook body has at most {WEBHOOK_BODY_BYTES} bytes.")
            return
        except DisconnectedError:
            return
        if not self._ready():
            await _not_durable(scope, send, "The apps' secrets are not known yet.")
            return
        if not self._signatures.holds(app, body, signature):
            await _refuse(scope, send, "signature_invalid", "The signature does not fit body and app.")
            return
        if not await self._is_durable(records(body, app)):
            await _not_durable(scope, send, "Neither Kafka nor this copy's spool took the update in time.")
            return
        _COUNTS[200].inc()
        metrics.WEBHOOK_ACK.observe(clock.monotonic() - began)
        await send(_START)
        await send(_BODY)

    async def _is_durable(self, outgoing: list[Outgoing]) -> bool:
        try:
            outcomes = await self._produce(outgoing, self._deadline_seconds)
        except RecordError:
            return False  # larger than its topic takes: cannot be, as a body is smaller than a record
        return all(outcome is Outcome.DURABLE for outcome in outcomes)

    async def _verify(self, app: str, scope: Scope, send: Send) -> None:
        """Meta's handshake: the challenge comes back, as plain text, only for the right token."""
        query = _query(scope["query_string"])
        mode, token, challenge = (query.get(f"hub.{name}", []) for name in ("mode", "verify_token", "challenge"))
        right = len(token) == 1 and self._signatures.token_holds(app, token[0])
        if not (right and mode == ["subscribe"] and len(challenge) == 1 and _CHALLENGE.match(challenge[0])):
            await _refuse(scope, send, "verification_failed", "The verification does not fit this app.")
            return
        _COUNTS[200].inc()
        await _answer(
            send, 200, b"text/plain; charset=utf-8", challenge[0].encode(), (b"x-content-type-options", b"nosniff")
        )


def _query(raw: bytes) -> dict[str, list[str]]:
    """Read the query; one that no handshake has counts as empty."""
    try:
        return parse_qs(raw[:_QUERY_BYTES].decode("latin-1"), keep_blank_values=True, max_num_fields=_QUERY_FIELDS)
    except ValueError:
        return {}


async def read_body(given: list[tuple[bytes, bytes]], receive: Receive) -> bytes:
    """Read up to the limit, and no byte more. Raises TooLargeError or DisconnectedError."""
    for name, value in given:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > WEBHOOK_BODY_BYTES:
            raise TooLargeError
    message = await receive()
    if not message.get("more_body") and message["type"] == "http.request":
        body: bytes = message["body"]
        if len(body) > WEBHOOK_BODY_BYTES:
            raise TooLargeError
        return body
    chunks, size = [], 0
    while True:
        if message["type"] != "http.request":
            raise DisconnectedError
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > WEBHOOK_BODY_BYTES:
            raise TooLargeError
        if not message.get("more_body"):
            return b"".join(chunks)
        message = await receive()


def records(body: bytes, app: str) -> list[Outgoing]:
    """Split a signed body into one record per item; what cannot be read travels whole and is set aside later."""
    receipt, received_at = clock.new_uuid7_text(), rfc3339(clock.now())
    try:
        return _item_records(body, app, receipt, received_at)
    except UnreadableBodyError:
        name = (CE_ID, item_name(receipt, "").encode())
        kind = attributes("webhook_unreadable", received_at)
        marked = (name, *kind, ("app", app.encode()), ("kind", b"unreadable"))
        return [Outgoing(TopicName.RAW, app, body, marked)]


def _item_records(body: bytes, app: str, receipt: str, received_at: str) -> list[Outgoing]:
    """The loop runs per item of Meta's whole traffic: what the items share is made once."""
    items = split(body)
    sha256, shared = hashlib.sha256(body).hexdigest(), attributes("webhook_item", received_at)
    outgoing: list[Outgoing] = []
    size = 0
    for item in items:
        value = raw_record(item, app=app, body_sha256=sha256, received_at=received_at)
        size += len(value)
        if size > _RECORDS_BYTES or len(item.key) > _KEY_CHARS:
            raise UnreadableBodyError("its items or their keys are too large")
        name = (CE_ID, item_name(receipt, item.path).encode())
        outgoing.append(Outgoing(TopicName.RAW, item.key, value, (name, *shared)))
    return outgoing


async def _not_durable(scope: Scope, send: Send, detail: str) -> None:
    await _refuse(scope, send, "not_durable", detail, (b"retry-after", str(_RETRY_AFTER_SECONDS).encode()))


async def _refuse(scope: Scope, send: Send, code: str, detail: str, *more: tuple[bytes, bytes]) -> None:
    problem = PROBLEMS[code]
    _COUNTS[problem.status].inc()
    body = problem_bytes(problem, detail, trace_id(scope))
    await _answer(send, problem.status, MEDIA_TYPE.encode(), body, *more)


async def _answer(send: Send, status: int, media_type: bytes, body: bytes, *more: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status,
                "headers": [(b"content-type", media_type), length, *more]})  # fmt: skip
    await send({"type": "http.response.body", "body": body})
