"""Meta's webhook signatures: HMAC-SHA256 over the raw bytes with an app's secrets, and the verify token of its GET.

Prepared SHA-256 states stand for each secret and are copied per request: 6 us instead of 16-19 (facts, python-limits
§1). An unknown app costs the same work as a wrong signature and gets the same answer.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from services.domain.tenants import App, Phonebook
from services.runtime import crypto

_HEADER: Final = b"x-hub-signature-256"
_FORM: Final = re.compile(rb"sha256=([0-9a-f]{64})\Z")
_BLOCK_BYTES: Final = 64
_INNER_PAD: Final = bytes(value ^ 0x36 for value in range(256))
_OUTER_PAD: Final = bytes(value ^ 0x5C for value in range(256))


class _States(NamedTuple):
    inner: Any
    outer: Any

    def sign(self, body: bytes) -> bytes:
        inner, outer = self.inner.copy(), self.outer.copy()
        inner.update(body)
        outer.update(inner.digest())
        digest: bytes = outer.digest()
        return digest


def _prepare(secret: bytes) -> _States:
    key = hashlib.sha256(secret).digest() if len(secret) > _BLOCK_BYTES else secret
    key = key.ljust(_BLOCK_BYTES, b"\0")
    return _States(hashlib.sha256(key.translate(_INNER_PAD)), hashlib.sha256(key.translate(_OUTER_PAD)))


def presented(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the signature of the one header that there must be; None when absent, repeated or of another form."""
    found = None
    for name, value in headers:
        if name == _HEADER:
            if found is not None:
                return None
            found = value
    form = _FORM.match(found) if found else None
    return bytes.fromhex(form.group(1).decode()) if form else None


class Signatures:
    """The apps' secrets, ready for use; looked up in the directory's book at each request."""

    def __init__(self, book: Phonebook) -> None:
        self._book = book
        self._prepared: dict[str, tuple[App, tuple[_States, ...]]] = {}
        self._nobody = (_prepare(crypto.new_key()),)
        self._no_token = crypto.new_key().hex()

    def holds(self, app_id: str, body: bytes, signature: bytes) -> bool:
        """Whether one of the app's secrets (two while one is being replaced) signed these bytes."""
        return any(hmac.compare_digest(states.sign(body), signature) for states in self._states(app_id))

    def token_holds(self, app_id: str, token: str) -> bool:
        app = self._book.apps.get(app_id)
        return hmac.compare_digest((app.verify_token if app else self._no_token).encode(), token.encode())

    def _states(self, app_id: str) -> tuple[_States, ...]:
        app = self._book.apps.get(app_id)
        if app is None or not all(app.secrets):
            return self._nobody
        known = self._prepared.get(app_id)
        if known is None or known[0] is not app:
            known = self._prepared[app_id] = (
                app,
                tuple(_prepare(secret) for secret in app.secrets[:2]) or self._nobody,
            )
        return known[1]
