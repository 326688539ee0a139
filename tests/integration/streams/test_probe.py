"""The check at a room's start, and creating topics, on a real broker."""

import asyncio

import msgspec
import pytest

from services.streams.admin import create_topics
from services.streams.errors import StartUpError
from services.streams.probe import probe
from services.streams.tail import Tail
from services.streams.topics import TopicName, Topics
from tests.integration.streams.kit import Run, record, until

RAW = TopicName.RAW
REPLY = TopicName.REPLY


async def test_created_topics_pass_the_check_and_creating_them_again_changes_nothing(run: Run):
    created = await create_topics(run.bootstrap, run.topics)
    assert sorted(created) == sorted(run.topics.full(topic.name) for topic in run.topics.all())
    assert await create_topics(run.bootstrap, run.topics) == []
    await probe(run.settings, run.topics, list(TopicName))


async def test_a_topic_with_another_partition_count_is_refused_and_the_words_say_what_to_do(run: Run):
    await run.create({RAW: 2})
    with pytest.raises(StartUpError, match=r"has 2 partitions instead of 6.*new version of the topic"):
        await probe(run.settings, run.topics, [RAW])


async def test_a_missing_topic_is_named(run: Run):
    with pytest.raises(StartUpError, match=r"wa\.reply does not exist"):
        await probe(run.settings, run.topics, [REPLY])


async def test_production_wants_three_replicas_two_in_sync_and_thirty_days(run: Run):
    settings = msgspec.structs.replace(run.settings, profile="production")
    await run.create({TopicName.REPLY: 32, RAW: 96}, **{"retention.ms": "60000", "max.message.bytes": "5242880"})
    with pytest.raises(StartUpError) as refused:
        await probe(settings, Topics(run.settings.topic_prefix, "production"), [REPLY, RAW])
    for words in ("1 replicas: give it at least 3", "min.insync.replicas to 2", "retention.ms to 2592000000"):
        assert words in str(refused.value)


async def test_a_tail_sees_what_is_written_after_it_was_ready_and_only_its_partition(run: Run):
    await run.create({REPLY: 2})
    await run.write(record(REPLY, "before", partition=1))
    seen = []
    stop = asyncio.Event()
    tail = Tail(run.settings, run.topics, REPLY, 1)
    reading = asyncio.create_task(tail.run(stop, lambda one: seen.append((one.partition, one.value))))
    await tail.ready.wait()
    await run.write(record(REPLY, "other", partition=0), record(REPLY, "mine", partition=1))
    await until(lambda: bool(seen))
    stop.set()
    await reading
    assert seen == [(1, b"mine")]
