"""One client object that produces: its settings, its start, its abandonment. Not here: outcomes (producer.py)."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed
from aiokafka.partitioner import murmur2
from aiokafka.protocol.metadata import MetadataRequest

REQUEST_TIMEOUT_SECONDS: Final = 5.0  # bounds send()'s blocking and one attempt; it is no delivery bound (facts §1.1)
START_SECONDS: Final = 10.0
METADATA_AGE_SECONDS: Final = 10.0  # recreated topics and new partitions are noticed within that
RETRY_BACKOFF_MS: Final = 300  # less log noise while a broker is away
BATCH_BYTES: Final = 131_072  # 3.5 times the rate of the default 16 KiB
LINGER_MS: Final = 2
LARGEST_REQUEST_BYTES: Final = 5_100_000  # the limit of each topic is checked before (topics.py)


async def connect(bootstrap: str) -> AIOKafkaProducer:
    """Start a producer. Raises KafkaError or TimeoutError; nothing is left behind then."""
    client = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        acks="all",
        request_timeout_ms=int(REQUEST_TIMEOUT_SECONDS * 1000),
        retry_backoff_ms=RETRY_BACKOFF_MS,
        metadata_max_age_ms=int(METADATA_AGE_SECONDS * 1000),
        max_batch_size=BATCH_BYTES,
        linger_ms=LINGER_MS,
        max_request_size=LARGEST_REQUEST_BYTES,
        partitioner=_partition,
    )
    try:
        # a frozen broker would hold the start of an idempotent producer for ever
        await asyncio.wait_for(client.start(), START_SECONDS)
    except BaseException:
        await abandon(client)
        raise
    return client


def put(client: AIOKafkaProducer, topic: str, partition: int | None, key: bytes, value: bytes,
        headers: Sequence[tuple[str, bytes]]) -> "asyncio.Future[Any] | None":  # fmt: skip
    """Put a record into its partition's open batch, as `send` would at once; None when `send` has to be asked.

    `send` makes two sets, two lists and two coroutines of each record. Private names of aiokafka 0.14.0, which is
    pinned; a test holds both ways against each other.
    """
    accumulator = client._message_accumulator  # noqa: SLF001 - as in abandon
    known = client._metadata._partitions.get(topic)  # noqa: SLF001 - partitions_for_topic copies it
    if not known or accumulator._closed or accumulator._exception is not None:  # noqa: SLF001
        return None
    if partition is None:
        partition = _murmur2(key) % len(known)
    waiting = accumulator._batches.get((topic, partition))  # noqa: SLF001 - `get` makes no entry
    if not waiting:
        return None
    future: asyncio.Future[Any] | None = waiting[-1].append(key, value, None, headers=list(headers))
    return future


async def stop(client: AIOKafkaProducer, seconds: float) -> None:
    """Flush and close within `seconds`, else abandon: what was in flight is then unknown and may still arrive."""
    stopping = asyncio.ensure_future(client.stop())
    await asyncio.wait({stopping}, timeout=seconds)
    if not stopping.done():
        stopping.cancel()
        await abandon(client)


async def abandon(client: AIOKafkaProducer) -> None:
    """End a client for real: `stop()` hangs while the broker is away and its sender lives on (facts §1.4).

    Private names of aiokafka 0.14.0, which is pinned. Whoever waits for a record is told that it is unknown.
    """
    sender = client._sender.sender_task  # noqa: SLF001 - there is no public way
    if sender is not None:
        sender.cancel()
    closing = asyncio.ensure_future(client.client.close())
    await asyncio.wait({closing}, timeout=1.0)
    await _end(client.client._sync_task)  # noqa: SLF001 - whoever closes the client waits for this one
    await _end(closing)
    await _end(sender)
    client._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001 - else those futures stay open for ever
    client._closed = True  # noqa: SLF001 - its destructor would complain


async def _end(task: asyncio.Future[Any] | None) -> None:
    """End a task of the client that may take a cancellation for something else: asyncio's `wait_for` loses one that
    comes together with a result, and the sender's first one only makes it wait for its requests."""
    for _ in range(3):
        if task is None or task.done():
            return
        task.cancel()
        await asyncio.wait({task}, timeout=0.5)


def is_dead(client: AIOKafkaProducer) -> bool:
    """Whether its sender has ended: everything given to it would wait for ever."""
    sender = client._sender.sender_task  # noqa: SLF001 - as above
    return sender is not None and sender.done()


async def cluster_id(client: AIOKafkaProducer) -> str | None:
    """Ask which cluster answers; None when nobody does."""
    node = client.client.get_random_node()
    if node is None:
        return None
    with contextlib.suppress(KafkaError, TimeoutError, OSError):
        answer = await client.client.send(node, MetadataRequest([]))
        found: str | None = answer.cluster_id
        return found
    return None


def quiet() -> None:
    """A lost connection is said once by us, not 50 times a second by the client (facts §1.7)."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _partition(key: bytes | None, all_partitions: Sequence[int], _available: Sequence[int]) -> int:
    if key is None:
        raise TypeError("every record of Recado has a key")
    return all_partitions[_murmur2(key) % len(all_partitions)]


@lru_cache(maxsize=16_384)
def _murmur2(key: bytes) -> int:
    """Java's hash; kept, because in pure Python it is a third of the cost of a send."""
    number: Any = murmur2(key)
    return int(number & 0x7FFFFFFF)
