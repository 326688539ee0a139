"""Where sender and normaliser meet on PostgreSQL: whoever comes second finds what the first one left."""

# ruff: noqa: S608 - what is put into these statements is the name of a schema, made of a number

import asyncio
import random
from datetime import timedelta

import msgspec
import pytest

from services.domain.message import Recipient
from services.domain.policy import Evidence
from services.domain.workset import BEGINNING
from services.normaliser.record import Told
from services.providers.cloud.payloads import callback_data
from services.providers.contract import Identity, NotSent, Refused, Sent, Unknown
from services.store.names import schema_of
from tests.integration.store.kit import account_of, again, events_of, new_base, new_wamid, ordered, somebody, types_of
from tests.unit.domain.things import NOW
from tests.unit.normaliser.updates import a_status, a_text, told

REFUSED = Refused(code="window_closed", title="t", detail="d", fault="caller", meta={"code": 131047})


@pytest.fixture
def account(tenants):
    return account_of(tenants[0])


def heard(order, word, wamid, *, callback=True, attempt=1, **over) -> Told:
    """A status of the order's message, with or without the string that Meta gives back."""
    ours = callback_data(order.command.message_id, attempt) if callback else None
    return told(a_status(word, wamid, callback=ours, **over), order.account, base=new_base())


def asking(order, n, *, complete):
    """The command as it returns from a wait for evidence, its window over."""
    return msgspec.structs.replace(again(order, n), evidence=Evidence(decide_at=BEGINNING, complete=complete))


def attempts_of(store, order):
    return store.rows(
        "SELECT attempt, outcome, wamid, code FROM recado.send_attempts WHERE message_id = %s ORDER BY attempt",
        order.command.message_id,
    )


def statuses_of(store, order, wamid):
    return store.rows(
        f"SELECT status, late, message_id IS NOT NULL FROM {schema_of(order.command.tenant)}.message_statuses "
        "WHERE wamid = %s ORDER BY status_at, status",
        wamid,
    )


def announced_of(store, order):
    """What is stored of the message, in its conversation's order."""
    return store.rows(
        f"SELECT event_type, sequence FROM {schema_of(order.command.tenant)}.events WHERE message_id = %s "
        "ORDER BY sequence",
        order.command.message_id,
    )


async def test_a_claim_is_committed_with_its_attempt_and_lease(store, account):
    order = ordered(account)
    (verdict,), events = await store.claim(order)
    assert (verdict.call.attempt, events) == (1, [])
    row = store.message(order)
    assert (row["status"], row["attempt"], row["direction"]) == ("sending", 1, "outbound")
    assert row["lease_until"] is not None
    assert attempts_of(store, order) == [(1, None, None, None)]


async def test_an_answer_makes_it_sent(store, account):
    order, wamid = ordered(account), new_wamid()
    events = await store.settle((await store.call_of(order), Sent(wamid)))
    assert types_of(events) == ["message_sent"]
    row = store.message(order)
    assert (row["status"], row["wamid"]) == ("sent", wamid)
    assert attempts_of(store, order) == [(1, "sent", wamid, None)]


async def test_a_status_before_the_answer_announces_both_and_the_answer_nothing(store, account):
    order, wamid = ordered(account), new_wamid()
    call = await store.call_of(order)
    early = events_of(await store.hear(heard(order, "delivered", wamid)))
    assert types_of([event for _, event in early]) == ["message_sent", "message_delivered"]
    assert await store.settle((call, Sent(wamid))) == []
    assert store.message(order)["status"] == "delivered"
    assert attempts_of(store, order) == [(1, "sent", wamid, None)]


async def test_a_status_after_the_answer_needs_no_callback(store, account):
    order, wamid = ordered(account), new_wamid()
    await store.settle((await store.call_of(order), Sent(wamid)))
    events = events_of(await store.hear(heard(order, "delivered", wamid, callback=False)))
    assert types_of([event for _, event in events]) == ["message_delivered"]
    assert statuses_of(store, order, wamid) == [("delivered", False, True)]


async def test_statuses_before_any_link_are_adopted_by_the_answer(store, account):
    order, wamid = ordered(account), new_wamid()
    call = await store.call_of(order)
    words = [heard(order, word, wamid, callback=False, at=NOW + timedelta(seconds=n))
             for n, word in enumerate(("sent", "delivered", "invented"))]  # fmt: skip
    assert events_of(await store.hear(*words)) == []
    assert [(word, linked) for word, _, linked in statuses_of(store, order, wamid)] == [
        ("sent", False), ("delivered", False), ("invented", False),
    ]  # fmt: skip
    events = await store.settle((call, Sent(wamid)))
    assert types_of(events) == ["message_sent", "message_delivered"]
    assert store.message(order)["status"] == "delivered"
    assert {linked for _, _, linked in statuses_of(store, order, wamid)} == {True}


