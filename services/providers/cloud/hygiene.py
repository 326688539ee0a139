"""What a signed body may carry that nobody can use: bottomless nesting, lone surrogates, NUL. Pure; knows no field."""

import json
import re
from typing import Any, Final, NoReturn

NUL: Final = b"\\u0000"  # the only way to write it in JSON
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def deeper_than(limit: int, raw: bytes) -> bool:
    """Tell whether valid JSON is nested deeper than `limit`, without recursion."""
    if raw.count(b"{") + raw.count(b"[") <= limit:  # there are never fewer opening brackets than levels
        return False
    skeleton = _STRING.sub(b"", raw).translate(None, _NO_BRACKETS)
    for _ in range(limit):
        if not skeleton:
            return False
        skeleton = _without_innermost(skeleton)
    return bool(skeleton)


def _without_innermost(skeleton: bytes) -> bytes:
    """Take away every pair that holds nothing, and no pair that only becomes empty by that."""
    return re.sub(rb"(?:\{\}|\[\])+", b"", skeleton)


def repaired(body: bytes) -> bytes:
    """Read with the standard json, which takes lone surrogates, and write them as U+FFFD. Raises ValueError."""
    text = json.dumps(json.loads(body, parse_constant=_no_constant), ensure_ascii=False)
    return _LONE_SURROGATE.sub("\ufffd", text).encode()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def without_nul(value: Any) -> Any:
    """Remove NUL from every string and key; PostgreSQL cannot hold it."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [without_nul(one) for one in value]
    if isinstance(value, dict):
        return {without_nul(name): without_nul(one) for name, one in value.items()}
    return value
