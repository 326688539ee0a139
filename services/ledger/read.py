"""Reads both sides of every book: committed offsets first, then the database, then the log to its end (why: books.py).

Not here: what balances.
"""

from hashlib import sha256
from typing import Any, Final

import msgspec

from services.domain.errors import RecordError
from services.domain.ids import event_id
from services.domain.message import decode_command
from services.domain.tenants import Phonebook, owners_of, quarantine
from services.ledger.books import FINAL_OUTCOMES, Entry, Facts, MessageRow
from services.ledger.rows import Rows, Snapshot, snapshot
from services.providers.cloud.webhook import RawItem, interpret, natural_key, read_record
from services.providers.contract import AccountUpdate, InboundMessage, StatusUpdate, Update
from services.streams.codec import Record
from services.streams.log import Log, Place, committed
from services.streams.topics import LANE_TOPICS, TopicName, Topics

DEFAULT_ENDPOINT: Final = "default"
"""The endpoint of tenants that have none of their own (RECADO_ORCHESTRATOR_URL)."""
UNAVAILABLE: Final = "tenant_unavailable"

_LANES: Final = tuple(LANE_TOPICS.values())
_EVENTS: Final = (TopicName.EVENT_MESSAGE, TopicName.EVENT_ACCOUNT)
_DUE: Final = TopicName.NOTIFY_DUE
_DEAD: Final = (TopicName.DEAD_NORMALISER, TopicName.DEAD_SENDER, TopicName.DEAD_NOTIFIER)
_BEGINNING: Final = "-"
_READERS: Final = ("sender", "normaliser", "notifier")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where to read. `company`: only this tenant's books; `default_endpoint`: whether tenants without one have one."""

    bootstrap: str
    database: str
    topics: Topics
    company: str | None = None
    default_endpoint: bool = True


async def read(source: Source) -> Facts:
    """Raises DependencyAwayError when Kafka or PostgreSQL does not answer."""
    offsets: dict[Place, int] = {}
    for room in _READERS:
        offsets |= await committed(source.bootstrap, source.topics, room)
    async with Log(source.bootstrap, source.topics, (*_LANES, TopicName.RAW, *_EVENTS, _DUE, *_DEAD)) as log:
        reading = _Reading(source, offsets, await log.ends())
        async with snapshot(source.database) as rows:
            await reading.take_rows(rows)
        await reading.take_log(log)
    return reading.facts


