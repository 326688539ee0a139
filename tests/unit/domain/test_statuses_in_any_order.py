"""Whatever order and multiplicity news of a message has, its end is what a model of ranks predicts.

The model is another reading of the rule than the table: it knows ranks and one flag, no states.
"""

from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.domain.delivery import Happening, Status
from services.domain.outcome import happen
from tests.unit.domain.things import ACCOUNT, BASE, NOW, a_conversation, a_message, a_workset, announced

RANK = {"sent": 1, "answered": 1, "delivered": 2, "read": 3, "played": 4}
NAMES = {0: "sending", 1: "sent", 2: "delivered", 3: "read", 4: "played"}
HAPPENING = {
    "sent": Happening.SAW_SENT,
    "delivered": Happening.SAW_DELIVERED,
    "read": Happening.SAW_READ,
    "played": Happening.SAW_PLAYED,
    "failed": Happening.SAW_FAILED,
    "answered": Happening.ANSWERED,
    "lost": Happening.LOST,
}
STATUS_WORDS = st.sampled_from(["sent", "delivered", "read", "played", "failed"])
OUR_OWN = st.sampled_from([[], ["answered"], ["lost"]])


@st.composite
def news(draw):
    """Statuses in any order and multiplicity, with the end of our own call somewhere among them."""
    words = draw(st.lists(STATUS_WORDS, max_size=12))
    place = draw(st.integers(0, len(words)))
    return words[:place] + draw(OUR_OWN) + words[place:]


class Model:
    """What is known of a message by its highest rank and two flags; `said` is what is announced, in order."""

    def __init__(self):
        self.rank, self.failed, self.unknown, self.said = 0, False, False, []

    @property
    def nothing_known(self):
        return self.rank == 0 and not self.failed

    def hear(self, word):
        doubted, known = self.unknown and self.nothing_known, len(self.said)
        self.believe(word)
        if doubted and len(self.said) > known:
            self.said.insert(known, "message_resolved")

    def believe(self, word):
        if word == "lost":
            self.unknown = self.unknown or self.nothing_known
            self.said += ["message_unknown"] * self.nothing_known
        elif word == "failed":
            if self.rank < RANK["delivered"] and not self.failed:
                self.failed = True
                self.said.append("message_failed")
        elif RANK[word] == RANK["sent"]:
            if self.nothing_known:
                self.rank = RANK["sent"]
                self.said.append("message_sent")
        elif RANK[word] > self.rank:
            self.said += ["message_sent"] * self.nothing_known + [f"message_{word}"]
            self.rank, self.failed = RANK[word], False

    @property
    def status(self):
        if self.failed:
            return "failed"
        return "unknown" if self.unknown and self.rank == 0 else NAMES[self.rank]


def predicted(words):
    model = Model()
    for word in words:
        model.hear(word)
    return model.status, model.said


def told(words):
    conversation = a_conversation()
    message = a_message(Status.SENDING, conversation)
    work = a_workset(message, conversation=conversation)
    for word in words:
        happen(work, ACCOUNT, message, HAPPENING[word], at=NOW, base=BASE)
    return message, work


@settings(max_examples=400, deadline=None)
@given(news())
@example(["failed", "delivered", "failed"])
@example(["lost", "delivered", "sent"])
@example(["read", "answered", "delivered"])
def test_state_and_announcements_are_the_model_s(words):
    message, work = told(words)
    assert (message.status, announced(work)) == predicted(words)


@settings(max_examples=200, deadline=None)
@given(st.lists(STATUS_WORDS, min_size=1, max_size=8), st.randoms())
def test_the_end_does_not_depend_on_the_order(words, random):
    shuffled = random.sample(words, len(words))
    assert told(words)[0].status == told(shuffled)[0].status


@settings(max_examples=200, deadline=None)
@given(news())
def test_nothing_is_announced_twice_and_sequence_grows_by_one(words):
    _, work = told(words)
    names = [event.event_id for _, event in work.events]
    assert len(set(names)) == len(names)
    assert all(later.sequence == earlier.sequence + 1 for (_, earlier), (_, later) in pairwise(work.events))
