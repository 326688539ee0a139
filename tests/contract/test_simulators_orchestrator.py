"""The orchestrator simulator over real HTTP, and both simulators as commands."""

import asyncio
import base64
import json
import signal
import sys
from datetime import timedelta

import aiohttp
import pytest
from standardwebhooks import Webhook

from services.runtime import clock, http
from services.simulator.orchestrator import orchestrator_simulator

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
EVENT = json.dumps({"event_id": "0b6c", "event_type": "message_received", "data": {"content": "señora"}})


class Line:
    """A client of one simulator."""

    def __init__(self, session, url):
        self.session = session
        self.url = url

    async def post(self, path, body=None, headers=None, **options):
        data = body if isinstance(body, str) else json.dumps(body)
        async with self.session.post(self.url + path, data=data.encode(), headers=headers, **options) as response:
            return response.status, json.loads(await response.read())

    async def get(self, path):
        async with self.session.get(self.url + path) as response:
            return json.loads(await response.read())

    async def push(self, path="/t1", secret=SECRET, at=None, body=EVENT, **options):
        moment = at or clock.now()
        headers = {
            "webhook-id": "evt_1",
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": Webhook(secret).sign("evt_1", moment, body),
        }
        return await self.post(path, body, headers, **options)


@pytest.fixture
async def session():
    async with http.session(timeout_seconds=20, limit=20) as made:
        yield made


@pytest.fixture
async def orchestrator(session):
    async with orchestrator_simulator() as url:
        line = Line(session, url)
        await line.post("/control/endpoints", {"path": "/t1", "secret": SECRET})
        yield line


PUSHES = {
    "rightly signed": ({}, 200),
    "at a path with a slash behind it": ({"path": "/t1/"}, 200),
    "signed with another secret": ({"secret": "whsec_" + base64.b64encode(b"y" * 32).decode()}, 401),
    "signed ten minutes ago": ({"at": clock.now() - timedelta(minutes=10)}, 401),
    "at an endpoint without a secret": ({"path": "/"}, 200),
}


@pytest.mark.parametrize(("push", "status"), PUSHES.values(), ids=PUSHES.keys())
async def test_pushes_are_checked_answered_and_recorded(orchestrator, push, status):
    answered, answer = await orchestrator.push(**push)
    assert (answered, answer) == (status, {"status": "processed"} if status == 200 else {"error": "signature_invalid"})
    (item,) = (await orchestrator.get("/control/received"))["items"]
    assert (item["body"], item["answer"]["status"], item["headers"]["webhook-id"]) == (EVENT, status, "evt_1")


async def test_an_unsigned_push_to_a_signed_endpoint_is_refused(orchestrator):
    assert (await orchestrator.post("/t1", EVENT))[0] == 401


async def test_a_changed_secret_counts_at_once(orchestrator):
    other = "whsec_" + base64.b64encode(b"z" * 32).decode()
    await orchestrator.post("/control/endpoints", {"path": "/t1", "secret": other})
    assert (await orchestrator.push())[0] == 401
    assert (await orchestrator.push(secret=other))[0] == 200


async def test_an_endpoint_without_a_secret_is_refused(orchestrator):
    assert (await orchestrator.post("/control/endpoints", {"path": "/t1"}))[0] == 400


async def test_one_endpoint_may_hang_while_others_answer(orchestrator):
    fault = {"match": {"path": "/t1"}, "action": {"kind": "hang"}}
    await orchestrator.post("/control/faults", fault)
    with pytest.raises(TimeoutError):
        await orchestrator.push(timeout=aiohttp.ClientTimeout(total=0.1))
    assert (await orchestrator.push(path="/t2"))[0] == 200


async def test_a_push_that_is_reset_after_the_work_counts(orchestrator):
    await orchestrator.post("/control/faults", {"action": {"kind": "reset_after"}, "times": 1})
    with pytest.raises(aiohttp.ClientConnectionError):
        await orchestrator.push()
    (item,) = (await orchestrator.get("/control/received"))["items"]
    assert (item["answer"]["status"], item["fault"]) == (200, "reset_after")


async def test_state_counts_good_and_bad_signatures(orchestrator):
    await orchestrator.push()
    await orchestrator.post("/t1", EVENT)
    state = await orchestrator.get("/control/state")
    assert state["signatures"] == {"valid": 1, "invalid": 1}
    assert state["endpoints"] == ["/t1"]


async def test_a_simulator_that_stops_cuts_the_lines_it_holds(session):
    async with orchestrator_simulator() as url:
        line = Line(session, url)
        await line.post("/control/faults", {"action": {"kind": "hang"}})
        held = asyncio.create_task(line.push())
        while True:
            items = (await line.get("/control/received"))["items"]
            if items:
                break
            await asyncio.sleep(0.01)
    with pytest.raises(aiohttp.ClientConnectionError):
        await held
    assert [(item["fault"], item["answer"]["status"]) for item in items] == [("hang", None)]


# --- as commands


@pytest.fixture
async def command():
    """Start a simulator as a user does; its log tells where it listens."""
    started = []

    async def start(*arguments):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.simulator", *arguments, "--port", "0",
            stderr=asyncio.subprocess.PIPE, env={"RECADO_LOG_FORMAT": "json"},
        )  # fmt: skip
        started.append(process)
        assert process.stderr is not None
        line = json.loads(await process.stderr.readline())
        assert line["event"] == "simulator_started", line
        return process, line["url"]

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("kind", ["graph", "orchestrator"])
async def test_a_simulator_starts_and_stops_as_a_command(command, session, kind):
    process, url = await command(kind)
    assert await Line(session, url).get("/health") == {"status": "ok", "checks": {}}
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_numbers_are_read_from_a_file(command, session, tmp_path):
    config = tmp_path / "numbers.json"
    config.write_text(json.dumps([{"phone_number_id": "1001", "token": "EAA1", "app_secret": "s"}]))
    _, url = await command("graph", "--webhook-url", "http://127.0.0.1:1/webhook", "--config", str(config))
    (number,) = (await Line(session, url).get("/control/state"))["numbers"]
    assert (number["phone_number_id"], number["webhook_url"]) == ("1001", "http://127.0.0.1:1/webhook")


@pytest.mark.parametrize("kind", ["reset_before", "reset_after"])
async def test_a_reset_is_a_tcp_reset_not_an_end(command, session, kind):
    """On the loop of the command (uvloop), seen by a bare socket: an orderly end would be read as b''."""
    _, url = await command("orchestrator")
    await Line(session, url).post("/control/faults", {"action": {"kind": kind}, "times": 1})
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
    writer.write(b"POST /t1 HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
    with pytest.raises(ConnectionResetError):
        await reader.read(1)
    writer.close()
