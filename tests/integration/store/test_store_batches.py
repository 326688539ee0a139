"""The batch transaction on PostgreSQL: a redo is identical, a duplicate is nothing, one's trouble is one's own."""

# ruff: noqa: S608 - what is put into these statements is the name of a schema, made of a number

import asyncio
import random

import pytest

from services.normaliser.record import Told
from services.providers.cloud.payloads import callback_data
from services.providers.contract import Identity, Update
from services.store.names import schema_of
from tests.integration.store.kit import account_of, events_of, new_base, new_wamid, somebody, types_of
from tests.unit.normaliser.updates import a_status, a_text, an_account_update, an_unknown_update, told


def heard(update, tenant):
    """An update as a record of its own brings it to a tenant."""
    return told(update, account_of(tenant), base=new_base())


def redelivered(one: Told) -> Told:
    """Meta's second delivery of the same update: another record."""
    return told(one.update, one.account, base=new_base(), offset=one.offset + 1)


def a_full_batch(tenant):
    """Everything at once: two texts of one user, one of them twice, a status, news of the account, an unknown kind."""
    user = somebody()
    first, second = (a_text(new_wamid(), sender=user) for _ in range(2))
    return [
        heard(first, tenant), heard(second, tenant), heard(first, tenant), heard(a_status("sent", new_wamid()), tenant),
        heard(an_account_update(), tenant), heard(an_unknown_update(), tenant),
    ]  # fmt: skip


async def test_a_batch_becomes_rows_and_events(store, tenant):
    events = events_of(await store.hear(*a_full_batch(tenant)))
    assert types_of([event for _, event in events]) == [
        "message_received", "message_received", "account_limit_changed", "webhook_event_unknown",
    ]  # fmt: skip
    assert {no for no, _ in events} == {tenant}
    rows = {table: len(found) for table, found in store.everything_of(tenant).items()}
    assert rows == {
        "contacts": 1, "contact_identities": 2, "conversations": 1, "messages": 2, "message_statuses": 1, "wamids": 3,
        "events": 4, "account_state": 1, "webhook_events": 1, "deferred": 0, "send_attempts": 0,
    }  # fmt: skip


async def test_the_redo_of_a_batch_changes_no_row_and_reads_back_the_same_bytes(store, tenant):
    batch = a_full_batch(tenant)
    first = events_of(await store.hear(*batch))
    before = store.everything_of(tenant)
    again = events_of(await store.hear(*batch))
    assert again == first
    assert [event.value for _, event in again] == [event.value for _, event in first]
    assert store.everything_of(tenant) == before


async def test_a_redo_in_other_company_reads_back_only_its_own(store, tenant):
    batch = a_full_batch(tenant)
    first = events_of(await store.hear(*batch))
    part = events_of(await store.hear(heard(a_text(new_wamid(), sender=somebody()), tenant), batch[1]))
    assert [pair for pair in part if pair in first] == [first[1]]
    assert len(part) == 2


async def test_the_same_updates_under_another_name_are_nothing(store, tenant):
    batch = a_full_batch(tenant)
    await store.hear(*batch)
    before = store.everything_of(tenant)
    assert events_of(await store.hear(*(redelivered(one) for one in batch))) == []
    after = store.everything_of(tenant)
    assert {table: after[table] for table in after if table != "account_state"} == {
        table: before[table] for table in before if table != "account_state"
    }


async def test_what_was_there_before_keeps_its_sequence_and_counters(store, tenant):
    user = somebody()
    once = heard(a_text(new_wamid(), sender=user), tenant)
    for _ in range(3):
        await store.hear(once)
    events_of(await store.hear(redelivered(once), heard(a_text(new_wamid(), sender=user), tenant)))
    schema = schema_of(tenant)
    assert store.rows(f"SELECT unread_count, last_sequence FROM {schema}.conversations") == [(2, 2)]
    assert store.rows(f"SELECT sequence FROM {schema}.events ORDER BY id") == [(1,), (2,)]


