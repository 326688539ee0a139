"""One tenant's sends over a virtual clock: claims, calls, waits, redeliveries, dead owners, statuses.

The database is one Workset that lives on, Kafka a list of records of which any may come again at any time, WhatsApp a
set of calls it took. Decisions are the real ones. Not here: what must hold (test_sending.py).
"""

import itertools
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from services.domain.delivery import Status
from services.domain.ids import RecordName
from services.domain.message import SendCommand, decode_command
from services.domain.policy import Evidence
from services.domain.retry import RetryPolicy
from services.domain.workset import Deferral, QueueNext, WamidKey, WamidLink, Workset
from services.normaliser.record import record as hear
from services.providers.cloud.payloads import callback_data
from services.providers.contract import NotSent, Refused, SendOutcome, Sent, StatusUpdate, Unknown
from services.sender import claim, settle
from services.sender.claim import DECIDE_AT, Call, Ordered
from services.sender.settle import Answered
from tests.unit.domain.things import ACCOUNT, IDS, NOW, a_command
from tests.unit.normaliser.updates import a_status, told
from tests.unit.sender.orders import LANE_TOPIC, make_room_for

LEASE: Final = timedelta(seconds=45)
CALL: Final = timedelta(seconds=15)
POLICY: Final = RetryPolicy(base=timedelta(seconds=5), limit=5)
REFUSED: Final = Refused(code="window_closed", title="t", detail="d", fault="caller", meta={"code": 131047})


@dataclass
class Guards:
    """What stands between a message and its second send; a test that switches one off must see it happen."""

    claims: bool = True  # a message that is SENDING is not sent by whoever meets it
    lease: bool = True  # nothing is written past the lease
    wait_numbers: bool = True  # a lower wait number has no effect
    evidence: bool = True  # a window ends on the normaliser's progress, not by the clock
    links: bool = True  # a status finds its message by the string that Meta gives back


@dataclass(frozen=True)
class LogRecord:
    name: RecordName
    command: SendCommand
    decide_at: datetime | None = None


@dataclass
class Waiting:
    row: Deferral
    due_at: datetime | None


@dataclass
class Claimed:
    """A call that an owner holds; `outcome` is set once it was made."""

    call: Call
    lease_ends: datetime
    outcome: SendOutcome | None = None


