"""When a request goes to Kafka and when to the spool, what is answered, and what /health says of it."""

import asyncio

import pytest

from services.domain.errors import RecordError
from services.ingress import spooling
from services.ingress.spooling import Durable
from services.runtime.health import Health
from services.streams.codec import Outgoing
from services.streams.producer import Outcome
from services.streams.spool import Bounds, Spool
from services.streams.spool_log import Log
from tests.unit.ingress.fakes import MemoryProducer

ALL = [Outcome.DURABLE, Outcome.DURABLE]


def pair(name: str) -> list[Outgoing]:
    return [Outgoing("topic", "key", f"{name}{n}".encode(), (("ce_id", f"{name}.{n}".encode()),)) for n in range(2)]


class Kafka(MemoryProducer):
    """Also takes what the spool holds, and has a largest size."""

    is_connected = True

    def check_sizes(self, outgoing):
        if any(len(record.value) > 100 for record in outgoing):
            raise RecordError("too_large", "larger than its topic takes")

    async def post(self, outgoing, deadline):  # noqa: ARG002 - the real one's signature
        self.records += outgoing

    async def landed(self, flight, deadline):
        pass

    @property
    def values(self) -> list[bytes]:
        return [record.value for record in self.records]


@pytest.fixture
async def spool(tmp_path):
    spool = Spool(Log(tmp_path / "spool"), Bounds(most_bytes=2000, most_seconds=60))
    await spool.start()
    yield spool
    await spool.stop()


async def drain(spool: Spool, kafka: Kafka) -> None:
    task = asyncio.create_task(spool.drain(kafka))
    assert await spool.drained(5.0)
    task.cancel()
    await asyncio.wait({task})


async def test_with_an_empty_spool_everything_goes_to_kafka(spool):
    kafka = Kafka()
    assert await Durable(kafka, spool).produce_each(pair("a"), 1.0) == ALL
    assert kafka.values == [b"a0", b"a1"]
    assert spool.is_empty


@pytest.mark.parametrize("outcome", [Outcome.NOT_SENT, Outcome.UNKNOWN])
async def test_what_kafka_did_not_confirm_is_durable_on_the_disk_under_its_name(spool, outcome):
    kafka = Kafka()
    kafka.outcome = outcome
    assert await Durable(kafka, spool).produce_each(pair("a"), 1.0) == ALL
    assert spool.records == 2
    kafka.records.clear()
    await drain(spool, kafka)
    assert kafka.records == pair("a"), "byte for byte, name for name"


async def test_behind_a_spooled_record_everything_goes_through_the_spool_until_it_is_empty(spool):
    kafka = Kafka()
    durable = Durable(kafka, spool)
    kafka.outcome = Outcome.NOT_SENT
    await durable.produce_each(pair("a"), 1.0)
    kafka.outcome = Outcome.DURABLE
    assert await durable.produce_each(pair("b"), 1.0) == ALL
    assert kafka.values == []
    await drain(spool, kafka)
    assert await durable.produce_each(pair("c"), 1.0) == ALL
    assert kafka.values == [b"a0", b"a1", b"b0", b"b1", b"c0", b"c1"]


async def test_only_what_is_not_durable_is_spooled(spool):
    class Half(Kafka):
        async def produce_each(self, outgoing, deadline_seconds):  # noqa: ARG002 - as above
            return [Outcome.DURABLE, Outcome.UNKNOWN]

    kafka = Half()
    assert await Durable(kafka, spool).produce_each(pair("a"), 1.0) == ALL
    await drain(spool, kafka)
    assert kafka.values == [b"a1"]


async def test_when_neither_takes_it_the_outcome_says_so(spool):
    kafka = Kafka()
    kafka.outcome = Outcome.NOT_SENT
    durable = Durable(kafka, spool)
    while await durable.produce_each(pair("a"), 1.0) == ALL:
        pass
    assert await durable.produce_each(pair("b"), 1.0) == [Outcome.NOT_SENT, Outcome.NOT_SENT]
    await drain(spool, kafka)
    assert b"b0" not in kafka.values


async def test_what_no_topic_takes_is_refused_before_anything_is_kept(spool):
    kafka = Kafka()
    kafka.outcome = Outcome.NOT_SENT
    durable = Durable(kafka, spool)
    await durable.produce_each(pair("a"), 1.0)
    with pytest.raises(RecordError):
        await durable.produce_each(pair("x" * 200), 1.0)
    assert spool.records == 2


async def test_health_is_good_with_kafka_or_the_spool_and_down_without_both(spool):
    kafka, health = Kafka(), Health()
    spooling.show(health, spool, kafka)
    assert health.answer()[0] == "ok"
    kafka.is_connected = False
    kafka.outcome = Outcome.NOT_SENT
    assert health.answer()[0] == "degraded"
    durable = Durable(kafka, spool)
    await durable.produce_each(pair("a"), 1.0)
    state, body = health.answer()
    assert state == "degraded"
    assert "2 records" in body["checks"]["spool"]["detail"]
    while await durable.produce_each(pair("b"), 1.0) == ALL:
        assert health.answer()[0] == "degraded"
    state, body = health.answer()
    assert state == "down"
    assert "RECADO_SPOOL_MAX_BYTES" in body["checks"]["spool"]["detail"]
    await drain(spool, kafka)
    assert health.answer()[0] == "degraded"
    kafka.is_connected = True
    assert health.answer()[0] == "ok"
