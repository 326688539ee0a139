"""One HTTP call to the Cloud API → SendOutcome. Rule: whether a request left is decided by evidence, not by the kind of
exception. Not here: JSON bodies (payloads.py), what Meta's codes mean (errors.py), retries, claims."""

from collections.abc import Callable
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection

from services.domain.message import Recipient, SendCommand
from services.providers.cloud import errors, payloads
from services.providers.contract import NotSent, SendingNumber, SendOutcome, Sent, Unknown
from services.runtime import clock, http

HTTP_OK: Final = 200
HTTP_REDIRECTS: Final = 300
_HEADERS: Final = {
    "Content-Type": "application/json",
    "Accept-Encoding": "identity",  # answers are some hundred bytes, and the session does not decompress
}


class LeaseOverError(Exception):
    """The claim's lease ended before the first byte could leave."""


class LeasedBody(aiohttp.BytesPayload):
    """A body that leaves only under its lease and remembers whether it left.

    `write_with_length` runs in the event-loop step of the transport's first write: up to there aiohttp has only filled
    a buffer (docs/decisions/0002-lease-check-in-aiohttp.md).
    """

    def __init__(self, value: bytes, lease_ends: float, monotonic: Callable[[], float]) -> None:
        super().__init__(value, content_type="application/json")
        self._lease_ends = lease_ends
        self._monotonic = monotonic
        self.refused = ""  # why nothing left, once it was decided here
        self.left = False

    def check_lease(self) -> None:
        """Raise LeaseOverError when the lease is over."""
        if self._monotonic() >= self._lease_ends:
            self.refused = "lease_over"
            raise LeaseOverError

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        transport = getattr(writer, "transport", None)
        if transport is None or transport.is_closing():  # the peer closed the idle connection under our hands
            self.refused = "connection_closed"
            raise ConnectionResetError
        self.check_lease()
        self.left = True
        await super().write_with_length(writer, content_length)


class LeasedRequest(aiohttp.ClientRequest):
    """A request that looks at its lease as soon as it has its connection, and hands an unused one back."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if isinstance(self.body, LeasedBody):
            try:
                self.body.check_lease()
            except LeaseOverError:
                conn.release()
                raise
        return await super().send(conn)


class CloudClient:
    """Sends through one session; every call brings its own number and token."""

    def __init__(
        self, session: http.Session, *, base_url: str, version: str, monotonic: Callable[[], float] = clock.monotonic
    ) -> None:
        self._session = session
        self._root = f"{base_url.rstrip('/')}/{version}"
        self._monotonic = monotonic

    async def send(
        self,
        command: SendCommand,
        *,
        origin: SendingNumber,
        attempt: int,
        lease_ends: float,
        to: Recipient | None = None,
        context_wamid: str | None = None,
    ) -> SendOutcome:
        """Make one attempt; see contract.Provider."""
        callback = payloads.callback_data(command.message_id, attempt)
        payload = payloads.build(command, callback, to=to, context_wamid=context_wamid)
        body = LeasedBody(msgspec.json.encode(payload), lease_ends, self._monotonic)
        try:
            return await self._post(f"{self._root}/{origin.number}/messages", origin.token, body)
        except LeaseOverError:
            return NotSent(reason="lease_over")
        except (aiohttp.ClientError, OSError) as trouble:  # TimeoutError is an OSError
            return _lost(trouble) if body.left else NotSent(reason=body.refused or _not_connected(trouble))

    async def _post(self, url: str, token: str, body: LeasedBody) -> SendOutcome:
        headers = _HEADERS | {"Authorization": f"Bearer {token}"}
        async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            answer = await response.read()
            if HTTP_OK <= response.status < HTTP_REDIRECTS:
                return sent(answer)
            return errors.classify(response.status, answer, _seconds(response.headers.get("Retry-After")))

    async def close(self) -> None:
        await self._session.close()


def open_client(*, base_url: str, version: str, timeout_seconds: float, limit: int) -> CloudClient:
    """Make the client with its own session; `limit` is the number of connections, all told."""
    session = http.session(timeout_seconds=timeout_seconds, limit=limit, request_class=LeasedRequest)
    return CloudClient(session, base_url=base_url, version=version)


def sent(answer: bytes) -> Sent | Unknown:
    """Read a 2xx answer. What cannot be read may still have been sent: Unknown."""
    try:
        found: Any = msgspec.json.decode(answer)
        message = found["messages"][0]
        wamid = message["id"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return Unknown("answer_unreadable")
    if not isinstance(wamid, str) or not wamid:
        return Unknown("answer_unreadable")
    contacts = found.get("contacts")
    contact = contacts[0] if isinstance(contacts, list) and contacts and isinstance(contacts[0], dict) else {}
    status = message.get("message_status")
    return Sent(
        wamid=wamid,
        wa_id=_text(contact.get("wa_id")),
        user_id=_text(contact.get("user_id")),
        whatsapp_status=status if isinstance(status, str) and status else "accepted",
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _lost(trouble: Exception) -> Unknown:
    if isinstance(trouble, TimeoutError):
        return Unknown("timeout")
    if isinstance(trouble, aiohttp.ClientPayloadError | aiohttp.ClientResponseError):
        return Unknown("answer_unreadable")
    return Unknown("connection_lost")


def _not_connected(trouble: Exception) -> str:
    return "connect_timeout" if isinstance(trouble, TimeoutError) else "connect_failed"


def _seconds(retry_after: str | None) -> float | None:
    """Read Retry-After in its form of seconds; the form of a date is not used by Graph."""
    digits = (retry_after or "").strip()
    return float(digits) if digits.isascii() and digits.isdigit() and len(digits) < 6 else None  # noqa: PLR2004 - a day