class _Reading:
    def __init__(self, source: Source, offsets: dict[Place, int], ends_before: dict[Place, int]) -> None:
        self.facts = Facts()
        self._source = source
        self._offsets = offsets
        self._ends_before = ends_before
        self._book = Phonebook()
        self._endpoints: dict[int, list[str]] = {}
        self._wanted: set[int] = set()

    async def take_rows(self, rows: Snapshot) -> None:
        self._book, self._endpoints = rows.book, rows.endpoints
        company = self._source.company
        self._wanted = {no for no, tenant in rows.book.tenants.items() if company in (None, tenant.company_id)}
        for tenant in sorted(self._wanted):
            if own := await rows.own(tenant):
                self._take_own(own)
        for name, take in (
            ("attempts", self._take_attempts), ("deferred", self._take_deferred),
            ("deliveries", self._take_deliveries), ("webhook_events", self._take_kept),
        ):  # fmt: skip
            take([row[1:] for row in await rows.shared(name) if row[0] in self._wanted])

    def _take_own(self, own: dict[str, Rows]) -> None:
        facts = self.facts
        for message_id, account_id, direction, status, attempt, wamid in own["messages"]:
            if direction == "outbound":
                facts.messages[message_id] = MessageRow(status, attempt)
            else:
                facts.recorded.add(message_key(account_id, wamid))
        for account_id, wamid, status, participant, at in own["statuses"]:
            moment = _BEGINNING if at.timestamp() == 0 else at.isoformat()
            facts.recorded.add(status_key(account_id, wamid, status, participant, moment))
        for event, base, _, conversation_id, sequence, digest, message_id in own["events"]:
            facts.announced[event], facts.bases[event] = digest, base
            if sequence:
                facts.sequences.setdefault(conversation_id, []).append(sequence)
            if message_id is None:
                facts.recorded.add(event_key(event))
        facts.last_sequence |= {conversation: last for conversation, last in own["conversations"] if last}

    def _take_attempts(self, rows: Rows) -> None:
        for message_id, attempt, outcome in rows:
            self.facts.attempts.setdefault(message_id, {})[attempt] = outcome

    def _take_deferred(self, rows: Rows) -> None:
        for reason, topic, base, subject, headers in rows:
            self.facts.deferred_bases.add(base)
            if subject:
                self.facts.deferred_subjects.add(subject)
            if reason == UNAVAILABLE:
                self.facts.put_away.add(base)
            if topic == _DUE:
                self.facts.pushes_waiting.add(push_key(base, headers.get("endpoint", "")))

    def _take_deliveries(self, rows: Rows) -> None:
        self.facts.delivered |= {
            push_key(event, endpoint) for endpoint, event, outcome in rows if outcome in FINAL_OUTCOMES
        }

    def _take_kept(self, rows: Rows) -> None:
        self.facts.recorded |= {kept_key(row[0]) for row in rows}

    async def take_log(self, log: Log) -> None:
        take = {
            **dict.fromkeys(_LANES, self._take_command), TopicName.RAW: self._take_raw,
            **dict.fromkeys(_EVENTS, self._take_event), _DUE: self._take_due, **dict.fromkeys(_DEAD, self._take_dead),
        }  # fmt: skip
        async for record in log.records():
            take[record.topic](record)
        self.facts.whole_log = log.whole

    def _ahead(self, record: Record) -> bool:
        return record.offset >= self._offsets.get(record.slot, 0)

    def _take_command(self, record: Record) -> None:
        base, ahead = str(record.name.base), self._ahead(record)
        try:
            command = decode_command(record.value)
        except msgspec.MsgspecError:
            key = ""
        else:
            if command.tenant not in self._wanted and self._source.company:
                return
            key = command.message_id
        self.facts.commands.append(Entry(base, key, ahead))

    def _take_raw(self, record: Record) -> None:
        base, ahead = str(record.name.base), self._ahead(record)
        keys = self._keys_of(record)
        self.facts.received += [Entry(base, key, ahead) for key in keys]

    def _keys_of(self, record: Record) -> list[str]:
        """What must be recorded because of it; [""]: it must be a dead letter, []: it is none of our concern."""
        nobody = [] if self._source.company else [""]
        try:
            item, update, natural = _interpreted(record)
        except RecordError:
            return nobody
        display = update.display_phone_number if isinstance(update, AccountUpdate) else None
        owners = owners_of(self._book, item.number, item.entry_id, display)
        if quarantine(owners, item.app, getattr(update, "timestamp", None)):
            return nobody
        return [
            key
            for account in owners
            if account.tenant in self._wanted
            for key in natural_keys(account.id, update, natural)
        ]

    def _take_event(self, record: Record) -> None:
        tenant, event = record.tenant, str(record.name.base)
        if tenant not in self._wanted and self._source.company:
            return
        self.facts.on_the_wire.setdefault(event, set()).add(sha256(record.value).hexdigest())
        if record.offset < self._ends_before.get(record.slot, 0):
            self.facts.said_before.add(event)
        ahead = self._ahead(record)
        self.facts.owed += [Entry(event, push_key(event, endpoint), ahead) for endpoint in self._endpoints_of(tenant)]

    def _take_due(self, record: Record) -> None:
        if self._ahead(record):
            self.facts.pushes_waiting.add(push_key(str(record.name.base), record.header("endpoint") or ""))

    def _take_dead(self, record: Record) -> None:
        self.facts.dead[str(record.name.base)] = record.header("reason") or ""

    def _endpoints_of(self, tenant: int | None) -> list[str]:
        own = self._endpoints.get(tenant or 0, [])
        return own or ([DEFAULT_ENDPOINT] if self._source.default_endpoint else [])


def _interpreted(record: Record) -> tuple[RawItem, Update, tuple[str, ...]]:
    if record.header("kind") == "unreadable":
        raise RecordError("unreadable", "the signed body is no webhook")
    item = read_record(record.value)
    return item, interpret(item), natural_key(item)


def natural_keys(account_id: str, update: Update, natural: tuple[str, ...]) -> list[str]:
    """The rows that one update must leave with one account."""
    if isinstance(update, InboundMessage):
        return [message_key(account_id, update.wamid)]
    if isinstance(update, StatusUpdate):
        at = update.timestamp.isoformat() if update.timestamp else _BEGINNING
        return [status_key(account_id, update.wamid, update.status, update.participant, at)]
    if isinstance(update, AccountUpdate):
        return [event_key(str(event_id(update.event_type, account_id, *natural)))]
    event = str(event_id("webhook_event_unknown", account_id, *natural))
    return [event_key(event), kept_key(event)]


def message_key(account_id: str, wamid: str) -> str:
    return f"message {account_id} {wamid}"


def status_key(account_id: str, wamid: str, status: str, participant: str, at: str) -> str:
    return f"status {account_id} {wamid} {status} {participant} {at}"


def event_key(event: str) -> str:
    return f"event {event}"


def kept_key(event: str) -> str:
    return f"kept {event}"


def push_key(event: str, endpoint: Any) -> str:
    return f"{event} to {endpoint}"
