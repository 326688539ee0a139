"""Copies of the sender come and go: each holds the same numbers in all three lanes, and nothing is lost or doubled."""

import pytest

from tests.faults.copies import five_then_one

MESSAGES = 40


@pytest.mark.timeout(240)
async def test_five_copies_then_one_hold_equal_lanes_and_the_demonstration_balances(whole):
    outcome = await five_then_one(whole, seed=41, messages=MESSAGES)
    assert outcome.problems == [], outcome.report
    assert outcome.figures["five copies"] == "[0, 1] [2] [3] [4] [5]"
    assert outcome.figures["one copy"] == "[0, 1, 2, 3, 4, 5]"
