"""The dead letters of all rooms, read from beginning to end; each record that was set aside comes once.

Not here: what a letter is (deadletter.py), which ones somebody wants.
"""

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from services.streams.codec import Record
from services.streams.deadletter import Letter, letter_of
from services.streams.log import Log
from services.streams.topics import TopicName, Topics

DEAD_TOPICS: Final = (TopicName.DEAD_NORMALISER, TopicName.DEAD_SENDER, TopicName.DEAD_NOTIFIER)


class Found(NamedTuple):
    letter: Letter
    record: Record


async def letters(bootstrap: str, topics: Topics) -> AsyncIterator[Found]:
    """Raises DependencyAwayError when Kafka does not answer."""
    seen: set[str] = set()
    async with Log(bootstrap, topics, DEAD_TOPICS) as log:
        async for record in log.records():
            letter = letter_of(record)
            if letter.id not in seen:
                seen.add(letter.id)
                yield Found(letter, record)
