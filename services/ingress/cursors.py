"""Cursors of lists: where a page ended, signed together with the list that it belongs to. Not here: the queries."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from services.domain.errors import ProblemError

Place = tuple[datetime | None, str]
"""The last row of a page: what the list is sorted by, and its id."""

_MAC_BYTES: Final = 16
_DECODE: Final[Callable[[bytes], Place]] = msgspec.json.Decoder(Place).decode


class Cursors:
    """A cursor of another tenant, route or filter does not verify: it is refused, never misread."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.new(secret, b"cursor", hashlib.sha256).digest()

    def write(self, place: Place, belongs_to: Any) -> str:
        payload = msgspec.json.encode(place)
        return base64.urlsafe_b64encode(self._mac(payload, belongs_to) + payload).decode().rstrip("=")

    def read(self, cursor: str, belongs_to: Any) -> Place:
        """Raises ProblemError cursor_invalid."""
        payload = self._proven(cursor, belongs_to)
        if payload is None:
            detail = "The cursor does not belong to this list with these filters."
            raise ProblemError("cursor_invalid", detail, pointer="?cursor")
        return _DECODE(payload)

    def _proven(self, cursor: str, belongs_to: Any) -> bytes | None:
        try:
            raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True)
        except ValueError:
            return None
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        return payload if hmac.compare_digest(mac, self._mac(payload, belongs_to)) else None

    def _mac(self, payload: bytes, belongs_to: Any) -> bytes:
        context = msgspec.json.encode(belongs_to)
        text = len(context).to_bytes(4) + context + payload
        return hmac.new(self._key, text, hashlib.sha256).digest()[:_MAC_BYTES]
