"""What the bench sends: signed webhook bodies, the raw records that ingress would make of them, send commands.

Values only. Not here: who sends them (loader.py), where they go.
"""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from services.domain.ids import MessageIds, RecordName
from services.domain.message import Recipient, SendCommand, encode_command
from services.domain.tenants import HOUSE_APP
from services.ingress.webhook import records
from services.runtime import clock
from services.streams.codec import Outgoing, headers
from services.streams.topics import TopicName

USERS: Final = 2000
"""Different users of one number; each writes again and again, as people do."""

_MESSAGE: Final = b"""\
{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"%(phone)s","phone_number_id":"%(number)s"},\
"contacts":[{"profile":{"name":"Juan P\xc3\xa9rez %(user)s"},"wa_id":"%(user)s","user_id":"EC.1349%(user)s"}],\
"messages":[{"from":"%(user)s","from_user_id":"EC.1349%(user)s","id":"%(wamid)s","timestamp":"%(at)s","text":\
{"body":"Buenas tardes, quiero saber si el pedido 4471 sale hoy a la tarde, y si puedo cambiar la direcci\xc3\xb3n de \
entrega a la oficina de la avenida Amazonas, que queda m\xc3\xa1s cerca de mi casa y tiene guardia hasta las ocho."},\
"type":"text"}]},"field":"messages"}"""
_STATUS: Final = b"""\
{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"%(phone)s","phone_number_id":"%(number)s"},\
"contacts":[{"profile":{"name":"Juan P\xc3\xa9rez %(user)s"},"wa_id":"%(user)s","user_id":"EC.1349%(user)s"}],\
"statuses":[{"id":"%(sent)s","status":"delivered","timestamp":"%(at)s","recipient_id":"%(user)s",\
"recipient_user_id":"EC.1349%(user)s","conversation":{"id":"d6cb24e1c9c4f1a2f0e5d8b7a6c3e921","expiration_timestamp":\
"%(at)s","origin":{"type":"utility"}},"pricing":{"billable":true,"pricing_model":"PMP","category":"utility",\
"type":"regular"},"biz_opaque_callback_data":"order-4471/step-3"}]},"field":"messages"}"""
_BODY: Final = b"""{"object":"whatsapp_business_account","entry":[{"id":"%(waba)s","changes":[%(changes)s]}]}"""


class Number(NamedTuple):
    """One of the bench's accounts, as it looks from outside."""

    tenant: int
    account_id: str
    phone: str
    phone_number_id: str
    waba_id: str


def webhook_bodies(numbers: Sequence[Number], count: int, mark: str, *, statuses: bool) -> Iterator[bytes]:
    """Bodies of one message each, taking turns between the numbers; no two have an item in common.

    With `statuses` each also brings one status of some other message and has 1.5 kB. `mark` keeps runs apart.
    """
    at = int(clock.now().timestamp())
    for place in range(count):
        number = numbers[place % len(numbers)]
        user = 593_980_000_000 + (place // len(numbers) * 7919) % USERS
        item = {
            b"number": number.phone_number_id.encode(),
            b"phone": number.phone.lstrip("+").encode(),
            b"user": str(user).encode(),
            b"at": str(at).encode(),
            b"wamid": _wamid(mark, "in", place),
            b"sent": _wamid(mark, "out", place),
        }
        changes = b",".join(change % item for change in ((_MESSAGE, _STATUS) if statuses else (_MESSAGE,)))
        yield _BODY % {b"waba": number.waba_id.encode(), b"changes": changes}


def post(path: str, host: str, body: bytes, secret: str) -> bytes:
    """A whole HTTP request, signed as Meta does."""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nUser-Agent: facebookexternalua\r\n"
        f"Accept: */*\r\nX-Hub-Signature-256: sha256={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def raw_records(numbers: Sequence[Number], count: int, mark: str) -> list[Outgoing]:
    """Records of wa.webhook.raw, one inbound message each, made by ingress's own function."""
    bodies = webhook_bodies(numbers, count, mark, statuses=False)
    return [outgoing for body in bodies for outgoing in records(body, HOUSE_APP)]


def commands(number: Number, count: int, ids: MessageIds) -> list[SendCommand]:
    """Texts to as many recipients as there are commands, so that no conversation holds another up."""
    at = clock.now()
    return [
        SendCommand(
            message_id=ids.issue(1, clock.random64()), tenant=number.tenant, account_id=number.account_id,
            to=Recipient(phone=f"+{593_990_000_000 + place}"), type="text",
            content="Hola Juan, tu pedido 4471 sale hoy por la tarde; te avisamos cuando esté en camino.",
            body_sha256=hashlib.sha256(str(place).encode()).hexdigest(), accepted_at=at,
        )
        for place in range(count)
    ]  # fmt: skip


def command_records(made: Sequence[SendCommand]) -> list[Outgoing]:
    """Records of wa.send.normal as ingress writes them, but that nobody waits for an answer."""
    return [
        Outgoing(
            TopicName.SEND_NORMAL, f"{command.account_id}#0", encode_command(command),
            headers(RecordName(clock.new_uuid7(), 0), "send_command", command.accepted_at, tenant=command.tenant),
        )
        for command in made
    ]  # fmt: skip


def _wamid(mark: str, direction: str, place: int) -> bytes:
    return f"wamid.HBgMNTkzOTg3NjU0MzIxFQIAEhgU{mark}{direction}{place:012}".encode()
