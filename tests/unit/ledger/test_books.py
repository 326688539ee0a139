"""What the ledger calls balanced, and that it names what is not: one missing id on any side of any book."""

import copy

import pytest

from services.ledger.books import Entry, Facts, MessageRow, balance, calls
from services.ledger.report import balances, lines, pending

BYTES, OTHER_BYTES = "d1", "d2"
PUSH = "evt_1 to end_1"


def a_quiet_house() -> Facts:
    """One message out, one in, everything announced and acknowledged."""
    return Facts(
        commands=[Entry("base_1", "msg_1", ahead=False)],
        received=[Entry("base_2", "message acc_1 wamid.1", ahead=False)],
        messages={"msg_1": MessageRow("delivered", 1)},
        attempts={"msg_1": {1: "sent"}},
        recorded={"message acc_1 wamid.1"},
        announced={"evt_1": BYTES, "evt_2": BYTES},
        bases={"evt_1": "base_1", "evt_2": "base_2"},
        on_the_wire={"evt_1": {BYTES}, "evt_2": {BYTES}},
        said_before={"evt_1", "evt_2"},
        sequences={"conv_1": [1, 2]},
        last_sequence={"conv_1": 2},
        owed=[Entry("evt_1", PUSH, ahead=False)],
        delivered={PUSH},
    )


def differences(facts: Facts) -> list[tuple[str, str, str]]:
    return [(one.book, one.problem, one.id) for book in balance(facts) for one in book.differences]


def test_a_quiet_house_balances():
    assert differences(a_quiet_house()) == []
    assert pending(balance(a_quiet_house())) == 0


def change(facts: Facts, field: str, value: object) -> Facts:
    changed = copy.deepcopy(facts)
    setattr(changed, field, value)
    return changed


ONE_THING_MISSING = [
    pytest.param("messages", {}, "accepted = settled", "msg_1", id="a message's row is deleted"),
    pytest.param("commands", [], "accepted = settled", "msg_1", id="a row that nobody asked for"),
    pytest.param("recorded", set(), "received = recorded", "message acc_1 wamid.1", id="an inbound row is deleted"),
    pytest.param("received", [], "received = recorded", "message acc_1 wamid.1", id="a row that never came in"),
    pytest.param("attempts", {}, "calls = attempts", "msg_1 attempt 1", id="an attempt's row is deleted"),
    pytest.param(
        "attempts", {"msg_1": {1: "sent", 2: None}}, "calls = attempts", "msg_1 attempt 2", id="an attempt too many"
    ),
    pytest.param("on_the_wire", {"evt_1": {BYTES}}, "announced = on the wire", "evt_2", id="an event was never said"),
    pytest.param("announced", {"evt_1": BYTES}, "announced = on the wire", "evt_2", id="an event was said unstored"),
    pytest.param(
        "on_the_wire", {"evt_1": {BYTES, OTHER_BYTES}, "evt_2": {BYTES}}, "announced = on the wire", "evt_1",
        id="an event was said twice with other bytes",
    ),
    pytest.param("delivered", set(), "acknowledged = deliveries", PUSH, id="an acknowledgement is missing"),
    pytest.param("owed", [], "acknowledged = deliveries", PUSH, id="an acknowledgement of nothing"),
    pytest.param("sequences", {"conv_1": [1, 3]}, "sequences", "conv_1", id="a number is skipped"),
    pytest.param("sequences", {"conv_1": [1, 1, 2]}, "sequences", "conv_1", id="a number is used twice"),
    pytest.param(
        "messages", {"msg_1": MessageRow("waiting", 1)}, "accepted = sum of states", "msg_1",
        id="a message waits for nothing",
    ),
    pytest.param(
        "messages", {"msg_1": MessageRow("lost", 1)}, "accepted = sum of states", "msg_1",
        id="a message is in a state that no book knows",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "book", "named"), ONE_THING_MISSING)
def test_what_is_missing_is_named_in_its_book(field, value, book, named):
    found = differences(change(a_quiet_house(), field, value))
    assert (book, named) in [(in_book, key) for in_book, _, key in found]


