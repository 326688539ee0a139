"""Six of the crash points: the demonstration runs, the room dies exactly there, comes back, and everything balances.

`make faults ONLY=crash` walks through all of them.
"""

import pytest

from tests.faults.crash import CrashAt, crashed

MESSAGES = 40


@pytest.mark.parametrize(
    ("at", "seed"),
    [
        pytest.param(CrashAt("normaliser", "after_commit_db", 2), 11, id="stored, and nothing said yet"),
        pytest.param(CrashAt("normaliser", "after_first_produce", 2), 12, id="one event of several said"),
        pytest.param(CrashAt("normaliser", "after_produce", 3), 13, id="all said, offsets not committed"),
        pytest.param(CrashAt("sender", "after_claim", 2), 14, id="claimed, not called"),
        pytest.param(CrashAt("sender", "after_answer", 2), 15, id="WhatsApp has answered, nothing recorded"),
        pytest.param(CrashAt("notifier", "after_commit_db", 3), 16, id="pushed and recorded, offsets not committed"),
    ],
)
async def test_a_room_that_dies_while_it_is_busy_comes_back_and_everything_balances(whole, at: CrashAt, seed: int):
    outcome = await crashed(whole, at, seed=seed, messages=MESSAGES)
    assert outcome.problems == [], outcome.report
