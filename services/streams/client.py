"""One client object that consumes in a group: its settings, start and end. Not here: the loop, rebalances."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import InconsistentGroupProtocolError, KafkaError

from services.runtime.logs import get_logger
from services.runtime.settings import Settings
from services.streams import connection
from services.streams.backoff import Backoff
from services.streams.errors import StartUpError

ASSIGNORS: Final[tuple[Any, ...]] = (RangePartitionAssignor,)
"""Range alone: topics with equal partition counts then share an owner, which the three lanes need (facts, settings)."""

HEARTBEAT_MS: Final = 1000
REBALANCE_SECONDS: Final = 30.0  # the default, the session, is too short to drain a batch
START_SECONDS: Final = 60.0  # a peer may drain for the whole rebalance timeout
STOP_SECONDS: Final = 10.0
FETCH_WAIT_MS: Final = 250  # how long a partition whose buffer ran empty may wait for the others' long poll
BUFFER_MS: Final = 100  # how long an unread partition holds up fetches of the others


def check_assignors(assignors: Sequence[Any]) -> None:
    """Exactly one, and range: two join twice each time, roundrobin tears the lanes apart, sticky loses partitions."""
    names = [assignor.name for assignor in assignors]
    if names != ["range"]:
        raise StartUpError(f"consumers use the range assignor and no other, not {', '.join(names) or 'none'}")


def make(settings: Settings, group: str, request_timeout_seconds: float) -> AIOKafkaConsumer:
    """Make a client; `request_timeout_seconds` must be above the room's drain limit (facts §4.5)."""
    check_assignors(ASSIGNORS)
    connection.quiet()
    return AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # with the lost-range check at each assignment; "latest" would skip
        partition_assignment_strategy=ASSIGNORS,
        session_timeout_ms=int(settings.consumer_session_seconds * 1000),
        heartbeat_interval_ms=HEARTBEAT_MS,
        rebalance_timeout_ms=int(REBALANCE_SECONDS * 1000),
        request_timeout_ms=int(request_timeout_seconds * 1000),
        metadata_max_age_ms=int(connection.METADATA_AGE_SECONDS * 1000),
        retry_backoff_ms=connection.RETRY_BACKOFF_MS,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        consumer_timeout_ms=BUFFER_MS,
        max_poll_records=settings.max_poll_records,
    )


async def start(
    make_one: Any, topics: Sequence[str], listener: ConsumerRebalanceListener, stop: asyncio.Event
) -> AIOKafkaConsumer | None:
    """Join the group, trying again with a new object until it works; None when `stop` is set meanwhile.

    Raises StartUpError for what no repetition cures.
    """
    backoff = Backoff()
    said = ""
    while not stop.is_set():
        client = make_one()
        client.subscribe(topics, listener=listener)
        try:
            if not await _join(client, stop):
                await close(client)
                return None
        except InconsistentGroupProtocolError as error:
            await close(client)
            raise StartUpError(
                "the group has members with another assignor: stop them all, then start (range and no other)"
            ) from error
        except (KafkaError, OSError, TimeoutError) as error:
            if said != type(error).__name__:
                said = type(error).__name__
                get_logger().warning("consumer_start_failed", err=said)
            await close(client)
            await asyncio.sleep(backoff.next())
        else:
            return client
    return None


async def _join(client: AIOKafkaConsumer, stop: asyncio.Event) -> bool:
    """Start a client; False when `stop` came first."""
    starting = asyncio.ensure_future(asyncio.wait_for(client.start(), START_SECONDS))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if starting.done():
        starting.result()
        return True
    starting.cancel()
    await asyncio.wait({starting})
    return False


async def close(client: AIOKafkaConsumer) -> None:
    """Leave the group, bounded. With a dead broker `stop()` raises CancelledError though nobody cancelled (§6.4)."""
    stopping = asyncio.ensure_future(client.stop())
    await asyncio.wait({stopping}, timeout=STOP_SECONDS)
    if stopping.done():
        if not stopping.cancelled():
            stopping.exception()
    else:
        stopping.cancel()
    await _close_connections(client)


async def _close_connections(client: AIOKafkaConsumer) -> None:
    closing = asyncio.ensure_future(client._client.close())  # noqa: SLF001 - a failed stop() leaves it open
    await asyncio.wait({closing}, timeout=1.0)
    if closing.done() and not closing.cancelled():
        closing.exception()