async def test_an_older_word_of_meta_never_overwrites_a_newer_one(store, tenant):
    newer, older = an_account_update(new="TIER_10K"), an_account_update(new="TIER_2K")
    await store.hear(told(newer, account_of(tenant), base=new_base()))
    one = told(older, account_of(tenant), base=new_base())
    past = one.received_at.replace(year=2025)
    await store.hear(told(older, account_of(tenant), base=new_base(), received_at=past))
    assert store.one("SELECT value FROM recado.account_state WHERE tenant_id = %s", tenant) == "TIER_10K"


async def test_a_user_without_a_number_and_one_without_a_name_are_kept(store, tenant):
    await store.hear(
        heard(a_text(new_wamid(), sender=Identity(bsuid="EC.1")), tenant),
        heard(a_text(new_wamid(), sender=Identity()), tenant),
    )
    schema = schema_of(tenant)
    found = store.rows(f"SELECT phone_number, user_id, conversation_id IS NULL FROM {schema}.messages ORDER BY 3")
    assert found == [(None, "EC.1", False), (None, None, True)]


async def test_a_number_that_changes_hands_opens_another_conversation(store, tenant):
    number = somebody().wa_id
    for bsuid in ("EC.1", "EC.2", "EC.1"):
        await store.hear(heard(a_text(new_wamid(), sender=Identity(wa_id=number, bsuid=bsuid)), tenant))
    schema = schema_of(tenant)
    per_conversation = store.rows(f"SELECT count(*) FROM {schema}.messages GROUP BY conversation_id ORDER BY 1")
    assert per_conversation == [(1,), (2,)]


async def test_a_name_given_within_a_batch_does_not_hide_whose_contact_it_is(store, tenant):
    number, parent = somebody().wa_id, "EC.PARENT"
    await store.hear(heard(a_text(new_wamid(), sender=Identity(wa_id=number, bsuid="EC.1")), tenant))
    await store.hear(
        heard(a_text(new_wamid(), sender=Identity(wa_id=number, parent_bsuid=parent)), tenant),
        heard(a_text(new_wamid(), sender=Identity(bsuid="EC.2", parent_bsuid=parent)), tenant),
    )
    schema = schema_of(tenant)
    per_conversation = store.rows(f"SELECT count(*) FROM {schema}.messages GROUP BY conversation_id ORDER BY 1")
    assert per_conversation == [(1,), (2,)]


async def test_a_redo_among_new_records_says_again_what_was_said_and_then_what_is_new(store, tenant):
    user = somebody()
    once = heard(a_text(new_wamid(), sender=user), tenant)
    first = events_of(await store.hear(once))
    new = heard(a_text(new_wamid(), sender=user), tenant)
    again = events_of(await store.hear(new, once))
    assert again[0] == first[0]
    assert [event.sequence for _, event in again] == [1, 2]
    assert events_of(await store.hear(new, once)) == again


async def test_fifty_tenants_share_a_transaction(store, make_tenants):
    fifty = make_tenants(50)
    batch = [heard(a_text(new_wamid(), sender=somebody()), tenant) for tenant in fifty]
    random.shuffle(batch)
    done = await store.hear(*batch)
    assert len(done.results) == 1
    assert [tenant for tenant, _ in events_of(done)] == fifty
    counts = {store.one(f"SELECT count(*) FROM {schema_of(tenant)}.messages") for tenant in fifty}
    assert counts == {1}
    transactions = {store.one(f"SELECT min(xid::text) FROM {schema_of(tenant)}.events") for tenant in fifty}
    assert len(transactions) == 1


async def test_a_tenant_whose_schema_is_missing_waits_and_the_others_commit(store, make_tenants):
    there = make_tenants(3)
    gone = there.pop(0)
    store.change(f"DROP SCHEMA {schema_of(gone)} CASCADE")
    never_was = 900_000_000
    batch = {tenant: heard(a_text(new_wamid(), sender=somebody()), tenant) for tenant in (gone, *there, never_was)}
    done = await store.hear(*batch.values())
    assert {tenant: [item.told[0] for item in items] for tenant, items in done.unavailable.items()} == {
        gone: [batch[gone]],
        never_was: [batch[never_was]],
    }
    assert done.failed == []
    assert sorted(tenant for result in done.results for tenant, _ in result) == there


