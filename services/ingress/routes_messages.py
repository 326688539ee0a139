"""Routes of /api/messages: a command goes to its lane and waits for WhatsApp; a message and its timeline are read."""

from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from services.domain.errors import ProblemError
from services.domain.ids import RecordName, is_typed_id
from services.domain.message import Recipient, SendCommand, encode_command
from services.domain.tenants import Account
from services.ingress.answers import json_response, sent_answer
from services.ingress.auth import Caller
from services.ingress.deps import Deps
from services.ingress.documents import Accepted, Message, Pending, Sent, Timeline, documented
from services.ingress.guard import ApiRoute, caller_of, deps_of
from services.ingress.headers import idempotency_key, wait_seconds
from services.ingress.lookups import account_named, conversation_named, is_seen
from services.ingress.message_request import NewMessage, canonical_sha256, command_of
from services.ingress.problems import trace_id
from services.ingress.views import is_finished, message_view, timeline_view
from services.runtime import clock
from services.store.reads import messages
from services.streams.codec import Outgoing, headers
from services.streams.producer import Outcome
from services.streams.topics import lane_topic

router: Final = APIRouter(prefix="/api/messages", tags=["messages"], route_class=ApiRoute)
ROUTE: Final = "POST /api/messages"
_STOPPED: Final = frozenset({"paused", "disabled"})
_RETRY_AFTER_SECONDS: Final = 2
_CACHED_SECONDS: Final = 300


@router.post("", **documented("send", {201: Sent, 202: Accepted}, 404, 409, 413, 415))
async def send_message(request: Request, body: NewMessage) -> Response:
    """Send a message: 201 once WhatsApp gave an id, 202 while that is not known, 422 when it refused."""
    deps, caller = deps_of(request), caller_of(request)
    key = idempotency_key(request.headers)
    account, to, phone_number = await _destination(deps, caller, body)
    if account.status in _STOPPED:
        raise ProblemError("account_paused", f"The account is {account.status}.", pointer="/account_id")
    language = body.language or (await deps.languages.of(account.tenant, account.id) if body.template_id else "")
    command = command_of(
        body, account, to=to, message_id=_message_id(deps, account, key), language=language,
        body_sha256=canonical_sha256(await request.json()), accepted_at=clock.now(),
    )  # fmt: skip
    with deps.replies.expect() as waiting:
        seconds = wait_seconds(request.headers, deps.settings.reply_wait_seconds)
        asked = waiting if seconds > 0 else None
        await _make_durable(deps, command, trace_id(request.scope), str(asked.reply_to) if asked else None)
        reply = await asked.reply(seconds) if asked else None
    return sent_answer(command, phone_number, reply)


async def _destination(deps: Deps, caller: Caller, body: NewMessage) -> tuple[Account, Recipient, str | None]:
    """Return the account, the recipient, and the number that the answer shows."""
    if body.conversation_id is None:
        account = await account_named(deps, caller, body.account_id or "", "/account_id")
        return account, Recipient(phone=body.phone_number, user_id=body.recipient), body.phone_number
    if body.account_id is not None:
        await account_named(deps, caller, body.account_id, "/account_id")
    row = await conversation_named(deps, caller, body.conversation_id, "/conversation_id")
    if body.account_id not in (None, row["account_id"]):
        raise ProblemError("not_found", "The account has no such conversation.", pointer="/conversation_id")
    account = await account_named(deps, caller, row["account_id"], "/conversation_id")
    return account, Recipient(conversation_id=row["id"]), row["contact_phone"]


def _message_id(deps: Deps, account: Account, key: str | None) -> str:
    if key is None:
        return deps.ids.issue(account.no, clock.random64())
    return deps.ids.from_key(account.no, account.tenant, ROUTE, key)


async def _make_durable(deps: Deps, command: SendCommand, trace: str, reply_to: str | None) -> None:
    """Hand the command to its lane; raise not_durable unless Kafka or the spool has it."""
    name = RecordName(clock.new_uuid7(), 0)
    span = f"{clock.random64() | 1:016x}"
    extra: dict[str, str | int] = {"tenant": command.tenant, "traceparent": f"00-{trace}-{span}-01"}
    if reply_to:
        extra["reply_to"] = reply_to
    outgoing = Outgoing(
        lane_topic(command.lane), f"{command.account_id}#0", encode_command(command),
        headers(name, "message_send", command.accepted_at, **extra),
    )  # fmt: skip
    outcomes = await deps.producer.produce_each((outgoing,), deps.settings.produce_deadline_seconds)
    if outcomes != [Outcome.DURABLE]:
        raise ProblemError(
            "not_durable", "Neither Kafka nor the spool took the command: repeat it with the same Idempotency-Key.",
            retry_after_seconds=_RETRY_AFTER_SECONDS, extra={"message_id": command.message_id},
        )  # fmt: skip


@router.get("/{message_id}", **documented("read", {200: Message | Pending}, 404))
async def read_message(request: Request, message_id: str) -> Response:
    """Read a message as it is now; an id that was issued and has no row yet is `accepted`."""
    deps, caller = deps_of(request), caller_of(request)
    if not is_typed_id(message_id, "msg"):
        raise _unknown()
    kept_as = f"message|{caller.tenant.no}|{message_id}"
    view = await _kept(deps, kept_as)
    if view is None:
        view = await _read(deps, caller, message_id, kept_as)
    if not is_seen(deps, caller, view["account_id"]):
        raise ProblemError("permission_denied", "The credential does not cover this account's business.")
    if view["status"] == "accepted":
        view = {"id": message_id, "status": "accepted"}
    return json_response(view)


async def _kept(deps: Deps, kept_as: str) -> dict[str, Any] | None:
    kept = await deps.cache.get(kept_as, _CACHED_SECONDS)
    return msgspec.json.decode(kept, type=dict[str, Any]) if kept else None


async def _read(deps: Deps, caller: Caller, message_id: str, keep_as: str) -> dict[str, Any]:
    async with deps.reads.tenant_session(caller.tenant.no, caller.tenant.cell) as connection:
        row = await messages.message(connection, message_id)
    if row is None:
        return {"account_id": _issuing_account(deps, caller, message_id).id, "status": "accepted"}
    view = message_view(row)
    if is_finished(row, clock.now()):
        await deps.cache.put(keep_as, msgspec.json.encode(view), _CACHED_SECONDS)
    return view


def _issuing_account(deps: Deps, caller: Caller, message_id: str) -> Account:
    """Return the account that an issued id names; whatever else the id is, it is unknown here."""
    number = deps.ids.account_no(message_id)
    account = None if number is None else deps.directory.book.by_no(number)
    if account is None or account.tenant != caller.tenant.no:
        raise _unknown()
    return account


@router.get("/{message_id}/timeline", **documented("read", {200: Timeline}, 404))
async def read_timeline(request: Request, message_id: str) -> Response:
    """Read what was announced of a message and what WhatsApp reported, late news too, oldest first."""
    deps, caller = deps_of(request), caller_of(request)
    if not is_typed_id(message_id, "msg"):
        raise _unknown()
    async with deps.reads.tenant_session(caller.tenant.no, caller.tenant.cell) as connection:
        row = await messages.message(connection, message_id)
        events = await messages.announced(connection, message_id)
        statuses = await messages.statuses(connection, message_id)
    account_id = row["account_id"] if row else _issuing_account(deps, caller, message_id).id
    if not is_seen(deps, caller, account_id):
        raise ProblemError("permission_denied", "The credential does not cover this account's business.")
    return json_response({"data": timeline_view(events, statuses)})


def _unknown() -> ProblemError:
    return ProblemError("not_found", "There is no such message.")
