"""The demonstration's two callers: one posts webhooks as Meta does, the other sends commands as a good client does.

Both repeat until they are answered: Meta until 200, the client with the same Idempotency-Key. Not here: what they send.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Sequence
from random import Random
from typing import Any, Final

import aiohttp
import msgspec

from services.devstack.demo_bodies import Json, Line, Person, person
from services.devstack.demo_traffic import Command, Post, lines_of, three_statuses_of
from services.runtime import clock
from services.runtime.http import Session
from services.simulator.identities import user_id

IN_FLIGHT: Final = 12  # of each caller: Meta posts concurrently
TIMEOUT_SECONDS: Final = 30.0  # above the API's own wait
FIRST_WAIT_SECONDS: Final = 0.2
LONGEST_WAIT_SECONDS: Final = 3.0
WAMID_WAIT_SECONDS: Final = 60.0
_OK: Final = 200
_SERVER_ERRORS: Final = 500
_TOO_MANY: Final = 429


class ImpatientError(Exception):
    """Ingress did not take something within the patience of a demonstration."""


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook as it went out; `body` is exactly what was signed. `tries` counts answers other than the last."""

    kind: str
    path: str
    app: str | None
    body: bytes
    right_signature: bool
    status: int
    expected: int
    tries: int


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    command: Command
    status: int
    answer: Json
    tries: int

    @property
    def message_id(self) -> str:
        """Our id; a refusal names it as message_id."""
        return str(self.answer.get("message_id") or self.answer.get("id") or "")


class Pace:
    """Waits between the tries of one thing, and when to give up (monotonic seconds)."""

    def __init__(self, patience_seconds: float, dice: Random) -> None:
        self._end = clock.monotonic() + patience_seconds
        self._wait = FIRST_WAIT_SECONDS
        self._dice = dice

    async def rest(self, what: str, because: str) -> None:
        """Raises ImpatientError when the patience is at its end."""
        if clock.monotonic() >= self._end:
            raise ImpatientError(f"{what} was not taken: {because}")
        await asyncio.sleep(self._wait * self._dice.uniform(0.5, 1.0))
        self._wait = min(self._wait * 2, LONGEST_WAIT_SECONDS)


def sign(secret: str, body: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Poster:
    """Posts webhooks concurrently. `posted` is what the reference model reads."""

    def __init__(self, demo: Json, session: Session, *, patience_seconds: float, seed: int) -> None:
        self._demo = demo
        self._session = session
        self._patience = patience_seconds
        self._dice = Random(seed)  # noqa: S311 - jitter
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self.posted: list[Posted] = []

    async def post_all(self, posts: Sequence[Post], ours: "asyncio.Queue[tuple[Command, str]]") -> None:
        async with asyncio.TaskGroup() as group:
            for post in posts:
                group.create_task(self._in_turn(post, ours))

    async def _in_turn(self, post: Post, ours: "asyncio.Queue[tuple[Command, str]]") -> None:
        if post.of_ours:
            post = await self._written(post, ours)
        async with self._slots:
            await self.post(post)

    async def _written(self, post: Post, ours: "asyncio.Queue[tuple[Command, str]]") -> Post:
        """Wait for a message that has got WhatsApp's id; without one the ids are nobody's."""
        line, user, wamid = (
            lines_of(self._demo)[0],
            person(self._dice, 0),
            f"wamid.nobody{self._dice.getrandbits(64):x}",
        )
        try:
            async with asyncio.timeout(WAMID_WAIT_SECONDS):
                command, wamid = await ours.get()
        except TimeoutError:
            pass
        else:
            line, user = _line_of(self._demo, command), _recipient(command)
        body = three_statuses_of(line, user, wamid, int(clock.now().timestamp()))
        return msgspec.structs.replace(post, body=body, app=line.app, signed_by=line.app)

    async def post(self, post: Post) -> Posted:
        """Post until the answer is the expected one, or 200 or 4xx: Meta never gives up on a 5xx."""
        path = "/webhook" if post.app is None else f"/webhook/{post.app}"
        headers = {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": sign(self._secret(post.signed_by), post.body),
        }
        pace, tries = Pace(self._patience, self._dice), 0
        while True:
            status, _ = await send(self._session, f"{self._demo['ingress']}{path}", post.body, headers)
            if status is not None and status < _SERVER_ERRORS:
                break
            tries += 1
            await pace.rest(f"a webhook ({post.kind})", f"last answer {status}")
        posted = Posted(kind=post.kind, path=path, app=post.app, body=post.body, status=status, expected=post.expected,
                        right_signature=post.signed_by == post.app, tries=tries)  # fmt: skip
        self.posted.append(posted)
        return posted

    def _secret(self, app: str | None) -> str:
        if app is None:
            return str(self._demo["app_secret"])
        return next(str(t["app"]["secret"]) for t in self._demo["tenants"] if t["app"] and t["app"]["id"] == app)


class Client:
    """Sends commands concurrently with each tenant's agent token. `ours` gets every command that was sent."""

    def __init__(self, demo: Json, session: Session, *, patience_seconds: float, seed: int) -> None:
        self._demo = demo
        self._session = session
        self._patience = patience_seconds
        self._dice = Random(seed)  # noqa: S311 - jitter
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._tokens = {tenant["company_id"]: tenant["agent_token"] for tenant in demo["tenants"]}
        self.answered: list[Answered] = []
        self.ours: asyncio.Queue[tuple[Command, str]] = asyncio.Queue()

    async def send_all(self, commands: Sequence[Command]) -> None:
        async with asyncio.TaskGroup() as group:
            for command in commands:
                group.create_task(self._in_turn(command))

    async def _in_turn(self, command: Command) -> None:
        async with self._slots:
            answered = await self.send(command)
        wamid = answered.answer.get("whatsapp_message_id")
        if wamid:
            self.ours.put_nowait((command, wamid))

    async def send(self, command: Command) -> Answered:
        """Repeat with the same key on no answer, 429 and 5xx: whatever happened, it is one message."""
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._tokens[command.company_id]}",
            "Idempotency-Key": command.key,
        }
        body, pace, tries = msgspec.json.encode(command.body), Pace(self._patience, self._dice), 0
        while True:
            status, text = await send(self._session, f"{self._demo['ingress']}/api/messages", body, headers)
            if status is not None and status < _SERVER_ERRORS and status != _TOO_MANY:
                break
            tries += 1
            await pace.rest(f"the command {command.key}", f"last answer {status}")
        answered = Answered(command=command, status=status, answer=_object(text), tries=tries)
        self.answered.append(answered)
        return answered


async def send(session: Session, url: str, body: bytes, headers: dict[str, str]) -> tuple[int | None, bytes]:
    """One POST; status None: no answer came."""
    try:
        async with session.post(url, data=body, headers=headers) as response:
            return response.status, await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None, b""


def _object(text: bytes) -> Json:
    try:
        found: Any = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {"raw": text.decode(errors="replace")[:500]}
    return found if isinstance(found, dict) else {"raw": found}


def _line_of(demo: Json, command: Command) -> Line:
    return next(line for line in lines_of(demo) if line.account_id == command.body["account_id"])


def _recipient(command: Command) -> Person:
    """Whom a command went to, as a status names him."""
    phone = str(command.body.get("phone_number", "")).removeprefix("+")
    return Person(phone, str(command.body.get("recipient") or user_id(phone)), "")
