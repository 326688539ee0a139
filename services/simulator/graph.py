"""The Graph API as far as a sender needs it, with statuses and inbound messages posted back. Bare ASGI: it is a bench's
other side.

Not here: Meta's rules (send_rules.py), its errors (meta_errors.py), what statuses say (statuses.py).
"""

import contextlib
import random
import re
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import msgspec
import orjson

from services.runtime import clock, http
from services.simulator.calls import Answer, Call, json_answer, json_object
from services.simulator.control import ControlledApp
from services.simulator.identities import digits, user_id, wamid
from services.simulator.inbound import read_inbound
from services.simulator.meta_errors import MetaError, invalid
from services.simulator.numbers import Number, Numbers, read_numbers
from services.simulator.outbox import IN_FLIGHT, POST_SECONDS, Outbox
from services.simulator.send_rules import MarkRead, Send, read_send
from services.simulator.serve import serving
from services.simulator.status_desk import StatusDesk
from services.simulator.statuses import Script, Sent

# A version may be missing (some SDKs call without), a trailing slash may be there
_PATH: Final = re.compile(r"(?:/v(\d{1,3})\.\d{1,2})?/(\d{1,36})(/messages)?/?")
_NEWEST_VERSION: Final = 25


class GraphApi:
    """Answers Graph calls; `answer` is the work of a ControlledApp, `routes` its own part of the control API."""

    def __init__(self, numbers: Numbers, outbox: Outbox) -> None:
        self._numbers = numbers
        self._outbox = outbox
        self._desk = StatusDesk(outbox, random.Random())  # noqa: S311 - chance of the script, no secret
        self._accepted = 0
        self.routes = {
            ("POST", "numbers"): self._register,
            ("POST", "statuses"): self._script,
            ("POST", "inbound"): self._inbound,
        }

    async def answer(self, call: Call) -> Answer:
        try:
            return await self._route(call)
        except MetaError as error:
            return error.answer()

    async def _route(self, call: Call) -> Answer:
        found = _PATH.fullmatch(call.path)
        if found is None:
            raise MetaError(2500, f"Unknown path components: {call.path}")
        version, phone_number_id, messages = found.groups()
        number = self._authorised(call, phone_number_id)
        if messages and call.method == "POST":
            return await self._send(call, number, int(version or _NEWEST_VERSION))
        if not messages and call.method == "GET":
            return _number_answer(call, number)
        raise _unsupported(phone_number_id)

    def _authorised(self, call: Call, phone_number_id: str) -> Number:
        scheme, _, token = call.header(b"authorization").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        if not token:
            raise MetaError(104, "Send the header Authorization: Bearer <token>", status=401)
        if not self._numbers.knows_token(token):
            raise MetaError(190, "The access token could not be decrypted", status=401)
        number = self._numbers.find(phone_number_id)
        if number is None or number.token not in {"", token}:
            raise _unsupported(phone_number_id)
        return number

    async def _send(self, call: Call, number: Number, version: int) -> Answer:
        try:
            body = orjson.loads(call.body)
        except orjson.JSONDecodeError as error:
            raise invalid("The request body is not valid JSON") from error
        send = read_send(body, digits(number.display_phone_number))
        if isinstance(send, MarkRead):
            return json_answer({"success": True})
        return await self._accept(send, number, version)

    async def _accept(self, send: Send, number: Number, version: int) -> Answer:
        to = send.recipient
        name = wamid(to.phone or to.user_id)
        self._accepted += 1
        await self._desk.follow(_sent(send, number, name, version))
        contact = {"input": to.given, "wa_id": to.phone} if to.phone else {"input": to.given, "user_id": to.user_id}
        message = {"id": name}
        if send.type == "template":
            message["message_status"] = "accepted"
        return json_answer({"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]})

    async def _register(self, call: Call) -> Answer:
        registered = read_numbers(call.body)
        for number in registered:
            self._numbers.register(number)
        return json_answer({"registered": [number.phone_number_id for number in registered]})

    async def _script(self, call: Call) -> Answer:
        self._desk.script = msgspec.json.decode(call.body, type=Script)
        return json_answer({"script": msgspec.to_builtins(self._desk.script)})

    async def _inbound(self, call: Call) -> Answer:
        inbound = read_inbound(json_object(call.body), self._numbers, clock.now().timestamp())
        reply = await self._outbox.post(inbound.app, inbound.body)
        if inbound.retry and reply.status != 200:  # noqa: PLR2004 - the only success Meta knows
            self._outbox.deliver(inbound.app, inbound.body)
        return json_answer({"status": reply.status, "body": reply.text, "ids": inbound.ids})

    def shown(self) -> dict[str, Any]:
        desk, posts = self._desk.shown(), self._outbox.shown()
        return {
            "accepted": self._accepted,
            "numbers": self._numbers.shown(),
            "statuses": desk | {"pending": desk["pending"] + posts.pop("pending")},
            "webhooks": posts,
        }

    def forget(self) -> None:
        self._desk.forget()
        self._outbox.forget()
        self._accepted = 0


def _sent(send: Send, number: Number, name: str, version: int) -> Sent:
    to = send.recipient
    user = to.user_id or user_id(to.phone)
    return Sent(number, name, to.phone, user, send.type, clock.now().timestamp(), version, send.callback)


def _unsupported(object_id: str) -> MetaError:
    return MetaError(
        100,
        f"Unsupported request. Object with ID '{object_id}' does not exist, cannot be loaded due to missing"
        " permissions, or does not support this operation.",
        subcode=33,
    )


def _number_answer(call: Call, number: Number) -> Answer:
    """What an account check reads; `id` always, other fields as asked."""
    whole = {
        "verified_name": f"Business {number.phone_number_id[-4:]}",
        "display_phone_number": number.display_phone_number,
        "quality_rating": "GREEN",
        "code_verification_status": "VERIFIED",
        "platform_type": "CLOUD_API",
        "status": "CONNECTED",
        "throughput": {"level": "STANDARD"},
    }
    asked = call.parameters().get("fields")
    fields = asked.split(",") if asked else ("verified_name", "display_phone_number", "quality_rating")
    return json_answer({field: whole[field] for field in fields if field in whole} | {"id": number.phone_number_id})


@contextlib.asynccontextmanager
async def graph_simulator(
    *, port: int = 0, webhook_url: str = "", numbers: Iterable[Number] = (),
) -> AsyncIterator[str]:  # fmt: skip
    """Serve a Graph API until the block ends; gives its base URL. Port 0 takes a free one."""
    known = Numbers(webhook_url)
    for number in numbers:
        known.register(number)
    async with http.session(timeout_seconds=POST_SECONDS, limit=IN_FLIGHT) as session:
        outbox = Outbox(session)
        api = GraphApi(known, outbox)
        app = ControlledApp(api.answer, api.routes, api.shown, api.forget)
        try:
            async with serving(app, port=port) as url:
                yield url
        finally:
            api.forget()  # statuses whose time has not come
            await outbox.close()
