"""A user's message becomes one row, one conversation, one event."""

from datetime import timedelta

import msgspec
import pytest

from services.domain.ids import inbound_message_id
from services.domain.workset import Contact, IdentityKey, WamidKey, Workset
from services.normaliser.record import identity_keys, keys_of, record
from services.providers.contract import Identity
from services.store.worksets import Keys
from tests.unit.domain.things import ACCOUNT, NOW, PHONE, WA_ID, a_conversation, announced
from tests.unit.normaliser.updates import ANA, WAMID, a_text, make_room_for, told


def received(work, update, **over):
    one = told(update, **over)
    make_room_for(work, one)
    record(work, one)
    return work


def only(things):
    (thing,) = things.values()
    return thing


def data_of(work, index=0):
    return msgspec.json.decode(work.events[index][1].value)["data"]


def test_it_becomes_a_row_with_what_was_said_and_where_its_raw_bytes_lie():
    message = only(received(Workset(), a_text()).messages)
    assert message.id == inbound_message_id(ACCOUNT.id, WAMID)
    assert (message.direction, message.status, message.content) == ("inbound", "delivered", a_text().content)
    assert (message.wamid, message.message_at, message.phone_number) == (WAMID, NOW, PHONE)
    assert (message.raw_partition, message.raw_offset) == (3, 7)


def test_it_is_announced_with_its_contact_and_the_window_that_it_opens():
    work = received(Workset(), a_text())
    assert announced(work) == ["message_received"]
    data = data_of(work)
    assert data["contact"] == {"id": only(work.contacts).id, "name": "Ana", "username": "ana.ec", "user_id": ANA.bsuid}
    assert data["window_expires_at"] == "2026-04-11T15:30:45.120Z"
    assert (data["from"], data["to"]) == (PHONE, ACCOUNT.phone_number)


def test_the_same_message_in_one_batch_is_taken_once():
    work = received(Workset(), a_text())
    record(work, told(a_text()))
    assert len(work.messages) == len(work.events) == 1
    assert only(work.conversations).unread_count == 1


def test_a_message_whose_key_was_there_before_changes_nothing():
    work = Workset()
    record(work, told(a_text()))
    assert (work.messages, work.events, work.conversations, work.contacts) == ({}, [], {}, {})


def test_a_user_without_a_phone_number_is_known_by_his_id():
    work = received(Workset(), a_text(sender=Identity(bsuid="EC.1", name="Ana")))
    assert (only(work.messages).phone_number, only(work.messages).user_id) == (None, "EC.1")
    assert data_of(work)["from"] is None
    assert data_of(work)["from_user_id"] == "EC.1"


def test_a_message_that_names_nobody_is_kept_outside_of_a_conversation():
    work = received(Workset(), a_text(sender=Identity()))
    assert only(work.messages).conversation_id is None
    assert work.events[0][1].sequence == 0
    assert data_of(work)["contact"] == {}


def test_without_a_time_it_is_dated_by_its_receipt():
    assert only(received(Workset(), a_text(timestamp=None)).messages).message_at == NOW


def test_it_reopens_its_conversation():
    work = Workset()
    conversation = a_conversation(contact="cnt_ana", status="archived", unread_count=2, last_sequence=8)
    work.conversations[conversation.id] = conversation
    work.identities[IdentityKey("bsuid", ANA.bsuid or "")] = "cnt_ana"
    work.contacts["cnt_ana"] = Contact("cnt_ana", "Ana", "ana.ec")
    received(work, a_text())
    assert (conversation.status, conversation.unread_count, conversation.last_sequence) == ("open", 3, 9)
    assert work.changed_conversations == {conversation.id}
    assert work.new_conversations == set()


def test_an_older_message_that_comes_later_does_not_close_the_window_earlier():
    work = received(Workset(), a_text())
    received(work, a_text("wamid.older", timestamp=NOW - timedelta(hours=3)))
    conversation = only(work.conversations)
    assert conversation.last_message_at == NOW
    assert conversation.window_expires_at == NOW + timedelta(hours=24)


@pytest.mark.parametrize(
    ("event_type", "unread"),
    [("message_received", 1), ("reaction_received", 0), ("message_edited", 0), ("message_revoked", 0)],
)
def test_only_what_a_person_wrote_counts_as_unread(event_type, unread):
    work = received(Workset(), a_text(event_type=event_type))
    assert announced(work) == [event_type]
    assert only(work.conversations).unread_count == unread


def test_what_a_reply_quotes_is_named_by_our_id_if_we_know_it():
    work = Workset()
    work.references[ACCOUNT.id, "wamid.ours"] = "msg_ours"
    received(work, a_text("wamid.1", reply_to_wamid="wamid.ours"))
    received(work, a_text("wamid.2", reply_to_wamid="wamid.theirs"))
    received(work, a_text("wamid.3"))
    assert [message.reply_to for message in work.messages.values()] == ["msg_ours", "wamid.theirs", None]


def test_messages_of_a_batch_draw_their_sequence_in_its_order():
    work = Workset()
    for number in range(3):
        received(work, a_text(f"wamid.{number}"))
    assert [event.sequence for _, event in work.events] == [1, 2, 3]
    assert len(work.conversations) == 1


def test_the_detail_of_its_kind_stands_in_the_event():
    work = received(Workset(), a_text(detail={"reaction": {"emoji": "👍", "target": "wamid.X"}}))
    assert data_of(work)["reaction"] == {"emoji": "👍", "target": "wamid.X"}


@pytest.mark.parametrize("wa_id", ["not digits", "0593", "1"])
def test_a_from_is_e164_or_null_whatever_meta_wrote(wa_id):
    work = received(Workset(), a_text(sender=Identity(wa_id=wa_id, bsuid="EC.1")))
    assert data_of(work)["from"] is None


@pytest.mark.parametrize(
    ("identity", "kinds"),
    [
        (ANA, ["bsuid", "wa_id"]),
        (Identity(wa_id=WA_ID, bsuid="EC.1", parent_bsuid="EC.0"), ["bsuid", "wa_id", "parent_bsuid"]),
        (Identity(wa_id=WA_ID), ["wa_id"]),
        (Identity(group_id="g", wa_id=WA_ID, bsuid="EC.1"), ["group"]),
        (Identity(), []),
    ],
    ids=["id first", "parent last", "number alone", "the group speaks for its members", "nobody"],
)
def test_names_are_ordered_strongest_first(identity, kinds):
    assert [key.kind for key in identity_keys(identity)] == kinds


def test_it_touches_its_wamid_its_user_and_what_it_quotes():
    keys = Keys()
    keys_of(told(a_text(reply_to_wamid="wamid.ours")), keys)
    assert keys.accounts == {ACCOUNT.id}
    assert keys.inbound == {WamidKey(ACCOUNT.id, "in", WAMID): inbound_message_id(ACCOUNT.id, WAMID)}
    assert keys.identities == set(identity_keys(ANA))
    assert keys.referenced == {(ACCOUNT.id, "wamid.ours")}
