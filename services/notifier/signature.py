"""Standard Webhooks signatures: what a push must bear so that its receiver can believe it. Pure. Not here: sending.

Source: the Standard Webhooks specification, version 1: `v1,<base64>` of HMAC-SHA256 over `id.timestamp.body`.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

_PREFIX: Final = b"whsec_"


class SecretError(ValueError):
    """A signing secret is not whsec_ followed by base64."""


@lru_cache(maxsize=4096)
def key_of(secret: bytes) -> bytes:
    """Return the key that `whsec_<base64>` stands for. Raises SecretError."""
    if not secret.startswith(_PREFIX):
        raise SecretError("a signing secret begins with whsec_")
    text = secret[len(_PREFIX) :]
    try:
        key = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise SecretError("a signing secret is base64 after whsec_") from error
    if not key:
        raise SecretError("a signing secret is not empty")
    return key


def sign(secrets: Sequence[bytes], event_id: str, timestamp: int, body: bytes) -> str:
    """Sign with each secret, newest first: while one is being replaced the receiver knows one of them.

    `timestamp` is in whole seconds. Raises SecretError.
    """
    signed = b"%b.%d.%b" % (event_id.encode(), timestamp, body)
    digests = (hmac.digest(key_of(secret), signed, hashlib.sha256) for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def headers(secrets: Sequence[bytes], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of one attempt; the id is the same at every attempt. Raises SecretError."""
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secrets, event_id, timestamp, body),
    }