async def test_statuses_before_any_link_are_adopted_by_a_status_that_names_us(store, account):
    order, wamid = ordered(account), new_wamid()
    await store.call_of(order)
    await store.hear(heard(order, "read", wamid, callback=False))
    events = events_of(await store.hear(heard(order, "sent", wamid)))
    assert types_of([event for _, event in events]) == ["message_sent", "message_read"]
    assert {linked for _, _, linked in statuses_of(store, order, wamid)} == {True}


async def test_a_lost_answer_is_settled_by_its_status(store, account):
    order, wamid = ordered(account), new_wamid()
    assert types_of(await store.settle((await store.call_of(order), Unknown("timeout")))) == ["message_unknown"]
    events = events_of(await store.hear(heard(order, "sent", wamid)))
    assert types_of([event for _, event in events]) == ["message_resolved", "message_sent"]
    row = store.message(order)
    assert (row["status"], row["wamid"]) == ("sent", wamid)


async def test_an_outcome_that_nothing_settles_is_sent_once_more_when_evidence_is_complete(store, account):
    order = ordered(account, outcome_policy="at_least_once")
    await store.settle((await store.call_of(order), Unknown("timeout")))
    (early,), _ = await store.claim(asking(order, 1, complete=False))
    assert (early.call, store.message(order)["status"], store.message(order)["wait_no"]) == (None, "unknown", 2)
    (verdict,), events = await store.claim(asking(order, 2, complete=True))
    assert (verdict.call.attempt, types_of(events)) == (2, ["message_unknown", "message_resolved"])
    row = store.message(order)
    assert (row["status"], row["attempt"]) == ("sending", 2)


async def test_a_status_of_another_tenant_s_message_is_never_linked(store, tenants):
    mine, theirs = ordered(account_of(tenants[0])), account_of(tenants[1])
    await store.call_of(mine)
    wamid = new_wamid()
    foreign = a_status("failed", wamid, callback=callback_data(mine.command.message_id, 1))
    assert events_of(await store.hear(told(foreign, theirs, base=new_base()))) == []
    assert store.message(mine)["status"] == "sending"


async def test_the_redo_of_a_status_says_the_same_again(store, account):
    order, wamid = ordered(account), new_wamid()
    await store.call_of(order)
    one = heard(order, "read", wamid)
    first = events_of(await store.hear(one))
    assert events_of(await store.hear(one)) == first
    assert announced_of(store, order) == [("message_sent", 1), ("message_read", 2)]


async def test_the_redo_of_a_command_reads_back_what_its_answer_announced(store, account):
    order, wamid = ordered(account), new_wamid()
    events = await store.settle((await store.call_of(order), Sent(wamid)))
    (verdict,), read_back = await store.claim(order)
    assert read_back == events
    assert (verdict.call, verdict.reply.status, verdict.reply.whatsapp_message_id) == (None, "sent", wamid)


async def test_a_refusal_is_kept_with_message_and_attempt(store, account):
    order = ordered(account)
    assert types_of(await store.settle((await store.call_of(order), REFUSED))) == ["message_failed"]
    row = store.message(order)
    assert (row["status"], row["error"]["code"], row["error"]["meta_code"]) == ("failed", "window_closed", 131047)
    assert attempts_of(store, order) == [(1, "refused", None, "window_closed")]


async def test_attempts_are_numbered_and_each_keeps_its_outcome(store, account):
    order, wamid = ordered(account), new_wamid()
    await store.settle((await store.call_of(order), NotSent(reason="throttled")))
    await store.settle((await store.call_of(again(order, 1)), Sent(wamid)))
    assert attempts_of(store, order) == [(1, "not_sent", None, "throttled"), (2, "sent", wamid, None)]


async def test_an_expired_lease_is_unknown_and_sends_nothing(store, account):
    order = ordered(account)
    await store.call_of(order)
    schema = schema_of(account.tenant)
    store.change(
        f"UPDATE {schema}.messages SET lease_until = now() - interval '1 second' WHERE id = %s",
        order.command.message_id,
    )
    (verdict,), events = await store.claim(order)
    assert verdict.call is None
    assert types_of(events) == ["message_unknown"]
    assert len(attempts_of(store, order)) == 1


