"""What the sender says on Kafka: stored events as records, and replies to requests that wait. Not here: what a reply
holds (replies.py), sending it."""

from collections.abc import Sequence

import msgspec

from services.domain.events import Event
from services.domain.replies import Reply, parse_reply_to
from services.runtime import metrics
from services.sender.deps import Deps
from services.streams.codec import Outgoing, Record, event_outgoing
from services.streams.topics import TopicName


def answer(record: Record, reply: Reply) -> list[Outgoing]:
    """The reply goes to the partition of the ingress copy that waits, if one does."""
    waiting = parse_reply_to(record.headers.get("reply_to", b"").decode("ascii", "replace"))
    if waiting is None:
        return []
    headers = (("copy", waiting.copy.encode()), ("request", waiting.request.encode()))
    return [Outgoing(TopicName.REPLY, waiting.copy, msgspec.json.encode(reply), headers, partition=waiting.partition)]


def outgoing(events: Sequence[tuple[int, Event]], deps: Deps) -> list[Outgoing]:
    for tenant, event in events:
        metrics.count_message("outbound", event.event_type, deps.directory.book.tenants[tenant].company_id)
    return [event_outgoing(event, tenant) for tenant, event in events]
