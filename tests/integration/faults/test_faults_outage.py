"""What rooms stand on goes away while the demonstration runs: it finishes balanced, and known accounts are served."""

import pytest

from tests.faults.outage import PROBES, suffered

MESSAGES = 60


@pytest.mark.timeout(240)
async def test_memcached_kafka_and_postgresql_go_away_and_everything_is_taken_and_settles(whole):
    outcome = await suffered(whole, "everything in turn", seed=21, messages=MESSAGES)
    assert outcome.problems == [], outcome.report
    assert (outcome.figures["webhooks taken"], outcome.figures["commands taken"]) == (PROBES, PROBES)
