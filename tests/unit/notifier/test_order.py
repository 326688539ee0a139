"""A small model: whatever fails, crashes, comes twice or late, a conversation's events reach an endpoint in order.

The decisions are the room's own; tables and topics are lists here. Two readers run at once, one of the events' topic,
one of what was given back, each one record at a time, as a key's records are.
"""

import uuid
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from services.notifier.plan import (
    APPENDED,
    NO_SLOT,
    NO_SLOT_WAIT,
    Passed,
    Push,
    Put,
    Result,
    Step,
    conclude,
    decide,
    judge,
    opens,
    try_again,
)
from services.store.deliveries import First, PushKey, Seen

SCHEDULE = (timedelta(seconds=1),) * 4
READERS = st.sampled_from(["events", "given_back"])
ANSWERS = st.sampled_from([200, 200, 200, 500, 410, None])  # None: no free slot


class Tables:
    """deliveries, delivery_queues and deferred of one conversation at one endpoint."""

    def __init__(self):
        self.outcomes: dict[uuid.UUID, list[str]] = {}
        self.head: uuid.UUID | None = None
        self.rows: dict[int, tuple[uuid.UUID, int, bool]] = {}
        self.last_row = 0

    def look(self, event) -> Seen:
        outcomes = self.outcomes.get(event, [])
        behind = [(row, base) for row, (base, _, due) in sorted(self.rows.items()) if not due]
        first = First(*behind[0]) if behind and self.head is not None else None
        ended = min((outcome for outcome in outcomes if outcome != "failed"), default=None)
        return Seen(len(outcomes), ended, self.head, first)

    def store(self, push, result) -> bool:
        """One transaction; whether the push is to be tried again."""
        event = push.key.event_id
        if opens(result) and self.head is None:
            self.head = event
        seen = self.look(event)
        change = conclude(push, result, seen, SCHEDULE, 0.0)
        if change.delivery:
            assert change.delivery.n == len(self.outcomes.setdefault(event, []))
            self.outcomes[event].append(change.delivery.outcome)
        if change.deferral:
            self.last_row += 1
            self.rows[self.last_row] = (event, change.deferral.n, change.deferral.due_in_seconds is not None)
        if change.head:
            self.head = change.head
        if change.due:
            base, n, _ = self.rows[change.due]
            self.rows[change.due] = (base, n, True)
        if change.closed:
            self.head = None
        return try_again(result, seen)


class Deliveries(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.tables = Tables()
        self.topics: dict[str, list[tuple[uuid.UUID, int]]] = {"events": [], "given_back": []}
        self.read = {"events": 0, "given_back": 0}
        self.going: dict[str, tuple[Push, Step]] = {}
        self.announced: list[uuid.UUID] = []
        self.taken: list[uuid.UUID] = []
        self.crashes = 0

    @rule()
    def an_event_is_announced(self):
        event = uuid.UUID(int=len(self.announced) + 1)
        self.announced.append(event)
        self.topics["events"].append((event, 0))

    @rule(reader=READERS)
    def a_record_is_read(self, reader):
        if reader in self.going or self.read[reader] == len(self.topics[reader]):
            return
        event, n = self.topics[reader][self.read[reader]]
        push = Push(key=PushKey(1, "end", "conv", event), n=n, returned=reader == "given_back", kind="", body=b"")
        self.going[reader] = (push, decide(push, self.tables.look(event)))

    @precondition(lambda self: self.going)
    @rule(reader=READERS, answer=ANSWERS, crash=st.sampled_from(["no", "no", "no", "before_row", "before_commit"]))
    def what_was_begun_ends(self, reader, answer, crash):
        push, step = self.going.pop(reader, (None, None))
        if push is None:
            return
        result: Result = Put(NO_SLOT, NO_SLOT_WAIT) if answer is None else judge(answer)
        if step is not Step.ATTEMPT:
            result = APPENDED if step is Step.APPEND else Passed()
        elif answer == 200:
            self.takes(push.key.event_id)
        self.crashes += crash != "no"
        if crash == "before_row":
            return  # the record is read once more
        again = self.tables.store(push, result)
        if not again and crash == "no":
            self.read[reader] += 1

    def takes(self, event):
        """The endpoint says 2xx: every event before this one is through, one way or the other."""
        for earlier in self.announced[: self.announced.index(event)]:
            assert self.tables.look(earlier).ended is not None, "an event overtook another one"
        self.taken.append(event)

    @rule(data=st.data(), twice=st.booleans())
    def a_due_row_is_given_back(self, data, twice):
        due = [row for row, (_, _, is_due) in sorted(self.tables.rows.items()) if is_due]
        if not due:
            return
        row = data.draw(st.sampled_from(due))
        event, n, _ = self.tables.rows[row]
        self.topics["given_back"].append((event, n))
        if not twice:  # else the scheduler's commit failed after its produce
            del self.tables.rows[row]

    def teardown(self):
        """From here on nothing fails: everything ends, in order, and nothing is left over."""
        if not hasattr(self, "tables"):
            return
        for _ in range(40 + 12 * len(self.announced)):
            for reader in ("given_back", "events"):
                self.a_record_is_read(reader)
                self.what_was_begun_ends(reader, 200, "no")
            for row, (event, n, due) in sorted(self.tables.rows.items()):
                if due:
                    self.topics["given_back"].append((event, n))
                    del self.tables.rows[row]
        assert self.read == {name: len(topic) for name, topic in self.topics.items()}
        assert (self.tables.head, self.tables.rows) == (None, {})
        for event in self.announced:
            assert self.tables.look(event).ended is not None
            assert sum(outcome != "failed" for outcome in self.tables.outcomes[event]) == 1
        if not self.crashes:
            assert len(self.taken) == len(set(self.taken)), "an event was acknowledged twice"


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
