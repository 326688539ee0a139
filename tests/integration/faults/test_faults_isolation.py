"""What is wrong with one troubles nobody else: poisonous records, a missing schema, endpoints that hang or refuse."""

import pytest

from tests.faults import crowd, isolation


@pytest.fixture(scope="module")
def gathered(stage):
    return crowd.gather(stage)


@pytest.mark.timeout(300)
async def test_everybody_elses_events_flow_and_each_conversation_keeps_its_order(whole, gathered):
    outcome = await isolation.isolated(gathered, isolation.SMOKE, seed=31)
    assert outcome.problems == []
    print(outcome.figures)
