"""Every occurrence of every event, on Kafka and at the companies, read by this module's own means: plain clients and
plain dictionaries. Judges the bytes and nothing else."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

Said = dict[str, Counter[bytes]]
"""Event id → what was said under it, and how often."""


async def on_kafka(bootstrap: str, partitions: Mapping[str, int]) -> Said:
    """Read the event topics (name → number of partitions) whole; an event's id rides in the header ce_id."""
    said: Said = {}
    for record in await everything(bootstrap, partitions):
        event = dict(record.headers)["ce_id"].decode().partition(".")[0]
        said.setdefault(event, Counter())[record.value] += 1
    return said


async def everything(bootstrap: str, partitions: Mapping[str, int]) -> list[Any]:
    """Read topics from their beginning to their present end."""
    places = [TopicPartition(name, number) for name, count in partitions.items() for number in range(count)]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: list[Any] = []
        left = {place for place in places if await consumer.position(place) < ends[place]}
        while left:
            for records in (await consumer.getmany(*left, timeout_ms=500)).values():
                found += records
            left = {place for place in left if await consumer.position(place) < ends[place]}
        return found
    finally:
        await consumer.stop()


def at_the_companies(arrivals: Sequence[dict[str, Any]]) -> Said:
    """What the orchestrator simulator received; an event's id is its webhook-id."""
    said: Said = {}
    for arrival in arrivals:
        said.setdefault(arrival["headers"]["webhook-id"], Counter())[arrival["body"].encode()] += 1
    return said


def unlike(kafka: Said, companies: Said) -> list[str]:
    """Events under whose id more than one text was said, wherever; and texts that Kafka never had."""
    found = []
    for event in kafka.keys() | companies.keys():
        texts = kafka.get(event, Counter()).keys() | companies.get(event, Counter()).keys()
        if len(texts) > 1:
            found.append(f"event {event}: {len(texts)} different texts under one id")
        if event not in kafka:
            found.append(f"event {event}: arrived, and never stood on Kafka")
    return sorted(found)


def repeated(said: Said) -> int:
    """How many events were said more than once: each a redo that somebody could have seen."""
    return sum(counter.total() > 1 for counter in said.values())
