"""Phone numbers are + and ASCII digits, or they are none."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.ids import clean_phone, phone_of_wa_id


@pytest.mark.parametrize(
    ("written", "clean"),
    [
        ("+593987654321", "+593987654321"),
        ("+593 98 765-4321", "+593987654321"),
        ("+1 (415) 523-8886", "+14155238886"),
        ("+1415523", "+1415523"),
        ("+123456789012345", "+123456789012345"),
    ],
)
def test_decoration_is_taken_off(written, clean):
    assert clean_phone(written) == clean


@pytest.mark.parametrize(
    "text",
    ["593987654321", "00593987654321", "+0987654321", "+141552", "+1234567890123456", "+5939876a4321", "", "+",
     "++593987654321", "+593987654321;ext=1", "+5٩٣٩٨٧٦٥٤٣٢١", "+593987654321\0"],
    ids=["no plus", "00", "leading zero", "too short", "too long", "letter", "empty", "plus alone", "two plus",
         "extension", "other digits than ASCII", "NUL"],
)  # fmt: skip
def test_what_is_no_number_is_refused(text):
    assert clean_phone(text) is None


@given(st.text() | st.from_regex(r"\+[1-9]\d{5,16}"))
def test_what_comes_out_is_always_e164(text):
    phone = clean_phone(text)
    assert phone is None or re.fullmatch(r"\+[1-9][0-9]{6,14}", phone)


@pytest.mark.parametrize(("wa_id", "phone"), [("593987654321", "+593987654321"), ("EC.1349", None), ("", None)])
def test_meta_s_bare_digits_become_a_number(wa_id, phone):
    assert phone_of_wa_id(wa_id) == phone