@dataclass
class World:
    guards: Guards = field(default_factory=Guards)
    now: datetime = NOW
    work: Workset = field(default_factory=Workset)
    log: list[LogRecord] = field(default_factory=list)
    deferred: dict[int, Waiting] = field(default_factory=dict)
    claimed: list[Claimed] = field(default_factory=list)
    statuses: list[tuple[datetime, StatusUpdate]] = field(default_factory=list)
    heard: list[StatusUpdate] = field(default_factory=list)
    taken: Counter[str] = field(default_factory=Counter)
    ended: set[str] = field(default_factory=set)
    called_after_end: list[str] = field(default_factory=list)
    leases: dict[str, datetime] = field(default_factory=dict)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def submit(self, policy: str) -> None:
        number = next(self.numbers)
        command = a_command(message_id=IDS.issue(1, number), outcome_policy=policy)
        self.log.append(LogRecord(RecordName(uuid.UUID(int=number), 0), command))

    def deliver(self, record: LogRecord) -> None:
        """The first transaction of whoever owns the partition now; records may come again for ever."""
        complete = record.decide_at is not None and (
            not self.guards.evidence or all(at > record.decide_at for at, _ in self.statuses)
        )
        name = record.name
        present = self.work.messages.get(record.command.message_id)
        if not self.guards.wait_numbers and present is not None:
            name = RecordName(name.base, max(name.n, present.wait_no))
        order = Ordered(command=record.command, name=name, account=ACCOUNT, topic=LANE_TOPIC, key="k",
                        evidence=Evidence(decide_at=record.decide_at, complete=complete))  # fmt: skip
        make_room_for(self.work, order)

        def decide() -> None:
            if not self.guards.claims and present is not None and present.state == Status.SENDING:
                present.status = Status.WAITING
            verdict = claim.decide(self.work, order, LEASE.total_seconds())
            if verdict.call is not None:
                self.leases[order.command.message_id] = self.now + LEASE
                self.claimed.append(Claimed(verdict.call, self.now + LEASE))

        self._transaction(decide)

    def call(self, claimed: Claimed, ending: str) -> None:
        """Write the request if the lease allows it; what WhatsApp takes, it tells of."""
        name = claimed.call.ordered.command.message_id
        if self.guards.lease and self.now > claimed.lease_ends:
            claimed.outcome = NotSent(reason="lease_over")
            return
        if name in self.ended:
            self.called_after_end.append(name)
        wamid = f"wamid.{name}.{claimed.call.attempt}.{self.taken[name]}"
        if ending in {"taken", "taken and lost"}:
            self.taken[name] += 1
            callback = callback_data(name, claimed.call.attempt) if self.guards.links else None
            self.statuses += [
                (self.now, a_status(word, wamid, at=self.now, callback=callback)) for word in ("sent", "delivered")
            ]
        outcomes: dict[str, SendOutcome] = {
            "taken": Sent(wamid=wamid), "refused": REFUSED, "not sent": NotSent(reason="connect")
        }  # fmt: skip
        claimed.outcome = outcomes.get(ending, Unknown("timeout"))

    def settle(self, claimed: Claimed) -> None:
        """The second transaction, however late it comes."""
        assert claimed.outcome is not None
        self.claimed.remove(claimed)
        if isinstance(claimed.outcome, Sent):
            self._room_for_wamid(claimed.outcome.wamid)
        answered = Answered(call=claimed.call, outcome=claimed.outcome, at=self.now, lease_ends=0.0)
        late = self.now > claimed.lease_ends
        self._transaction(lambda: settle.settle(self.work, answered, POLICY, late=late))
        if isinstance(claimed.outcome, Sent | Refused):
            self.ended.add(claimed.call.ordered.command.message_id)

    def die(self) -> None:
        """The owner is gone with all that it held; what it had on the wire is on the wire."""
        self.claimed.clear()

    def give_back(self, number: int, *, again: bool = False) -> None:
        """The scheduler returns a due row; `again`: its transaction broke after the produce."""
        row = self.deferred[number].row
        if not again:
            del self.deferred[number]
        decide_at = row.headers.get(DECIDE_AT)
        self.log.append(LogRecord(RecordName(row.base, row.n), decode_command(row.payload),
                                  datetime.fromisoformat(decide_at) if decide_at else None))  # fmt: skip

    def due(self) -> list[int]:
        return [n for n, waiting in self.deferred.items() if waiting.due_at is not None and waiting.due_at <= self.now]

    def hear_next(self) -> None:
        _, update = self.statuses.pop(0)
        self.heard.append(update)
        self.hear(update)

    def hear(self, update: StatusUpdate) -> None:
        self._room_for_wamid(update.wamid)
        self._transaction(lambda: hear(self.work, told(update)))

    def _room_for_wamid(self, wamid: str) -> None:
        self.work.wamids.setdefault(WamidKey(ACCOUNT.id, "out", wamid), WamidLink())

    def _transaction(self, decide: Callable[[], object]) -> None:
        """Load what the database computes, decide, keep what was written."""
        self.work.now = self.now
        for message in self.work.messages.values():
            left = (self.leases.get(message.id, NOW) - self.now).total_seconds()
            message.lease_over, message.lease_left_seconds = left <= 0, max(left, 0.0)
        self.work.queue_next = {}
        for number, waiting in sorted(self.deferred.items()):
            if waiting.row.queue and waiting.due_at is None:
                self.work.queue_next.setdefault(waiting.row.queue, QueueNext(number, waiting.row.subject or ""))
        decide()
        for row in self.work.deferrals:
            wait = row.due_in_seconds
            due_at = None if wait is None else self.now + timedelta(seconds=wait)
            self.deferred[next(self.numbers)] = Waiting(msgspec.structs.replace(row), due_at)
        for number in self.work.due_now:
            self.deferred[number].due_at = self.now
        self.work.deferrals, self.work.due_now = [], []
