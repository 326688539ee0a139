"""Which numbers and tokens the Graph simulator knows."""

import msgspec
import pytest

from services.simulator.numbers import App, Number, Numbers, read_numbers

ONE = Number("1001", token="EAA1", app_secret="s")


def test_as_long_as_nothing_is_registered_every_number_exists_and_every_token_is_good():
    numbers = Numbers()
    assert numbers.find("123") == Number("123")
    assert numbers.knows_token("anything")
    assert numbers.find("abc") is None


def test_once_a_number_is_registered_others_do_not_exist():
    numbers = Numbers()
    numbers.register(ONE)
    assert numbers.find("1001") == ONE
    assert numbers.find("123") is None
    assert not numbers.knows_token("anything")


def test_a_number_without_a_token_takes_any():
    numbers = Numbers()
    numbers.register(Number("1001"))
    assert numbers.knows_token("anything")


def test_a_number_without_a_url_gets_the_simulators():
    numbers = Numbers("http://127.0.0.1:8080/webhook")
    numbers.register(ONE)
    found = numbers.find("1001")
    assert found is not None
    assert found.app == App("http://127.0.0.1:8080/webhook", "s")


@pytest.mark.parametrize("number", [Number("1", webhook_url="http://x"), Number("1", app_secret="s")])
def test_without_secret_or_url_there_is_no_app_to_post_to(number):
    assert number.app is None


def test_a_number_registered_again_is_replaced():
    numbers = Numbers()
    numbers.register(ONE)
    numbers.register(Number("1001", token="EAA2"))
    assert not numbers.knows_token("EAA1")


def test_what_is_shown_has_no_secrets():
    numbers = Numbers()
    numbers.register(ONE)
    assert "EAA1" not in str(numbers.shown())
    assert numbers.shown()[0]["phone_number_id"] == "1001"


FORMS = {
    "one": b'{"phone_number_id":"1"}',
    "a list": b'[{"phone_number_id":"1"}]',
    "a listing": b'{"numbers":[{"phone_number_id":"1"}]}',
}


@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS.keys())
def test_numbers_are_read_from_each_form(body):
    assert read_numbers(body) == [Number("1")]


@pytest.mark.parametrize("body", [b"[1]", b'{"phone_number_id":"abc"}', b'{"phone_number_id":"1","tokn":"x"}', b"{"])
def test_nonsense_is_refused(body):
    with pytest.raises(msgspec.MsgspecError):
        read_numbers(body)
