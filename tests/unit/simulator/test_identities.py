"""Ids that look like Meta's."""

import base64

import pytest

from services.simulator.identities import BSUID, calling_code, digits, user_id, wamid


def test_a_wamid_begins_like_metas_and_carries_the_user():
    name = wamid("593987654321")
    assert name.startswith("wamid.HBgMNTkzOTg3NjU0MzIxFQIAERgS")
    assert base64.b64decode(name.removeprefix("wamid."), validate=True)[3:15] == b"593987654321"


def test_an_inbound_wamid_tells_its_direction():
    assert wamid("593987654321", inbound=True).startswith("wamid.HBgMNTkzOTg3NjU0MzIxFQIAEhgU")


def test_wamids_are_unique():
    assert len({wamid("593987654321") for _ in range(10_000)}) == 10_000


def test_a_user_id_is_metas_form_and_always_the_same():
    assert BSUID.fullmatch(user_id("593987654321"))
    assert user_id("+593 98 765 4321") == user_id("593987654321")
    assert user_id("593987654321") != user_id("593987654322")


CODES = {"593987654321": "593", "14155238886": "1", "5215512345678": "52", "819012345678": ""}


@pytest.mark.parametrize(("phone", "code"), CODES.items())
def test_calling_codes(phone, code):
    assert calling_code(phone) == code


PHONES = {
    "+593 (98) 765-4321": "593987654321",
    "593987654321": "593987654321",
    "+12": "",
    "abc": "",
    "+5939876x4321": "",
}


@pytest.mark.parametrize(("text", "phone"), PHONES.items())
def test_phones_as_people_write_them(text, phone):
    assert digits(text) == phone
