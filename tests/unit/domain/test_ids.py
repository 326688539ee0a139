"""Ids and names: what is written is read back, what was never issued is refused."""

import string
import uuid

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.domain.ids import (
    ALPHABET,
    MessageIds,
    RecordName,
    decode128,
    derived_id,
    encode128,
    event_id,
    inbound_message_id,
    is_typed_id,
    item_base,
    item_name,
    parse_record_name,
    typed_id,
)
from tests.unit.domain.things import IDS, MESSAGE_ID

BITS32 = st.integers(0, 2**32 - 1)
BITS64 = st.integers(0, 2**64 - 1)


@given(st.integers(0, 2**128 - 1))
def test_128_bits_survive_the_writing(number):
    assert decode128(encode128(number)) == number


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1))
def test_ids_sort_as_their_numbers_do(one, other):
    assert (encode128(one) < encode128(other)) == (one < other)


@given(BITS32, BITS64)
def test_a_message_id_tells_its_account(account_no, chance):
    assert IDS.account_no(IDS.issue(account_no, chance)) == account_no


@given(st.integers(4, 29), st.sampled_from(ALPHABET))
def test_a_message_id_with_another_letter_is_refused(place, letter):
    forged = MESSAGE_ID[:place] + letter + MESSAGE_ID[place + 1 :]
    assume(forged != MESSAGE_ID)
    assert IDS.account_no(forged) is None


@given(st.text(ALPHABET, min_size=26, max_size=26).map(lambda suffix: f"msg_{suffix}"))
def test_a_made_up_message_id_is_refused(made_up):
    assert IDS.account_no(made_up) is None


@given(st.text(max_size=40))
def test_no_text_at_all_makes_the_check_fail_over(text):
    assert IDS.account_no(text) is None


@pytest.mark.parametrize(
    "text",
    [MESSAGE_ID.upper(), MESSAGE_ID + "\n", " " + MESSAGE_ID, MESSAGE_ID[:-1], MESSAGE_ID + "0", "msg_" + "z" * 26,
     MESSAGE_ID.replace("msg_", "acc_")],
    ids=["upper case", "newline", "blank", "too short", "too long", "more than 128 bits", "another kind"],
)  # fmt: skip
def test_what_only_looks_like_a_message_id_is_refused(text):
    assert IDS.account_no(text) is None


def test_another_secret_s_ids_are_refused():
    assert MessageIds(b"another secret").account_no(MESSAGE_ID) is None


def test_a_key_names_the_same_message_each_time():
    assert IDS.from_key(7, 1, "messages", "order-17") == IDS.from_key(7, 1, "messages", "order-17")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((7, 1, "messages", "k"), (7, 2, "messages", "k")),
        ((7, 1, "messages", "k"), (7, 1, "otp", "k")),
        ((7, 1, "messages", "k"), (7, 1, "messages", "K")),
        ((7, 1, "messages", "k"), (8, 1, "messages", "k")),
    ],
    ids=["tenant", "route", "key", "account"],
)
def test_a_key_of_another_tenant_route_or_account_names_another_message(one, other):
    assert IDS.from_key(*one) != IDS.from_key(*other)


@given(BITS32)
def test_an_id_by_key_tells_its_account_too(account_no):
    assert IDS.account_no(IDS.from_key(account_no, 1, "messages", "order-17")) == account_no


@given(st.uuids(), st.integers(0, 10**6))
def test_a_record_name_survives_the_writing(base, n):
    assert parse_record_name(str(RecordName(base, n))) == RecordName(base, n)


@given(st.uuids())
def test_an_event_s_name_counts_as_zero(name):
    assert parse_record_name(str(name)) == RecordName(name, 0)


@pytest.mark.parametrize("text", ["", "x", "x.1", "0196202e-7a40-7000-8000-000000000001.x"])
def test_what_is_no_record_name_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        parse_record_name(text)


def test_a_deferral_keeps_the_base():
    name = RecordName(uuid.UUID(int=1), 0)
    assert name.deferred(3) == RecordName(uuid.UUID(int=1), 3)


def test_an_item_is_named_after_its_receipt_and_its_place():
    names = {
        item_base(receipt, path) for receipt in ("r1", "r2") for path in ("/entry/0/changes/0", "/entry/0/changes/1")
    }
    assert len(names) == 4
    assert item_base("r1", "/entry/0/changes/0") in names


@pytest.mark.parametrize("receipt", [f"0198c1de-0000-7000-8000-{n:012x}" for n in range(64)])
def test_an_items_name_is_its_base_written_out(receipt):
    path = "/entry/0/changes/0/messages/0"
    assert item_name(receipt, path) == str(RecordName(item_base(receipt, path), 0))


def test_derived_ids_do_not_run_into_each_other():
    assert derived_id("cnt", "ab", "c") != derived_id("cnt", "a", "bc")
    assert event_id("message_sent", "ab", "c") != event_id("message_sent", "a", "bc")


def test_kinds_of_events_have_names_of_their_own():
    assert event_id("message_sent", MESSAGE_ID) != event_id("message_delivered", MESSAGE_ID)


def test_a_user_s_message_has_one_id_within_an_account():
    assert inbound_message_id("acc_1", "wamid.A") == inbound_message_id("acc_1", "wamid.A")
    assert inbound_message_id("acc_1", "wamid.A") != inbound_message_id("acc_2", "wamid.A")


@given(st.uuids(), st.sampled_from(["acc", "conv", "cnt", "msg"]))
def test_a_typed_id_is_recognised_by_its_kind(value, kind):
    text = typed_id(kind, value)
    assert is_typed_id(text, kind)
    assert not is_typed_id(text, "evt")


def test_the_alphabet_has_no_letter_that_is_mistaken_for_another():
    assert len(set(ALPHABET)) == 32
    assert set("ilou").isdisjoint(ALPHABET)
    assert set(ALPHABET) <= set(string.ascii_lowercase + string.digits)