async def test_a_live_lease_makes_the_record_wait_for_its_end(store, account):
    order = ordered(account)
    await store.call_of(order)
    (verdict,), events = await store.claim(order)
    assert (verdict.call, verdict.reply.status, events) == (None, "sending", [])
    ((reason, n, early, late),) = store.rows(
        "SELECT reason, n, due_at > now() + interval '30 seconds', due_at > now() + interval '46 seconds' "
        "FROM recado.deferred WHERE base = %s",
        order.name.base,
    )
    assert (reason, n, early, late) == ("lease", 1, True, False)


async def test_another_body_under_one_key_is_announced_once_and_read_back_on_redo(store, account):
    order = ordered(account)
    await store.call_of(order)
    other = ordered(account, message_id=order.command.message_id, body_sha256="another")
    (verdict,), events = await store.claim(other)
    assert (verdict.reply.problem, types_of(events)) == ("idempotency_mismatch", ["idempotency_mismatch"])
    assert (await store.claim(other))[1] == events


async def test_one_message_is_called_once_however_many_copies_claim_it(store, account):
    """Thirty rounds of four connections: two records of one command, two with another recipient and body."""
    for _ in range(30):
        order = ordered(account)
        same = ordered(account, message_id=order.command.message_id, to=order.command.to)
        others = [
            ordered(account, message_id=order.command.message_id, body_sha256=name) for name in ("other", "third")
        ]
        claims = [order, same, *others]
        random.shuffle(claims)
        done = await asyncio.gather(*(store.claim(one) for one in claims))
        verdicts = [verdict for found, _ in done for verdict in found]
        assert sum(verdict.call is not None for verdict in verdicts) == 1
        assert len(attempts_of(store, order)) == 1


async def test_answers_and_statuses_that_race_end_alike(store, account):
    """Thirty rounds: our answer and three statuses come at once, in any order, one of them twice."""
    for _ in range(30):
        order, wamid = ordered(account), new_wamid()
        call = await store.call_of(order)
        news = [store.hear(heard(order, word, wamid)) for word in ("sent", "delivered", "read", "read")]
        news.append(store.settle((call, Sent(wamid))))
        random.shuffle(news)
        await asyncio.gather(*news)
        row = store.message(order)
        assert (row["status"], row["wamid"]) == ("read", wamid)
        announced = announced_of(store, order)
        assert {kind for kind, _ in announced} >= {"message_sent", "message_read"}
        assert [sequence for _, sequence in announced] == list(range(1, len(announced) + 1))
        assert attempts_of(store, order) == [(1, "sent", wamid, None)]


async def test_a_conversation_is_one_for_what_comes_in_and_what_goes_out(store, account):
    user = somebody()
    await store.hear(told(a_text(new_wamid(), sender=user), account, base=new_base()))
    order = ordered(account, to=Recipient(phone=f"+{user.wa_id}"))
    await store.settle((await store.call_of(order), Sent(new_wamid())))
    schema = schema_of(account.tenant)
    found = store.rows(
        f"SELECT event_type, sequence FROM {schema}.events WHERE conversation_id = %s ORDER BY sequence",
        store.message(order)["conversation_id"],
    )
    assert found == [("message_received", 1), ("message_sent", 2)]


async def test_who_answers_under_the_digits_that_whatsapp_taught_is_in_the_same_conversation(store, account):
    order, taught = ordered(account), somebody().wa_id
    await store.settle((await store.call_of(order), Sent(new_wamid(), wa_id=taught)))
    reply = a_text(new_wamid(), sender=Identity(wa_id=taught))
    await store.hear(told(reply, account, base=new_base()))
    schema = schema_of(account.tenant)
    conversation = store.one(f"SELECT conversation_id FROM {schema}.messages WHERE wamid = %s", reply.wamid)
    assert conversation == store.message(order)["conversation_id"]


async def test_who_took_over_a_number_is_not_the_one_who_had_it(store, account):
    before, after = somebody(), somebody().bsuid
    await store.hear(told(a_text(new_wamid(), sender=before), account, base=new_base()))
    order = ordered(account, to=Recipient(phone=f"+{before.wa_id}"))
    await store.settle((await store.call_of(order), Sent(new_wamid(), user_id=after)))
    reply = a_text(new_wamid(), sender=Identity(wa_id=before.wa_id, bsuid=after))
    await store.hear(told(reply, account, base=new_base()))
    schema = schema_of(account.tenant)
    contacts = store.rows(
        f"SELECT count(DISTINCT contact_id) FROM {schema}.contact_identities WHERE kind = 'bsuid' AND value = ANY(%s)",
        [before.bsuid, after],
    )
    assert contacts == [(2,)]
