"""Records that no room of ours would write, put on its topics by a plain client. Not here: what becomes of them."""

import uuid
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer

from services.runtime import clock
from services.streams.topics import TopicName
from tests.faults.stage import Stage

NOBODY = b"999999"
"""The number of a tenant that does not exist."""


async def put(stage: Stage, topic: TopicName, records: Sequence[tuple[str, bytes, dict[str, bytes]]]) -> list[str]:
    """Write records (key, value, headers) and await the broker; return their names."""
    names = [str(clock.new_uuid7()) for _ in records]
    producer = AIOKafkaProducer(bootstrap_servers=stage.demo["kafka"], acks="all")
    await producer.start()
    try:
        for name, (key, value, headers) in zip(names, records, strict=True):
            fields = [("ce_id", f"{name}.0".encode()), *headers.items()]
            await producer.send_and_wait(stage.topics.full(topic), key=key.encode(), value=value, headers=fields)
    finally:
        await producer.stop()
    return names


async def push_to_nobody(stage: Stage) -> str:
    """Give the notifier a push that it must set aside."""
    key = f"end_nobody|{uuid.UUID(int=0)}"
    headers = {"tenant": NOBODY, "endpoint": b"end_nobody", "ce_type": b"message_received"}
    return (await put(stage, TopicName.NOTIFY_DUE, [(key, b"{}", headers)]))[0]
