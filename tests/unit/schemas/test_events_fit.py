"""What the code announces fits its schema, and is named after the schema's natural key."""

import uuid
from pathlib import Path

import msgspec
import pytest

from services.domain.delivery import MOVES, Happening, Status
from services.domain.ids import event_id
from services.domain.outcome import happen
from services.domain.workset import Workset
from services.normaliser.record import Told, record
from services.providers.cloud.webhook import interpret, natural_key, raw_record, read_record, split
from services.providers.contract import AccountUpdate, Refused, UnknownUpdate
from services.sender.claim import decide
from tests.unit.domain.things import ACCOUNT, BASE, MESSAGE_ID, NOW, a_conversation, a_message, a_workset, an_account
from tests.unit.normaliser import updates
from tests.unit.schemas.vocabulary import ROOT, schema_of, validator_of
from tests.unit.sender import orders

PAYLOADS = sorted((ROOT / "tests" / "payloads" / "cloud").glob("*.json"))
ANNOUNCING = [pair for pair, move in MOVES.items() if move.announce]
REFUSAL = Refused(code="window_closed", title="t", detail="d", fault="caller", meta={"code": 131047}).as_error()


def named_by_schema(event, values):
    """The name that the schema's x-key gives an event of these values."""
    return event_id(event.event_type, *(str(values[name]) for name in schema_of(event.event_type)["x-key"]))


def check(event, values):
    validator_of(event.event_type).validate(msgspec.json.decode(event.value))
    assert event.event_id == named_by_schema(event, values)


@pytest.mark.parametrize("pair", ANNOUNCING, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_every_move_s_events(pair):
    status, happening = pair
    conversation = a_conversation()
    message = a_message(status, conversation, pricing={"billable": True}, metadata={"campaign": 1})
    work = a_workset(message, conversation=conversation)
    error = REFUSAL if happening in {Happening.REFUSED, Happening.SAW_FAILED} else None
    happen(work, ACCOUNT, message, happening, at=NOW, base=BASE, error=error)
    assert [event.event_type for _, event in work.events] == list(MOVES[pair].announce)
    for _, event in work.events:
        check(event, msgspec.json.decode(event.value)["data"])


def test_a_message_outside_of_a_conversation():
    message = a_message(Status.SENDING, None, phone_number=None, user_id="EC.1")
    work = a_workset(message)
    happen(work, ACCOUNT, message, Happening.SAW_DELIVERED, at=NOW, base=BASE)
    for _, event in work.events:
        check(event, {"message_id": message.id})


def test_a_mismatch_under_one_key():
    conversation = a_conversation()
    work = a_workset(a_message(Status.SENT, conversation), conversation=conversation)
    decide(work, orders.ordered(base=orders.OTHER_BASE, body_sha256="another"), orders.LEASE_SECONDS)
    (_, event) = work.events[0]
    check(event, {"message_id": MESSAGE_ID, "body_sha256": "another"})


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: Path(path).stem)
def test_whatever_meta_sends(path):
    """Each real body, taken apart and recorded as the normaliser does, announces what fits."""
    work = Workset()
    for item in split(path.read_bytes()):
        value = raw_record(item, app="house", body_sha256="0" * 64, received_at="2026-04-10T15:30:45.120+00:00")
        raw = read_record(value)
        one = Told(account=ACCOUNT, base=BASE, update=interpret(raw), received_at=NOW, partition=0, offset=0,
                   natural_key=natural_key(raw))  # fmt: skip
        updates.make_room_for(work, one)
        said = len(work.events)
        record(work, one)
        for _, event in work.events[said:]:
            check(event, values_of(one))


def values_of(one):
    if isinstance(one.update, AccountUpdate | UnknownUpdate):
        return {"account_id": one.account.id, "update": "\x1f".join(one.natural_key)}
    return {"account_id": one.account.id, "whatsapp_message_id": one.update.wamid}


def test_the_same_message_of_two_accounts_is_two_events():
    names: set[uuid.UUID] = set()
    for account in (ACCOUNT, an_account(2)):
        work = Workset()
        one = updates.told(updates.a_text(), account)
        updates.make_room_for(work, one)
        record(work, one)
        names.add(work.events[0][1].event_id)
    assert len(names) == 2
