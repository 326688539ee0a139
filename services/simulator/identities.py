"""Ids that look like Meta's: of messages, users, traces. Pure but for `random64`. Not here: who owns a number."""

import base64
import hashlib
import re
from typing import Final

from services.runtime.clock import random64

BSUID: Final = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
_DECORATION: Final = str.maketrans("", "", " -().")

# Calling codes of the countries that our users write from, the longest that fits wins; elsewhere US
_COUNTRIES: Final = {
    "1": "US", "34": "ES", "49": "DE", "51": "PE", "52": "MX", "54": "AR", "55": "BR", "56": "CL", "57": "CO",
    "58": "VE", "502": "GT", "503": "SV", "504": "HN", "505": "NI", "506": "CR", "507": "PA", "591": "BO",
    "593": "EC", "595": "PY", "598": "UY",
}  # fmt: skip

_OUTBOUND: Final = (b"\x11\x18\x12", 18)  # what follows the number in a wamid, and how many hex digits
_INBOUND: Final = (b"\x12\x18\x14", 20)


def wamid(user: str, *, inbound: bool = False) -> str:
    """A new message id in the form of Meta's: base64 of the user's id, a direction and random hex digits."""
    marker, digits = _INBOUND if inbound else _OUTBOUND
    unique = f"{random64():016X}{random64():016X}"[:digits]
    name = user.encode()[:127]
    packed = b"\x1c\x18%c%b\x15\x02\x00%b%b\x00" % (len(name), name, marker, unique.encode())
    return "wamid." + base64.b64encode(packed).decode()


def trace_id() -> str:
    return f"A{random64():016x}"


def digits(phone: str) -> str:
    """The digits of a phone as people write it, with or without `+`; empty when it is none."""
    bare = phone.translate(_DECORATION).removeprefix("+")
    return bare if bare.isascii() and bare.isdigit() and 7 <= len(bare) <= 15 else ""  # noqa: PLR2004 - E.164


def calling_code(phone: str) -> str:
    """`593` of `593987654321`; empty when the country is not in our list."""
    return next((phone[:length] for length in (3, 2, 1) if phone[:length] in _COUNTRIES), "")


def user_id(phone: str) -> str:
    """The user's business-scoped id (facts §1.8): always the same for a phone, whichever number asks."""
    number = digits(phone)
    scoped = int.from_bytes(hashlib.blake2b(number.encode(), digest_size=7).digest()) % 10**16
    return f"{_COUNTRIES.get(calling_code(number), 'US')}.{scoped:016d}"


def profile_name(user: str) -> str:
    return f"User {user[-4:]}"
