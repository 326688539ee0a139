"""What a discard means for the message that a dead command was to send: it is cancelled, and that is announced.

Pure decisions on a Workset. A command without a row leaves a cancelled one, which a later copy of the command finds.
Not here: SQL, Kafka, the audit.
"""

from datetime import datetime
from typing import Final

import msgspec

from services.domain.delivery import Happening, Status
from services.domain.ids import RecordName
from services.domain.message import SendCommand, decode_command
from services.domain.outcome import happen
from services.domain.tenants import Account, Phonebook
from services.domain.workset import Message, Workset
from services.store.worksets import Keys
from services.streams.codec import Record
from services.streams.topics import LANE_TOPICS

_WAITS: Final = frozenset({Status.QUEUED, Status.WAITING})
_LANES: Final = frozenset(LANE_TOPICS.values())


class DeadCommand(msgspec.Struct, frozen=True, kw_only=True):
    command: SendCommand
    name: RecordName
    account: Account


def dead_command(record: Record, book: Phonebook) -> DeadCommand | None:
    """Return the command whose message waits; None when there is none that anybody could be told of."""
    if record.header("from_topic") not in _LANES:
        return None
    try:
        command = decode_command(record.value)
    except msgspec.MsgspecError:
        return None
    account = book.accounts.get(command.account_id)
    if account is None or account.tenant != command.tenant:
        return None
    return DeadCommand(command=command, name=record.name, account=account)


def keys_of(dead: DeadCommand, keys: Keys) -> None:
    keys.messages.add(dead.command.message_id)


def discard(work: Workset, dead: DeadCommand, at: datetime) -> bool:
    """Cancel the message under its lock; False when it was not this record's to cancel, or is settled already."""
    message = work.messages.get(dead.command.message_id) or _begin(work, dead)
    went_on = message.base != dead.name.base or message.wait_no > dead.name.n
    if went_on or message.state not in _WAITS:
        return False
    return happen(work, dead.account, message, Happening.CANCELLED, at=at, base=message.base)


def _begin(work: Workset, dead: DeadCommand) -> Message:
    """A row without a conversation: nothing was ever said in it."""
    command = dead.command
    message = Message(
        id=command.message_id, conversation_id=None, account_id=command.account_id, direction="outbound",
        message_type="template" if command.template else command.type, content=command.content, status=Status.QUEUED,
        base=dead.name.base, message_at=command.accepted_at, reply_to=command.reply_to,
        phone_number=command.to.phone, user_id=command.to.user_id, template_id=command.template_id,
        metadata=command.metadata, lane=command.lane, wait_no=dead.name.n, body_sha256=command.body_sha256,
        not_before=command.not_before, not_after=command.not_after,
    )  # fmt: skip
    work.messages[message.id] = message
    work.new_messages.add(message.id)
    return message
