"""Creating topics and asking about them. Only the job that sets up a run creates; rooms ask (probe.py)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from services.runtime.logs import get_logger
from services.streams import connection
from services.streams.errors import StartUpError
from services.streams.topics import Topic, Topics

REQUEST_TIMEOUT_MS: Final = 15_000
MEMBERS: Final = 5  # place of the members in a described group
CREATED: Final = 0
APPEAR_TRIES: Final = 150
APPEAR_SECONDS: Final = 0.2  # a busy machine's broker was seen to take five seconds
EXISTS: Final = 36  # the admin client does not raise: codes must be looked at (facts §8)


class Described(NamedTuple):
    """A topic as the broker has it."""

    partitions: int
    replicas: int
    config: dict[str, str]


@asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open an admin client. Raises KafkaError when no broker answers."""
    connection.quiet()
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await client.start()
        yield client
    finally:
        await client.close()


async def create_topics(bootstrap: str, topics: Topics) -> list[str]:
    """Create what is missing, wait until it is there, and return its names; what exists is left alone."""
    names = [topics.full(topic.name) for topic in topics.all()]
    async with admin(bootstrap) as client:
        answer = await client.create_topics([_new(topics, topic) for topic in topics.all()])
        codes = {name: code for name, code, *_ in answer.topic_errors}
        wrong = {name: for_code(code).__name__ for name, code in codes.items() if code not in {CREATED, EXISTS}}
        if wrong:
            raise StartUpError(f"topics could not be created: {wrong}")
        await appeared(client, names)
    created = [name for name, code in codes.items() if code == CREATED]
    get_logger().info("topics_created", count=len(created), existed=len(codes) - len(created))
    return created


async def appeared(client: AIOKafkaAdminClient, names: Sequence[str]) -> None:
    """Wait for topics just created: they are acknowledged before every broker tells of them."""
    for _ in range(APPEAR_TRIES):
        if len(await describe_topics(client, names)) == len(names):
            return
        await asyncio.sleep(APPEAR_SECONDS)
    raise StartUpError("topics were created and did not appear: look at the broker's log")


async def describe_topics(client: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, Described]:
    """Describe topics by their names on the broker; one that is missing is left out."""
    found = {row["topic"]: row for row in await client.describe_topics(list(names)) if row["error_code"] == CREATED}
    configs = await _configs(client, list(found))
    return {
        name: Described(
            partitions=len(row["partitions"]),
            replicas=min(len(partition["replicas"]) for partition in row["partitions"]),
            config=configs[name],
        )
        for name, row in found.items()
    }


async def members(bootstrap: str, group: str) -> int:
    """Count the members of a group. Raises KafkaError when the broker does not say."""
    async with admin(bootstrap) as client:
        answers = await client.describe_consumer_groups([group])
    return sum(len(described[MEMBERS]) for answer in answers for described in answer.groups)


async def _configs(client: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    answers = await asyncio.wait_for(client.describe_configs(asked), REQUEST_TIMEOUT_MS / 1000) if asked else []
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for answer in answers
        for _code, _message, _kind, name, entries in answer.resources
    }


def _new(topics: Topics, topic: Topic) -> NewTopic:
    return NewTopic(
        topics.full(topic.name),
        topics.partitions(topic.name),
        topics.replicas(),
        topic_configs={
            "retention.ms": str(topic.retention_hours * 3_600_000),
            "cleanup.policy": topic.cleanup,
            "max.message.bytes": str(topic.max_message_bytes),
            "min.insync.replicas": str(topics.in_sync()),
        },
    )
