"""Whatever dies, pauses or comes again, in whatever order: WhatsApp takes a message once, and everything ends."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.domain.delivery import Status
from services.domain.policy import OutcomePolicy
from tests.unit.sender.sending import Guards, World

ENDINGS = ["taken", "taken and lost", "never and lost", "refused", "not sent"]
POLICIES = st.sampled_from([str(policy) for policy in OutcomePolicy])
UNDER_WAY = {Status.QUEUED, Status.WAITING, Status.SENDING}
EXAMPLES = 60
STEPS = 60


class Sending(RuleBasedStateMachine):
    """Everything that may happen, in any order."""

    guards = Guards()

    @initialize(policy=POLICIES)
    def begin(self, policy):
        self.world = World(self.guards)
        self.world.submit(policy)

    @precondition(lambda self: len(self.world.work.messages) < 3)
    @rule(policy=POLICIES)
    def submit(self, policy):
        self.world.submit(policy)

    @rule(data=st.data())
    def a_record_comes(self, data):
        self.world.deliver(data.draw(st.sampled_from(self.world.log)))

    @rule()
    def the_newest_record_comes(self):
        self.world.deliver(self.world.log[-1])

    @precondition(lambda self: any(one.outcome is None for one in self.world.claimed))
    @rule(data=st.data(), ending=st.sampled_from(ENDINGS))
    def a_call_is_made(self, data, ending):
        self.world.call(data.draw(st.sampled_from([one for one in self.world.claimed if one.outcome is None])), ending)

    @precondition(lambda self: any(one.outcome is not None for one in self.world.claimed))
    @rule(data=st.data())
    def a_call_is_settled(self, data):
        self.world.settle(data.draw(st.sampled_from([one for one in self.world.claimed if one.outcome is not None])))

    @precondition(lambda self: self.world.claimed)
    @rule()
    def the_owner_dies(self):
        self.world.die()

    @precondition(lambda self: self.world.due())
    @rule(data=st.data(), again=st.booleans())
    def what_is_due_comes_back(self, data, again):
        self.world.give_back(data.draw(st.sampled_from(self.world.due())), again=again)

    @precondition(lambda self: self.world.statuses)
    @rule()
    def a_status_is_read(self):
        self.world.hear_next()

    @precondition(lambda self: self.world.heard)
    @rule(data=st.data())
    def a_status_comes_again(self, data):
        self.world.hear(data.draw(st.sampled_from(self.world.heard)))

    @rule(seconds=st.sampled_from([1, 5, 16, 46, 91]))
    def time_passes(self, seconds):
        self.world.now += timedelta(seconds=seconds)

    @invariant()
    def nothing_is_taken_twice(self):
        twice = [name for name, times in self.world.taken.items() if times > 1]
        assert not twice, f"WhatsApp took {twice} more than once"

    @invariant()
    def nothing_is_called_whose_outcome_is_known(self):
        assert not self.world.called_after_end

    def teardown(self):
        """The end of all troubles: everything is answered, read and given back; then every message has ended."""
        world = self.world
        world.die()
        for record in list(world.log):
            world.deliver(record)
        for _ in range(40):
            for claimed in list(world.claimed):
                if claimed.outcome is None:
                    world.call(claimed, "taken")
                world.settle(claimed)
            while world.statuses:
                world.hear_next()
            world.now += timedelta(seconds=100)
            for number in world.due():
                world.give_back(number)
                world.deliver(world.log[-1])
        self.nothing_is_taken_twice()
        for message in world.work.messages.values():
            assert message.state not in UNDER_WAY, f"{message.id} is {message.status} for ever"
            assert not world.taken[message.id] or message.state == Status.DELIVERED
        assert not world.deferred


def machine(**switched_off):
    """A fresh class each time: Hypothesis keeps what it learned of one."""
    return type("Sending", (Sending,), {"guards": Guards(**switched_off)})


def tried(**switched_off):
    """A guard that is missing need only be noticed, not explained: no shrinking then."""
    phases = [Phase.generate] if switched_off else list(Phase)
    run_state_machine_as_test(
        machine(**switched_off),
        settings=settings(max_examples=400 if switched_off else EXAMPLES, stateful_step_count=STEPS, deadline=None,
                          suppress_health_check=list(HealthCheck), phases=phases, report_multiple_bugs=False,
                          database=None),
    )  # fmt: skip


def test_whatsapp_takes_a_message_once_and_every_message_ends():
    tried()


@pytest.mark.parametrize("guard", ["claims", "wait_numbers"])
def test_without_one_of_these_guards_chance_finds_something_that_is_sent_twice(guard):
    with pytest.raises(AssertionError):
        tried(**{guard: False})


def a_successor_repeats_what_its_owner_still_holds(world):
    """The owner pauses between claim and write; its lease ends, the window ends, another repeats; then it wakes."""
    world.submit("at_least_once")
    world.deliver(world.log[0])
    (paused,) = world.claimed
    for _ in range(2):
        world.now += timedelta(seconds=100)
        world.deliver(world.log[-1])
        for number in world.due():
            world.give_back(number)
            world.deliver(world.log[-1])
    for claimed in world.claimed[1:]:
        world.call(claimed, "taken")
    world.call(paused, "taken")


def a_status_lies_in_lag_when_the_window_ends(world):
    world.submit("at_least_once")
    world.deliver(world.log[0])
    world.call(world.claimed[0], "taken and lost")
    world.settle(world.claimed[0])
    world.now += timedelta(seconds=100)
    for number in world.due():
        world.give_back(number)
    world.deliver(world.log[-1])
    for claimed in world.claimed:
        world.call(claimed, "taken")


@pytest.mark.parametrize(
    ("guard", "course"),
    [
        ("lease", a_successor_repeats_what_its_owner_still_holds),
        ("evidence", a_status_lies_in_lag_when_the_window_ends),
    ],
)
def test_each_of_these_guards_alone_keeps_a_course_of_things_from_sending_twice(guard, course):
    guarded, unguarded = World(), World(Guards(**{guard: False}))
    course(guarded)
    course(unguarded)
    assert (max(guarded.taken.values()), max(unguarded.taken.values())) == (1, 2)
