"""Commands on their way through the sender, as values. Not here: Kafka, PostgreSQL, WhatsApp."""

import uuid
from typing import Any

from services.domain.ids import RecordName
from services.domain.message import Recipient
from services.domain.tenants import Account
from services.domain.workset import Workset
from services.providers.contract import SendOutcome
from services.sender.claim import Call, Ordered, recipient_keys
from services.sender.settle import Answered
from tests.unit.domain.things import ACCOUNT, BASE, NOW, PHONE, a_command

LEASE_SECONDS = 45.0
LANE_TOPIC = "wa.send.normal"
OTHER_BASE = uuid.UUID("0196202e-7a40-7000-8000-0000000000ff")


def ordered(*, n: int = 0, base: uuid.UUID = BASE, account: Account = ACCOUNT, **over: Any) -> Ordered:
    """A command and the record that brought it; `over` are fields of the command."""
    command = a_command(account, **over)
    return Ordered(command=command, name=RecordName(base, n), account=account, topic=LANE_TOPIC, key=f"{account.id}#0")


def make_room_for(work: Workset, order: Ordered) -> None:
    """Do what step 1 of the transaction does: put in the recipient's names that are not there yet."""
    for key in recipient_keys(order.command):
        work.identities.setdefault(key, None)


def a_call(order: Ordered, attempt: int = 1) -> Call:
    return Call(ordered=order, attempt=attempt, to=Recipient(phone=PHONE))


def answered(outcome: SendOutcome, *, attempt: int = 1, order: Ordered | None = None) -> Answered:
    return Answered(call=a_call(order or ordered(), attempt), outcome=outcome, at=NOW, lease_ends=0.0)
