"""The in-memory producer of the unit tests promises what the real one does, alone and with the spool behind it."""

import pytest

from services.ingress.deps import Producing
from services.ingress.spooling import Durable
from services.runtime.clock import new_uuid7, now
from services.streams.codec import Outgoing, headers
from services.streams.producer import Outcome, Producer
from services.streams.spool import Bounds, Spool
from services.streams.spool_log import Log
from services.streams.topics import TopicName, Topics
from tests.unit.ingress.fakes import MemoryProducer


@pytest.fixture(params=["memory", "kafka", "kafka or spool"])
async def producer(request, edge_settings, tmp_path):
    if request.param == "memory":
        yield MemoryProducer()
        return
    real = Producer(edge_settings, Topics(edge_settings.topic_prefix, "local"))
    await real.start()
    spool = Spool(Log(tmp_path / "spool"), Bounds(1_000_000, 60.0))
    await spool.start()
    yield real if request.param == "kafka" else Durable(real, spool)
    await spool.stop()
    await real.stop()


@pytest.mark.parametrize("count", [0, 1, 7])
async def test_there_is_an_outcome_for_each_record(producer: Producing, count):
    outgoing = [Outgoing(TopicName.RAW, f"key{n}", b"{}", headers(new_uuid7(), "test", now())) for n in range(count)]
    assert await producer.produce_each(outgoing, 10.0) == [Outcome.DURABLE] * count
