"""The Cloud API client against a real socket, on both event loops: outcomes by evidence, the lease before the write.

Not here: what codes mean (unit tests of errors.py).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import aiohttp
import pytest
import uvloop
from aiohttp.http_writer import StreamWriter

from services.domain.ids import MessageIds
from services.domain.message import Recipient, SendCommand
from services.providers.cloud.client import CloudClient, LeasedRequest
from services.providers.contract import NotSent, Refused, SendingNumber, Sent, Unknown
from services.runtime import http
from tests.contract.peer import Peer, answer

MESSAGE_ID = MessageIds(b"k" * 32).issue(7, 42)
ORIGIN = SendingNumber("106540352242922", "EAAtoken")
COMMAND = SendCommand(
    message_id=MESSAGE_ID, tenant=1, account_id="acc_1", to=Recipient(phone="+593987654321"), type="text",
    content="Hola", body_sha256="", accepted_at=datetime(2026, 11, 24, tzinfo=UTC),
)  # fmt: skip
ACCEPTED = answer(200, {"messaging_product": "whatsapp", "contacts": [{"input": "+593987654321", "wa_id":
                        "593987654321"}], "messages": [{"id": "wamid.1"}]})  # fmt: skip
BY_ID = answer(200, {"contacts": [{"input": "EC.1", "user_id": "EC.1"}],
                     "messages": [{"id": "wamid.2", "message_status": "held_for_quality_assessment"}]})  # fmt: skip
SENT = Sent("wamid.1", "593987654321")
FAR = 1e12
Scenario = Callable[[Peer, CloudClient], Awaitable[None]]


class Readings:
    """A clock that gives the written readings one after the other, and the last one for ever."""

    def __init__(self, *readings: float) -> None:
        self.left = list(readings)
        self.taken = 0

    def __call__(self) -> float:
        self.taken += 1
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    """Run a scenario with a peer and a client on a fresh loop of each kind."""

    def runner(scenario: Scenario, *answers: object, timeout_seconds=5.0, monotonic=lambda: 0.0):
        async def whole() -> None:
            async with Peer(answers) as peer:
                session = http.session(timeout_seconds=timeout_seconds, limit=8, request_class=LeasedRequest)
                client = CloudClient(session, base_url=peer.url, version="v25.0", monotonic=monotonic)
                try:
                    await scenario(peer, client)
                finally:
                    await client.close()

        with asyncio.Runner(loop_factory=request.param) as loop:
            loop.run(whole())

    return runner


async def send(client, *, lease_ends=FAR, **more):
    return await client.send(COMMAND, origin=ORIGIN, attempt=2, lease_ends=lease_ends, **more)


def test_a_call_is_written_as_meta_wants_it(run):
    async def scenario(peer, client):
        assert await send(client) == SENT
        (request,) = peer.requests
        assert request.line == "POST /v25.0/106540352242922/messages HTTP/1.1"
        assert request.headers["authorization"] == "Bearer EAAtoken"
        assert request.headers["content-type"] == "application/json"
        assert request.headers["accept-encoding"] == "identity"
        body = json.loads(request.body)
        assert (body["to"], body["text"]["body"]) == ("+593987654321", "Hola")
        assert body["biz_opaque_callback_data"] == f"r1.{MESSAGE_ID}.2"

    run(scenario, ACCEPTED)


def test_one_connection_carries_one_call_after_the_other(run):
    async def scenario(peer, client):
        assert [await send(client) for _ in range(3)] == [SENT] * 3
        assert (peer.connections, len(peer.requests)) == (1, 3)

    run(scenario, ACCEPTED, ACCEPTED, ACCEPTED)


REFUSAL = {"error": {"message": "(#131047)", "code": 131047, "error_data": {"details": "Window"}}}
THROTTLE = {"error": {"message": "(#130429)", "code": 130429}}
CUT = b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"messages":[{"id":"wamid.9"'
OUTCOMES = [
    ("a wamid", ACCEPTED, SENT),
    ("a wamid, sent to a BSUID and held", BY_ID, Sent("wamid.2", None, "EC.1", "held_for_quality_assessment")),
    ("a wamid and odd contacts", answer(200, {"contacts": [5], "messages": [{"id": "wamid.3"}]}), Sent("wamid.3")),
    ("2xx that is no JSON", answer(200, b"<html>ok</html>"), Unknown("answer_unreadable")),
    ("2xx without a message", answer(200, {"success": True}), Unknown("answer_unreadable")),
    ("2xx with an empty wamid", answer(200, {"messages": [{"id": ""}]}), Unknown("answer_unreadable")),
    ("2xx nested without end", answer(200, b"[" * 5000), Unknown("answer_unreadable")),
    ("204 without a body", answer(204, b""), Unknown("answer_unreadable")),
    ("5xx without a code", answer(500, b"oops"), Unknown("http_500")),
    ("a redirect", b"HTTP/1.1 307 X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", Unknown("http_307")),
    ("garbage instead of HTTP", b"\x00\x01garbage\r\n\r\n", Unknown("answer_unreadable")),
    ("an answer cut short", (CUT, "close"), Unknown("answer_unreadable")),
    ("closed without an answer", "close", Unknown("connection_lost")),
    ("reset without an answer", "reset", Unknown("connection_lost")),
]


@pytest.mark.parametrize(("scripted", "outcome"), [row[1:] for row in OUTCOMES], ids=[row[0] for row in OUTCOMES])
def test_an_answer_has_one_outcome_and_one_call(run, scripted, outcome):
    async def scenario(peer, client):
        assert await send(client) == outcome
        assert len(peer.requests) == 1

    run(scenario, scripted, ACCEPTED)


def test_no_answer_in_time_is_unknown(run):
    async def scenario(peer, client):
        assert await send(client) == Unknown("timeout")
        assert len(peer.requests) == 1

    run(scenario, "hang", timeout_seconds=0.2)


def test_a_refusal_and_a_throttle_come_through_the_error_table(run):
    async def scenario(peer, client):
        refused = await send(client)
        assert isinstance(refused, Refused)
        assert (refused.code, refused.meta["code"]) == ("window_closed", 131047)
        assert await send(client) == NotSent(reason="throttled", retry_after_seconds=7.0, meta={"code": 130429})

    run(scenario, answer(400, REFUSAL), answer(429, THROTTLE, "Retry-After: 7\r\n"))


def test_nobody_listening_is_known_not_sent(run):
    async def scenario(peer, client):
        await peer.stop()
        assert await send(client) == NotSent(reason="connect_failed")

    run(scenario)


def test_a_time_that_ran_out_before_the_connection_is_known_not_sent(run, monkeypatch):
    """The total time covers the wait for a slot, the name, the handshakes: with none of them done nothing left."""

    async def for_ever(self, *args, **kwargs):
        await asyncio.Event().wait()

    async def scenario(peer, client):
        monkeypatch.setattr(aiohttp.TCPConnector, "connect", for_ever)
        assert await send(client) == NotSent(reason="connect_timeout")
        assert peer.connections == 0

    run(scenario, timeout_seconds=0.2)


def test_a_connection_that_died_while_idle_is_known_not_sent(run, monkeypatch):
    """The peer's close is noticed after the connection was taken and before the write: nothing left."""

    async def scenario(peer, client):
        assert await send(client) == SENT
        taken = LeasedRequest.send

        async def closed_meanwhile(self, conn):
            conn.transport.close()
            return await taken(self, conn)

        monkeypatch.setattr(LeasedRequest, "send", closed_meanwhile)
        assert await send(client) == NotSent(reason="connection_closed")
        assert len(peer.requests) == 1

    run(scenario, ACCEPTED, ACCEPTED)


