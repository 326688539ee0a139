"""Lost answers: what WhatsApp took is never sent again, what it never saw is treated as the policy says."""

import pytest

from tests.faults import unknown


@pytest.mark.timeout(300)
async def test_nothing_is_decided_while_the_statuses_that_would_tell_are_unread(stage, whole):
    outcome = await unknown.lost_answers(stage, seed=41, messages=12)
    print(outcome.figures)
    assert "\n".join(outcome.problems) == ""
