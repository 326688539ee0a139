"""The check at a room's start: do topics fit, do the broker's settings keep what is promised. It changes nothing."""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka.errors import KafkaError

from services.runtime.logs import get_logger
from services.runtime.settings import Settings
from services.streams import client
from services.streams.admin import Described, admin, describe_topics
from services.streams.backoff import Backoff
from services.streams.errors import StartUpError
from services.streams.topics import Topic, TopicName, Topics

PRODUCTION: Final = "production"
MISSING_TRIES: Final = 4  # about three seconds


async def probe(
    settings: Settings, topics: Topics, needed: Sequence[TopicName], stop: asyncio.Event | None = None
) -> None:
    """Wait for the broker (until `stop`), then raise StartUpError with all that does not fit and what to do."""
    client.check_assignors(client.ASSIGNORS)
    if not settings.kafka_bootstrap_servers:
        raise StartUpError("no broker is named: set RECADO_KAFKA_BOOTSTRAP_SERVERS")
    found = await _describe(settings.kafka_bootstrap_servers, [topics.full(name) for name in needed], stop)
    if found is None:
        return
    problems = [line for name in needed for line in misfits(topics, topics.topic(name), found.get(topics.full(name)))]
    if settings.profile == PRODUCTION:
        problems += [line for name in needed for line in weaknesses(topics, topics.topic(name), found)]
    else:
        get_logger().info("durability_reduced", without="replicas, min.insync.replicas: one broker keeps one copy")
    if problems:
        raise StartUpError("the topics do not fit: " + "; ".join(problems))


def misfits(topics: Topics, topic: Topic, found: Described | None) -> list[str]:
    """Say what makes a topic unusable: a key would change its partition, a record would not fit."""
    name = topics.full(topic.name)
    if found is None:
        return [f"{name} does not exist: run the job that creates topics"]
    problems = []
    if found.partitions != topics.partitions(topic.name):
        problems.append(
            f"{name} has {found.partitions} partitions instead of {topics.partitions(topic.name)}: a count is never "
            "changed in place; create a new version of the topic and drain this one first"
        )
    if int(found.config.get("max.message.bytes", topic.max_message_bytes)) < topic.max_message_bytes:
        problems.append(f"{name}: set max.message.bytes to {topic.max_message_bytes}")
    return problems


def weaknesses(topics: Topics, topic: Topic, found: dict[str, Described]) -> list[str]:
    """Say which promise a production topic does not keep: durability, and the thirty days."""
    name = topics.full(topic.name)
    described = found.get(name)
    if described is None:
        return []
    problems = []
    if described.replicas < topics.replicas():
        problems.append(f"{name} has {described.replicas} replicas: give it at least {topics.replicas()}")
    if int(described.config.get("min.insync.replicas", 1)) < topics.in_sync():
        problems.append(f"{name}: set min.insync.replicas to {topics.in_sync()}")
    if 0 <= int(described.config.get("retention.ms", -1)) < topic.retention_hours * 3_600_000:
        problems.append(f"{name}: set retention.ms to {topic.retention_hours * 3_600_000}")
    return problems


async def _describe(bootstrap: str, names: Sequence[str], stop: asyncio.Event | None) -> dict[str, Described] | None:
    backoff = Backoff()
    said = False
    missing = 0
    while stop is None or not stop.is_set():
        try:
            async with admin(bootstrap) as opened:
                found = await describe_topics(opened, names)
            if len(found) == len(set(names)) or missing == MISSING_TRIES:
                return found
            missing += 1  # a topic just made is not told of everywhere at once
        except (KafkaError, OSError, TimeoutError) as error:
            if not said:
                get_logger().warning("broker_not_reached", err=type(error).__name__)
                said = True
        await asyncio.sleep(backoff.next())
    return None
