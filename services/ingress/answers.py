"""What POST /api/messages answers: the sender's reply, or its absence, as 201, 202 or a problem. Pure but for HTTP."""

from typing import Any, Final

import msgspec
from starlette.responses import Response

from services.domain.delivery import Status
from services.domain.errors import ProblemError
from services.domain.message import SendCommand
from services.domain.replies import Reply

_GOT_ID: Final = frozenset({Status.SENT, Status.DELIVERED, Status.READ, Status.PLAYED})
_META: Final = {"meta_code": "code", "subcode": "subcode", "details": "details", "fbtrace_id": "fbtrace_id"}
REPLAYED: Final = {"Idempotent-Replay": "true"}


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, "application/json")


def sent_answer(command: SendCommand, phone_number: str | None, reply: Reply | None) -> Response:
    """Raises ProblemError when the reply is a refusal or says that the key is at fault."""
    common = {"account_id": command.account_id, "phone_number": phone_number}
    headers = {"Location": f"/api/messages/{command.message_id}"}
    if reply is None:
        return json_response({"id": command.message_id, "status": "accepted"} | common, 202, headers)
    if reply.replay:
        headers |= REPLAYED
    if reply.problem:
        raise _key_problem(reply)
    if reply.status in _GOT_ID:
        body = {"id": reply.message_id, "whatsapp_message_id": reply.whatsapp_message_id, "status": "sent",
                "sent_at": reply.sent_at, **common, "conversation_id": reply.conversation_id, "provider": "cloud",
                "whatsapp_status": reply.whatsapp_status or "accepted"}  # fmt: skip
        return json_response(body, 201, headers)
    if reply.status == Status.FAILED:
        raise _refusal(reply)
    return json_response({"id": reply.message_id, "status": _waiting_status(reply)} | common, 202, headers)


def _waiting_status(reply: Reply) -> str:
    """What is still under way is `accepted` to the client; an unknown or ended outcome is named."""
    under_way = {Status.QUEUED, Status.SENDING, Status.WAITING}
    return "accepted" if reply.status in under_way else reply.status


def _key_problem(reply: Reply) -> ProblemError:
    detail = {
        "idempotency_mismatch": "The Idempotency-Key was used with another body.",
        "idempotency_key_spent": "The Idempotency-Key was used more than 7 days ago.",
    }.get(reply.problem or "") or (reply.error or {}).get("title", "The request cannot be carried out.")
    return ProblemError(reply.problem or "invalid", detail, extra={"message_id": reply.message_id})


def _refusal(reply: Reply) -> ProblemError:
    """WhatsApp's no, known in time: Meta's own code beside ours."""
    error = reply.error or {}
    meta = error.get("meta") or {name: error[field] for field, name in _META.items() if error.get(field) is not None}
    detail = error.get("details") or error.get("title") or "WhatsApp refused the message."
    return ProblemError("whatsapp_rejected", str(detail), extra={"message_id": reply.message_id, "meta": meta})