def test_an_accepted_command_without_a_row_balances_as_a_dead_letter():
    facts = a_quiet_house()
    facts.commands.append(Entry("base_9", "msg_9", ahead=False))
    assert [key for _, _, key in differences(facts)] == ["msg_9"]
    facts.dead["base_9"] = "unreadable"
    assert differences(facts) == []


def test_a_second_post_of_a_command_needs_no_row_of_its_own():
    facts = a_quiet_house()
    facts.commands.append(Entry("base_9", "msg_1", ahead=False))
    assert differences(facts) == []


def test_what_cannot_be_read_must_be_a_dead_letter():
    facts = a_quiet_house()
    facts.received.append(Entry("base_9", "", ahead=False))
    assert [key for _, _, key in differences(facts)] == ["record base_9"]
    facts.dead["base_9"] = "unreadable"
    assert differences(facts) == []


UNDER_WAY = [
    pytest.param("commands", Entry("base_9", "msg_9", ahead=True), id="a command behind the sender's offset"),
    pytest.param("received", Entry("base_9", "message acc_1 wamid.9", ahead=True), id="an update behind the offset"),
    pytest.param("owed", Entry("evt_2", "evt_2 to end_1", ahead=True), id="an event behind the notifier's offset"),
]


@pytest.mark.parametrize(("field", "entry"), UNDER_WAY)
def test_what_is_under_way_is_pending_and_no_difference(field, entry):
    facts = change(a_quiet_house(), field, [*getattr(a_quiet_house(), field), entry])
    assert differences(facts) == []
    assert pending(balance(facts)) == 1


def test_what_waits_for_its_tenants_schema_is_pending():
    facts = a_quiet_house()
    facts.received.append(Entry("base_9", "message acc_1 wamid.9", ahead=False))
    facts.put_away.add("base_9")
    assert differences(facts) == []
    assert pending(balance(facts)) == 1


@pytest.mark.parametrize("field", ["deferred_subjects", "commands"])
def test_a_waiting_message_balances_when_something_will_move_it(field):
    facts = change(a_quiet_house(), "messages", {"msg_1": MessageRow("waiting", 1)})
    if field == "commands":
        facts.commands.append(Entry("base_1", "msg_1", ahead=True))
    else:
        facts.deferred_subjects.add("msg_1")
    assert differences(facts) == []
    assert pending(balance(facts)) >= 1


def test_an_event_whose_record_is_not_done_with_is_not_missed_on_the_wire():
    facts = change(a_quiet_house(), "on_the_wire", {"evt_1": {BYTES}})
    facts.deferred_bases.add("base_2")
    assert differences(facts) == []


def test_a_push_that_waits_for_its_retry_is_pending():
    facts = change(a_quiet_house(), "delivered", set())
    facts.pushes_waiting.add(PUSH)
    assert differences(facts) == []
    assert pending(balance(facts)) == 1


def test_rows_older_than_the_log_are_no_difference():
    facts = change(a_quiet_house(), "received", [])
    facts.commands, facts.owed, facts.whole_log = [], [], False
    assert differences(facts) == []


def test_calls_that_were_heard_are_held_against_the_attempts():
    facts = a_quiet_house()
    assert calls(facts, [("msg_1", 1)]).balances
    twice = calls(facts, [("msg_1", 1), ("msg_1", 1)])
    assert [(one.problem, one.id) for one in twice.differences] == [("one attempt called 2 times", "msg_1 attempt 1")]
    foreign = calls(facts, [("msg_1", 1), ("msg_7", 1)])
    assert [one.id for one in foreign.differences] == ["msg_7 attempt 1"]


def test_the_report_names_every_difference_up_to_a_number_and_counts_the_rest():
    facts = a_quiet_house()
    facts.commands += [Entry(f"base_{n}", f"msg_{n}", ahead=False) for n in range(10, 15)]
    books = balance(facts)
    written = lines(books, shown=2)
    assert not balances(books)
    assert written[0].startswith("✗ accepted = settled")
    assert sum("accepted, and neither" in line for line in written) == 2
    assert any("3 more" in line for line in written)
