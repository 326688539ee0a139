"""Envelope encryption of secrets at rest: AES-256-GCM under a tenant's data key, which the key file's key wraps.

AAD names the place (tenant|table|column|row), so that a ciphertext moved elsewhere does not open.
"""

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_VERSION = b"\x01"


class SealError(Exception):
    """A ciphertext does not open: wrong key, wrong place or damaged."""


def seal(key: bytes, text: bytes, place: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _VERSION + nonce + _cipher(key).encrypt(nonce, text, place.encode())


def unseal(key: bytes, sealed: bytes, place: str) -> bytes:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as in _cipher

    if sealed[:1] != _VERSION:
        raise SealError(f"unknown seal version at {place}")
    nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    try:
        return _cipher(key).decrypt(nonce, body, place.encode())
    except (InvalidTag, ValueError) as error:
        raise SealError(f"does not open at {place}: wrong key file or moved ciphertext") from error


def _cipher(key: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 6 MiB, for those who open secrets

    return AESGCM(key)


def new_key() -> bytes:
    return secrets.token_bytes(32)


def read_key_file(path: str) -> bytes:
    """Read the wrapping key; raise SealError with what to do when it is not there."""
    try:
        key = bytes.fromhex(Path(path).read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise SealError(f"RECADO_KEY_FILE={path} holds no key: 64 hex digits expected ({error})") from error
    if len(key) != 32:  # noqa: PLR2004 - AES-256
        raise SealError(f"RECADO_KEY_FILE={path} must hold 32 bytes")
    return key


def create_key_file(path: str) -> None:
    """Create the wrapping key if there is none, readable by its owner only."""
    if Path(path).exists():
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(new_key().hex())
