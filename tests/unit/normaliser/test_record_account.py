"""What Meta says of accounts, and what nobody knows yet: kept with its raw, announced, never guessed."""

import msgspec
import pytest

from services.domain.events import ACCOUNT_TOPIC
from services.domain.workset import Workset
from services.normaliser.record import keys_of, record
from services.store.worksets import Keys
from tests.unit.domain.things import ACCOUNT, NOW, an_account, announced
from tests.unit.normaliser.updates import an_account_update, an_unknown_update, told


def heard(update, **over):
    work = Workset()
    record(work, told(update, **over))
    return work


def data_of(work):
    return msgspec.json.decode(work.events[0][1].value)["data"]


def test_a_change_is_announced_with_old_new_and_raw():
    work = heard(an_account_update())
    assert announced(work) == ["account_limit_changed"]
    data = data_of(work)
    assert (data["field"], data["old"], data["new"]) == ("phone_number_quality_update", "TIER_250", "TIER_2K")
    assert data["raw"] == {"event": "ONBOARDING"}


def test_an_account_s_event_goes_to_the_account_s_topic_and_key_outside_of_any_conversation():
    event = heard(an_account_update()).events[0][1]
    assert (event.topic, event.key, event.sequence) == (ACCOUNT_TOPIC, ACCOUNT.id, 0)
    assert (event.conversation_id, event.message_id) == (None, None)


def test_the_nine_keys_are_there_even_when_most_are_null():
    data = data_of(heard(an_account_update()))
    assert {
        "account_id",
        "company_id",
        "business_id",
        "conversation_id",
        "message_id",
        "from",
        "to",
        "content",
        "type",
    } <= set(data)
    assert data["to"] == ACCOUNT.phone_number


def test_what_it_is_now_is_kept_under_its_field():
    work = heard(an_account_update())
    (row,) = work.account_states.values()
    assert (row.account_id, row.field, row.value, row.at) == (ACCOUNT.id, "messaging_limit", "TIER_2K", NOW)
    assert row.event_id == work.events[0][1].event_id


def test_news_that_holds_no_state_is_only_announced():
    work = heard(an_account_update(state_field=None))
    assert (len(work.events), work.account_states) == (1, {})


def test_of_several_changes_in_a_batch_the_last_one_stays():
    work = Workset()
    for value in ("TIER_2K", "TIER_10K"):
        record(work, told(an_account_update(new=value)))
    assert [row.value for row in work.account_states.values()] == ["TIER_10K"]
    assert len(work.events) == 2


def test_the_same_change_has_one_name_however_often_it_comes():
    once, again = heard(an_account_update()), heard(an_account_update(), offset=99)
    assert once.events[0][1].event_id == again.events[0][1].event_id


def test_a_change_of_a_whole_waba_is_each_account_s_own():
    names = {heard(an_account_update(), account=account).events[0][1].event_id for account in (ACCOUNT, an_account(2))}
    assert len(names) == 2


def test_a_kind_that_nobody_knows_is_kept_with_its_raw_and_where_it_lies():
    work = heard(an_unknown_update())
    (row,) = work.webhook_events
    assert (row.event_type, row.payload) == ("field_of_tomorrow", {"what": "nobody knows"})
    assert (row.raw_partition, row.raw_offset) == (3, 7)
    assert announced(work) == ["webhook_event_unknown"]
    assert data_of(work)["raw"] == {"what": "nobody knows"}


@pytest.mark.parametrize("update", [an_account_update(), an_unknown_update()], ids=["account", "unknown"])
def test_they_touch_no_message_and_no_user(update):
    keys = Keys()
    keys_of(told(update), keys)
    assert keys.accounts == {ACCOUNT.id}
    assert (keys.inbound, keys.outbound, keys.messages, keys.identities) == ({}, set(), set(), set())
