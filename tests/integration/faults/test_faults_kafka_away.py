"""Kafka goes away while everybody talks and ingress is killed with a full spool: all is taken, and arrives in order."""

import asyncio

import pytest

from tests.faults import crowd, kafka_away
from tests.faults.kafka_away import Plan


@pytest.mark.timeout(300)
async def test_what_was_taken_while_kafka_was_away_arrives_once_and_in_order_though_ingress_was_killed(whole):
    talkers = await asyncio.to_thread(crowd.gather, whole, 4)
    outcome = await kafka_away.away(talkers, Plan(seconds=8.0, per_second=20.0), seed=31)
    assert outcome.problems == []
    assert int(outcome.figures["spool peak records"]) > 20