class TestLease:
    """Past the lease nothing leaves; before it, everything does."""

    def test_over_when_the_connection_is_there_gives_the_connection_back_unused(self, run, monkeypatch):
        """Connecting takes until the lease is over, as a full pool or a slow handshake would make it."""
        clock = Readings(0.0)
        connect = aiohttp.TCPConnector.connect

        async def slowly(self, *args, **kwargs):
            connection = await connect(self, *args, **kwargs)
            await asyncio.sleep(0)
            clock.left = [46.0]
            return connection

        async def scenario(peer, client):
            monkeypatch.setattr(aiohttp.TCPConnector, "connect", slowly)
            assert await send(client, lease_ends=45.0) == NotSent(reason="lease_over")
            monkeypatch.setattr(aiohttp.TCPConnector, "connect", connect)
            clock.left = [0.0]
            assert await send(client, lease_ends=45.0) == SENT
            assert (peer.connections, len(peer.requests)) == (1, 1)  # the second call used the first one's connection

        run(scenario, ACCEPTED, monotonic=clock)

    def test_over_between_connection_and_write_sends_nothing(self, run):
        """The loop may be held up between the two: the second look is in the step of the write itself."""
        clock = Readings(44.9, 45.0)

        async def scenario(peer, client):
            assert await send(client, lease_ends=45.0) == NotSent(reason="lease_over")
            await peer.ended.wait()
            assert (peer.connections, peer.received, peer.requests) == (1, b"", [])

        run(scenario, ACCEPTED, monotonic=clock)

    def test_over_after_the_write_changes_nothing(self, run):
        clock = Readings(44.8, 44.9, 99.0)

        async def scenario(peer, client):
            assert await send(client, lease_ends=45.0) == SENT

        run(scenario, ACCEPTED, monotonic=clock)
        assert clock.taken == 2

    def test_is_looked_at_in_the_event_loop_step_of_the_first_write(self, run, monkeypatch):
        """Counts the loop's passes: an aiohttp that waited between our look and its write would show here."""
        passes = 0
        looks: list[int] = []
        writes: list[int] = []

        def look() -> float:
            looks.append(passes)
            return 0.0

        def write(self, chunks, *, of=StreamWriter._writelines):
            writes.append(passes)
            of(self, chunks)

        monkeypatch.setattr(StreamWriter, "_writelines", write)

        async def scenario(peer, client):
            loop = asyncio.get_running_loop()

            def count() -> None:
                nonlocal passes
                passes += 1
                loop.call_soon(count)

            count()
            assert await send(client) == SENT
            assert len(writes) == 1
            assert looks[-1] == writes[0]

        run(scenario, ACCEPTED, monotonic=look)


def test_a_token_is_in_no_representation():
    assert "EAAtoken" not in repr(ORIGIN)
    assert "EAAtoken" not in f"{ORIGIN}"
