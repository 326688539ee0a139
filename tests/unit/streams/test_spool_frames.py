"""A segment is read past whatever is wrong with it: every whole frame in order, every other byte accounted for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.streams import spool_frames as frames
from services.streams.codec import Outgoing
from services.streams.spool_frames import Entry, Frame, Gap

MARK = bytes(range(1, 9))
PAYLOADS = [b"", b"one", b"two" * 9, MARK, frames.frame(MARK, b"within")[:-1], b"\0" * 20, b"last"]


def segment(payloads=PAYLOADS, mark=MARK) -> bytes:
    return frames.head(mark) + b"".join(frames.frame(mark, payload) for payload in payloads)


def walk(data: bytes) -> list[Frame | Gap]:
    def read(at, count):
        return data[at : at + count]

    return list(frames.scan(read, len(data), MARK, frames.first_frame(read, MARK)))


def payloads_of(data: bytes) -> list[bytes]:
    return [part.payload for part in walk(data) if isinstance(part, Frame)]


def gaps_of(data: bytes) -> list[Gap]:
    return [part for part in walk(data) if isinstance(part, Gap)]


def frame_places() -> list[tuple[int, int]]:
    return [(part.start, part.end) for part in walk(segment())]


def test_a_sound_segment_is_read_whole():
    assert payloads_of(segment()) == PAYLOADS
    assert gaps_of(segment()) == []


@pytest.mark.parametrize("cut", range(len(segment())))
def test_a_tail_torn_at_any_byte_costs_only_the_frame_that_was_torn(cut):
    data = segment()[:cut]
    whole = [(start, end) for start, end in frame_places() if end <= cut]
    assert payloads_of(data) == PAYLOADS[: len(whole)]
    if cut > frames.HEAD_BYTES:
        behind = whole[-1][1] if whole else frames.HEAD_BYTES
        assert gaps_of(data) == ([] if behind == cut else [Gap(behind, cut, torn=True)])


@pytest.mark.parametrize("at", range(len(segment())))
@pytest.mark.parametrize("bit", [0, 7])
def test_a_bit_flipped_anywhere_costs_only_its_own_frame_and_is_seen(at, bit):
    data = bytearray(segment())
    data[at] ^= 1 << bit
    hit = [place for place, (start, end) in enumerate(frame_places()) if start <= at < end]
    assert payloads_of(bytes(data)) == [payload for place, payload in enumerate(PAYLOADS) if place not in hit]
    assert len(gaps_of(bytes(data))) == 1
    assert any(gap.start <= at < gap.end for gap in gaps_of(bytes(data)))


@given(
    st.lists(st.binary(max_size=60), max_size=12),
    st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=40)), max_size=4),
    st.integers(0, 2000),
)
def test_whatever_is_written_over_it_nothing_is_invented_and_every_byte_is_accounted_for(payloads, scribbles, cut):
    data = bytearray(segment(payloads))
    for at, scribble in scribbles:
        data[at : at + len(scribble)] = scribble
    damaged = bytes(data[: frames.HEAD_BYTES + cut])
    parts = walk(damaged)
    at = frames.HEAD_BYTES if damaged.startswith(frames.head(MARK)) else 0
    for part in parts:
        assert part.start == at
        at = part.end
    assert at == max(len(damaged), at)
    found = payloads_of(damaged)
    places = iter(payloads)
    assert all(payload in places for payload in found), "in order, and each was written"


def test_a_length_that_claims_more_than_any_record_has_is_damage():
    data = bytearray(segment([b"x", b"y"]))
    data[frames.HEAD_BYTES + 11] = 0xFF
    assert payloads_of(bytes(data)) == [b"y"]


def test_what_lies_behind_more_than_a_window_of_damage_is_found():
    big = b"z" * 3_000_000
    data = bytearray(segment([b"a", big, b"b"]))
    data[200] ^= 1
    assert payloads_of(bytes(data)) == [b"a", b"b"]


def test_an_entry_comes_back_as_it_was():
    record = Outgoing("t", "k", b"\0\xff", (("ce_id", b"name.0"), ("x", b"\xfe")), partition=3)
    entry = Entry(1_764_000_000_123, "name.0", record)
    assert frames.decode_entry(frames.encode_entry(entry)) == entry


def test_a_position_is_believed_only_whole():
    data = frames.position(MARK, 4711)
    assert frames.parse_position(data) == (MARK, 4711)
    for at in range(len(data)):
        assert frames.parse_position(data[:at]) is None
        flipped = bytearray(data)
        flipped[at] ^= 4
        assert frames.parse_position(bytes(flipped)) is None