@pytest.mark.parametrize(
    "trouble",
    ["DROP TABLE {s}.message_statuses", "ALTER TABLE {s}.messages DROP COLUMN content",
     "REVOKE SELECT ON {s}.wamids FROM {s}", "REVOKE USAGE ON SCHEMA {s} FROM {s}"],
    ids=["a table is missing", "a column is missing", "a right is missing", "the schema is closed"],
)  # fmt: skip
async def test_a_tenant_that_is_being_migrated_waits(store, make_tenants, trouble):
    migrating, well = make_tenants(2)
    store.change(trouble.format(s=schema_of(migrating)))
    statements = [
        heard(a_text(new_wamid(), sender=somebody()), tenant) for tenant in (migrating, well) for _ in range(3)
    ]
    statements += [heard(a_status("sent", new_wamid()), migrating)]
    done = await store.hear(*statements)
    assert {tenant: len(items) for tenant, items in done.unavailable.items()} == {migrating: 4}
    assert done.failed == []
    assert store.one(f"SELECT count(*) FROM {schema_of(well)}.messages") == 3


async def test_exactly_the_record_that_cannot_be_stored_fails(store, tenants):
    good = [heard(a_text(new_wamid(), sender=somebody()), tenant) for tenant in tenants for _ in range(4)]
    poison = heard(a_text(new_wamid(), sender=somebody(), content="before\0after"), tenants[1])
    done = await store.hear(*good[:6], poison, *good[6:])
    assert [(fail.tenant, fail.item.told[0]) for fail in done.failed] == [(tenants[1], poison)]
    assert done.unavailable == {}
    events = [event for result in done.results for _, event in result]
    assert len(events) == len(good)


async def test_a_record_that_our_code_chokes_on_fails_alone_and_leaves_no_trace(store, tenant):
    user = somebody()
    good = [heard(a_text(new_wamid(), sender=user), tenant) for _ in range(3)]
    bad = heard(a_text(new_wamid(), sender=user, timestamp="no time at all"), tenant)
    done = await store.hear(good[0], bad, *good[1:])
    assert [fail.item.told[0] for fail in done.failed] == [bad]
    schema = schema_of(tenant)
    assert store.one(f"SELECT count(*) FROM {schema}.messages") == 3
    assert store.one(f"SELECT count(*) FROM {schema}.wamids") == 3
    assert store.rows(f"SELECT last_sequence, unread_count FROM {schema}.conversations") == [(3, 3)]


async def test_a_status_that_can_mean_nothing_is_still_a_row(store, tenant):
    done = await store.hear(heard(a_status("invented", new_wamid(), callback=callback_data("msg_x", 1)), tenant))
    assert events_of(done) == []
    assert store.one(f"SELECT status FROM {schema_of(tenant)}.message_statuses") == "invented"


async def test_batches_on_the_same_keys_meet_without_loss_or_deadlock(store, make_tenants):
    """Eight connections, fifty rounds: each brings the same updates in an order of its own, each its own delivery."""
    some = make_tenants(3)
    for _ in range(50):
        users = [somebody() for _ in range(3)]
        updates: list[Update] = [a_text(new_wamid(), sender=user) for user in users for _ in range(2)]
        updates += [a_status(word, new_wamid()) for word in ("sent", "delivered")]
        batches = []
        for _ in range(8):
            batch = [heard(update, tenant) for update in updates for tenant in some]
            random.shuffle(batch)
            batches.append(batch)
        done = await asyncio.gather(*(store.hear(*batch) for batch in batches))
        events = [pair for one in done for pair in events_of(one)]
        assert len(events) == len({event.event_id for _, event in events}) == 6 * len(some)
    for tenant in some:
        schema = schema_of(tenant)
        assert store.one(f"SELECT count(*) FROM {schema}.messages") == 50 * 6
        assert store.one(f"SELECT count(*) FROM {schema}.message_statuses") == 50 * 2
        assert store.one(f"SELECT count(*) FROM {schema}.conversations WHERE last_sequence <> 2") == 0
        assert store.one(f"SELECT count(DISTINCT (conversation_id, sequence)) FROM {schema}.events") == 50 * 6
