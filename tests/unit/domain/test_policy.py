"""What becomes of a send whose outcome nobody knows: whose word counts, and what the end of the window decides."""

from datetime import timedelta
from itertools import product

import pytest

from services.domain.policy import LOOK_AGAIN, Evidence, OutcomePolicy, Verdict, next_look, outcome_policy, reconcile
from tests.unit.domain.things import ACCOUNT, NOW, a_command

ONCE, REPEATING = OutcomePolicy.AT_MOST_ONCE, OutcomePolicy.AT_LEAST_ONCE
SECOND = timedelta(seconds=1)
COMPLETE = Evidence(decide_at=NOW, complete=True)


@pytest.mark.parametrize(
    ("told", "of_account", "lane", "message_class", "policy"),
    [
        (None, None, "normal", "transactional", REPEATING),
        (None, None, "bulk", "transactional", REPEATING),
        (None, None, "urgent", "transactional", ONCE),
        (None, None, "normal", "marketing", ONCE),
        (None, "at_most_once", "normal", "transactional", ONCE),
        (None, "at_least_once", "urgent", "marketing", REPEATING),
        ("at_most_once", "at_least_once", "normal", "transactional", ONCE),
        ("at_least_once", "at_most_once", "urgent", "marketing", REPEATING),
    ],
)
def test_the_message_s_own_word_goes_before_its_account_s_and_that_before_its_class(
    told, of_account, lane, message_class, policy
):
    command = a_command(ACCOUNT, outcome_policy=told, lane=lane, message_class=message_class)
    assert outcome_policy(command, of_account) == policy


@pytest.mark.parametrize("policy", OutcomePolicy)
@pytest.mark.parametrize(
    "evidence",
    [Evidence(), Evidence(decide_at=NOW + SECOND, complete=True), Evidence(decide_at=NOW - 100 * SECOND)],
    ids=["no window yet", "the window is open", "an update of the window may still lie in lag"],
)
def test_nothing_is_decided_without_all_evidence(policy, evidence):
    assert reconcile(policy, evidence, NOW, None) == Verdict.WAIT


@pytest.mark.parametrize(
    ("policy", "not_after", "verdict"),
    [
        (ONCE, None, Verdict.LEAVE),
        (ONCE, NOW + SECOND, Verdict.LEAVE),
        (REPEATING, None, Verdict.REPEAT),
        (REPEATING, NOW + SECOND, Verdict.REPEAT),
        (REPEATING, NOW, Verdict.LEAVE),
    ],
)
def test_at_the_window_s_end_the_policy_decides_and_what_nobody_wants_any_more_is_not_repeated(
    policy, not_after, verdict
):
    assert reconcile(policy, COMPLETE, NOW, not_after) == verdict


@pytest.mark.parametrize(("decide_at", "wait"), [(NOW + 60 * SECOND, 60 * SECOND), (NOW - SECOND, LOOK_AGAIN)])
def test_it_asks_again_at_the_window_s_end_and_then_every_few_seconds(decide_at, wait):
    assert next_look(decide_at, NOW) == wait


def test_every_pair_of_policy_and_evidence_has_a_verdict():
    for policy, complete in product(OutcomePolicy, (True, False)):
        assert reconcile(policy, Evidence(decide_at=NOW, complete=complete), NOW, None) in Verdict
