"""The spool's bytes: one frame a record, a segment read frame by frame past whatever is damaged. Pure.

    segment   MAGIC, mark                       frame   mark, length, crc32c(length and payload), payload
    position  mark of a segment, offset in it, crc32c

The mark is drawn for each segment: no payload can contain it on purpose, so that it shows where the next frame begins
after a damaged one. Not here: files (spool_log.py), when anything is written (spool.py).
"""

import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import google_crc32c
import msgspec

from services.domain.limits import WEBHOOK_BODY_BYTES
from services.streams.codec import Outgoing

MAGIC: Final = b"RECSPL1\n"
MARK_BYTES: Final = 8
HEAD_BYTES: Final = len(MAGIC) + MARK_BYTES
LARGEST_PAYLOAD_BYTES: Final = 2 * WEBHOOK_BODY_BYTES  # above every topic's record: what claims more is damaged
_FRAME: Final = struct.Struct(f"<{MARK_BYTES}sII")
_LENGTH: Final = struct.Struct("<I")
_POSITION: Final = struct.Struct(f"<{MARK_BYTES}sQ")
_WINDOW_BYTES: Final = 1024 * 1024

ReadAt = Callable[[int, int], bytes]
"""Bytes of a segment from an offset; fewer than asked at its end."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What a frame holds: when it was taken (Unix milliseconds), the record's name, the record."""

    at_ms: int
    name: str
    record: Outgoing


class Frame(NamedTuple):
    start: int
    end: int
    payload: bytes


class Gap(NamedTuple):
    """Bytes that are no frame. `torn`: they are what a write left that was cut off, and nobody was told it was kept."""

    start: int
    end: int
    torn: bool


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Entry).decode


def encode_entry(entry: Entry) -> bytes:
    return _ENCODE(entry)


def decode_entry(payload: bytes) -> Entry:
    """Raises msgspec.DecodeError: whole bytes that another version has written."""
    return _DECODE(payload)


def head(mark: bytes) -> bytes:
    return MAGIC + mark


def frame(mark: bytes, payload: bytes) -> bytes:
    return _FRAME.pack(mark, len(payload), _checksum(payload)) + payload


def position(mark: bytes, offset: int) -> bytes:
    packed = _POSITION.pack(mark, offset)
    return packed + _LENGTH.pack(int(google_crc32c.value(packed)))


def parse_position(data: bytes) -> tuple[bytes, int] | None:
    """Return mark and offset; None when it was never written whole."""
    packed, checksum = data[: _POSITION.size], data[_POSITION.size :]
    if len(packed) < _POSITION.size or checksum != _LENGTH.pack(int(google_crc32c.value(packed))):
        return None
    mark, offset = _POSITION.unpack(packed)
    return mark, offset


def first_frame(read: ReadAt, mark: bytes) -> int:
    """Where frames begin: behind the head; at 0 when that is damaged, so that it is reported."""
    return HEAD_BYTES if read(0, HEAD_BYTES) == head(mark) else 0


def scan(read: ReadAt, size: int, mark: bytes, start: int) -> Iterator[Frame | Gap]:
    """Walk a segment from `start`: every whole frame in order, and the gaps between them. Raises nothing of its own."""
    at = start
    while at < size:
        found = _frame_at(read, size, mark, at)
        if found is None:
            resumed = _next_frame(read, size, mark, at + 1)
            yield Gap(at, resumed, torn=resumed == size and _is_cut_off(read, size, mark, at))
            at = resumed
        else:
            yield found
            at = found.end


def _frame_at(read: ReadAt, size: int, mark: bytes, at: int) -> Frame | None:
    fields = read(at, _FRAME.size)
    if len(fields) < _FRAME.size:
        return None
    found, length, checksum = _FRAME.unpack(fields)
    end = at + _FRAME.size + length
    if found != mark or length > LARGEST_PAYLOAD_BYTES or end > size:
        return None
    payload = read(at + _FRAME.size, length)
    return Frame(at, end, payload) if len(payload) == length and _checksum(payload) == checksum else None


def _next_frame(read: ReadAt, size: int, mark: bytes, at: int) -> int:
    """Where the next whole frame begins; `size` when there is none."""
    while at < size:
        window = read(at, _WINDOW_BYTES)
        place = window.find(mark)
        if place >= 0:
            if _frame_at(read, size, mark, at + place):
                return at + place
            at += place + 1
        elif len(window) < _WINDOW_BYTES:
            return size
        else:
            at += len(window) - MARK_BYTES + 1
    return size


def _is_cut_off(read: ReadAt, size: int, mark: bytes, at: int) -> bool:
    """Whether this looks like a frame whose end was never written: its beginning is right, or nothing is there."""
    fields = read(at, _FRAME.size)
    if len(fields) < _FRAME.size:
        return mark.startswith(fields[:MARK_BYTES]) or fields.startswith(mark)
    found, length, _ = _FRAME.unpack(fields)
    whole = at + _FRAME.size + length
    return bool(found == mark and length <= LARGEST_PAYLOAD_BYTES and whole > size)


def _checksum(payload: bytes) -> int:
    """CRC-32C over length and payload, so that a length which says less is found as well."""
    return int(google_crc32c.extend(google_crc32c.value(_LENGTH.pack(len(payload))), payload))
