"""Secrets at rest: what was sealed opens with its key at its place, and nowhere else."""

import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.runtime import crypto
from services.runtime.crypto import SealError

KEY = bytes(range(32))
PLACE = "1|accounts|api_key|acc_1"


@given(st.binary(max_size=2000), st.text(max_size=50))
def test_what_was_sealed_opens(text, place):
    assert crypto.unseal(KEY, crypto.seal(KEY, text, place), place) == text


def test_the_same_secret_never_looks_the_same():
    assert crypto.seal(KEY, b"token", PLACE) != crypto.seal(KEY, b"token", PLACE)


def test_a_sealed_secret_does_not_hold_its_text():
    assert b"EAAtoken" not in crypto.seal(KEY, b"EAAtoken", PLACE)


@pytest.mark.parametrize(
    "place",
    [
        "2|accounts|api_key|acc_1",
        "1|endpoints|api_key|acc_1",
        "1|accounts|secret|acc_1",
        "1|accounts|api_key|acc_2",
        "",
    ],
    ids=["another tenant", "another table", "another column", "another row", "nowhere"],
)
def test_a_ciphertext_that_was_moved_does_not_open(place):
    with pytest.raises(SealError, match="moved ciphertext"):
        crypto.unseal(KEY, crypto.seal(KEY, b"token", PLACE), place)


def test_another_key_does_not_open_it():
    with pytest.raises(SealError):
        crypto.unseal(crypto.new_key(), crypto.seal(KEY, b"token", PLACE), PLACE)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_single_changed_bit_is_noticed(data):
    sealed = bytearray(crypto.seal(KEY, b"a token of Meta", PLACE))
    place = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[place // 8] ^= 1 << place % 8
    with pytest.raises(SealError):
        crypto.unseal(KEY, bytes(sealed), PLACE)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(12), b"\x02" + bytes(40)])
def test_what_is_no_sealed_secret_is_a_seal_error(sealed):
    with pytest.raises(SealError):
        crypto.unseal(KEY, sealed, PLACE)


def test_an_error_tells_the_place_and_not_the_secret():
    with pytest.raises(SealError) as caught:
        crypto.unseal(KEY, crypto.seal(KEY, b"EAAtoken", PLACE), "elsewhere")
    assert "elsewhere" in str(caught.value)
    assert "EAAtoken" not in str(caught.value)


def test_a_key_file_is_made_once_and_read_by_its_owner_only(tmp_path):
    path = tmp_path / "keys" / "kek"
    crypto.create_key_file(str(path))
    key = crypto.read_key_file(str(path))
    crypto.create_key_file(str(path))
    assert crypto.read_key_file(str(path)) == key
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [None, "", "no hex", "00" * 16, "00" * 33, "ñ"])
def test_a_key_file_that_holds_no_key_is_named(tmp_path, content):
    path = tmp_path / "kek"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(SealError, match=f"RECADO_KEY_FILE={path}"):
        crypto.read_key_file(str(path))
