"""The Graph simulator over real HTTP: what a sender sees, what is recorded, what is posted back."""

import asyncio
import hashlib
import hmac
import json
from typing import Any

import aiohttp
import pytest

from services.runtime import http
from services.simulator.graph import graph_simulator
from services.simulator.numbers import Number
from services.simulator.orchestrator import orchestrator_simulator

PHONE = "593987654321"
TOKEN = "EAA1"
HOUSE = Number("1001", "+59322222222", "9001", token=TOKEN, app_secret="house secret")
SECOND = Number("1002", "+59322222223", "9001", token="EAA2", app_secret="house secret")
TEXT = {"messaging_product": "whatsapp", "to": "+593987654321", "type": "text", "text": {"body": "Hola"}}


class Line:
    """A client of one simulator."""

    def __init__(self, session, url):
        self.session = session
        self.url = url

    async def call(self, method, path, body=None, token=TOKEN, **options):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.request(method, self.url + path, data=data, headers=headers, **options) as response:
            raw = await response.read()
            return response.status, raw

    async def json(self, method, path, body=None, **options):
        status, raw = await self.call(method, path, body, **options)
        return status, json.loads(raw)

    async def send(self, body=TEXT, path="/v25.0/1001/messages", **options):
        return await self.json("POST", path, body, **options)

    async def control(self, method, name, body=None):
        status, answer = await self.json(method, f"/control/{name}", body)
        assert status == 200, answer
        return answer

    async def received(self, query=""):
        return (await self.control("GET", f"received{query}"))["items"]

    async def fault(self, kind, **more):
        action = {"kind": kind, **more.pop("action", {})}
        return await self.control("POST", "faults", {"action": action, "times": 1, **more})


@pytest.fixture
async def session():
    async with http.session(timeout_seconds=20, limit=50) as made:
        yield made


@pytest.fixture
async def hooks(session):
    """Where webhooks go: the orchestrator simulator takes and records anything."""
    async with orchestrator_simulator() as url:
        yield Line(session, url)


@pytest.fixture
async def graph(session, hooks):
    async with graph_simulator(webhook_url=f"{hooks.url}/webhook", numbers=[HOUSE, SECOND]) as url:
        yield Line(session, url)


async def settled(graph):
    """Wait until every status has been answered with 200."""
    async with asyncio.timeout(20):
        while True:
            state = await graph.control("GET", "state")
            if not state["statuses"]["pending"]:
                return state
            await asyncio.sleep(0.02)


def statuses_of(item):
    changes = [change for entry in json.loads(item["body"])["entry"] for change in entry["changes"]]
    return [status for change in changes for status in change["value"]["statuses"]]


async def names(hooks):
    return [status["status"] for item in await hooks.received() for status in statuses_of(item)]


# --- sending


async def test_a_text_is_answered_as_meta_answers_it(graph):
    status, answer = await graph.send()
    wamid = answer["messages"][0]["id"]
    assert status == 200
    assert wamid.startswith("wamid.HBgM")
    assert answer == {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+593987654321", "wa_id": PHONE}],
        "messages": [{"id": wamid}],
    }


async def test_a_user_without_a_phone_is_answered_with_user_id(graph):
    body = {"messaging_product": "whatsapp", "recipient": "EC.1349", "type": "text", "text": {"body": "Hola"}}
    assert (await graph.send(body))[1]["contacts"] == [{"input": "EC.1349", "user_id": "EC.1349"}]


async def test_a_template_is_answered_with_its_message_status(graph):
    body = TEXT | {"type": "template", "template": {"name": "welcome", "language": {"code": "es"}}}
    assert (await graph.send(body))[1]["messages"][0]["message_status"] == "accepted"


async def test_marking_as_read_succeeds(graph):
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.HBg"}
    assert await graph.send(body) == (200, {"success": True})


PATHS = ["/v25.0/1001/messages", "/v25.0/1001/messages/", "/v17.0/1001/messages", "/1001/messages"]


@pytest.mark.parametrize("path", PATHS)
async def test_every_form_of_the_path_works(graph, path):
    assert (await graph.send(path=path))[0] == 200


REFUSED = {
    "no token": ({"token": ""}, 401, 104, None),
    "an unknown token": ({"token": "EAA9"}, 401, 190, None),
    "another number's token": ({"token": "EAA2"}, 400, 100, 33),
    "an unknown number": ({"path": "/v25.0/77/messages"}, 400, 100, 33),
    "an unknown path": ({"path": "/v25.0/1001/massages"}, 400, 2500, None),
    "a body that is no JSON": ({"body": b"{"}, 400, 100, None),
    "an empty body": ({"body": b""}, 400, 100, None),
    "a missing parameter": ({"body": TEXT | {"text": {}}}, 400, 131008, None),
}


@pytest.mark.parametrize(("call", "status", "code", "subcode"), REFUSED.values(), ids=REFUSED.keys())
async def test_refusals_have_metas_shape(graph, call, status, code, subcode):
    answered, answer = await graph.send(**call)
    error = answer["error"]
    assert (answered, error["code"], error.get("error_subcode"), error["type"]) == (
        status,
        code,
        subcode,
        "OAuthException",
    )
    assert error["error_data"]["messaging_product"] == "whatsapp"
    assert error["error_data"]["details"]
    assert error["message"]
    assert error["fbtrace_id"]


async def test_without_any_registered_number_every_number_and_token_is_good(session):
    async with graph_simulator() as url:
        assert (await Line(session, url).send(path="/v25.0/424242/messages", token="whatever"))[0] == 200


async def test_a_number_can_be_registered_while_it_runs(graph):
    number = {"phone_number_id": "2001", "display_phone_number": "+1", "waba_id": "9", "token": "T", "app_secret": "s"}
    await graph.control("POST", "numbers", number)
    assert (await graph.send(path="/v25.0/2001/messages", token="T"))[0] == 200


async def test_an_account_check_reads_the_number(graph):
    path = "/v25.0/1001?fields=id,display_phone_number,verified_name,quality_rating"
    status, answer = await graph.json("GET", path)
    assert status == 200
    assert answer == {
        "id": "1001",
        "display_phone_number": "+59322222222",
        "verified_name": "Business 1001",
        "quality_rating": "GREEN",
    }


# --- the record


async def test_what_was_received_can_be_read_in_order(graph):
    await graph.send()
    await graph.send(TEXT | {"text": {"body": "Adiós"}})
    await graph.send(token="EAA9")
    items = await graph.received()
    assert [(item["n"], item["method"], item["path"], item["answer"]["status"]) for item in items] == [
        (1, "POST", "/v25.0/1001/messages", 200),
        (2, "POST", "/v25.0/1001/messages", 200),
        (3, "POST", "/v25.0/1001/messages", 401),
    ]
    assert items[0]["headers"]["authorization"] == "Bearer EAA1"
    assert json.loads(items[0]["body"]) == TEXT
    assert json.loads(items[0]["answer"]["body"])["messages"]
    assert [item["n"] for item in await graph.received("?after=1")] == [2, 3]
    assert [item["n"] for item in await graph.received("?match=Adi")] == [2]


async def test_control_calls_and_health_are_not_recorded(graph):
    assert await graph.json("GET", "/health") == (200, {"status": "ok", "checks": {}})
    await graph.control("GET", "state")
    assert await graph.received() == []


async def test_reset_forgets_calls_and_faults_but_no_number(graph):
    await graph.send()
    await graph.fault("hang")
    await graph.control("POST", "reset")
    state = await graph.control("GET", "state")
    assert (state["received"]["kept"], state["faults"], state["accepted"]) == (0, [], 0)
    assert [number["phone_number_id"] for number in state["numbers"]] == ["1001", "1002"]
    assert (await graph.send())[0] == 200


NONSENSE: dict[str, tuple[Any, ...]] = {
    "an unknown control call": ("GET", "weather", None, 404),
    "a fault without an action": ("POST", "faults", {}, 400),
    "a script that is no object": ("POST", "statuses", [], 400),
    "no JSON": ("POST", "statuses", b"{", 400),
    "a number without an id": ("POST", "numbers", {"token": "x"}, 400),
    "inbound for nobody": ("POST", "inbound", {"text": "x"}, 400),
    "a place that is no number": ("GET", "received?after=x", None, 400),
}


@pytest.mark.parametrize(("method", "name", "body", "status"), NONSENSE.values(), ids=NONSENSE.keys())
async def test_nonsense_in_the_control_api_is_refused_with_a_reason(graph, method, name, body, status):
    answered, answer = await graph.json(method, f"/control/{name}", body)
    assert answered == status
    assert answer["error"]


# --- statuses


async def test_sent_delivered_and_read_follow_signed_with_callback_and_pricing(graph, hooks):
    await graph.control("POST", "statuses", {"delay_ms": [1, 5]})
    wamid = (await graph.send(TEXT | {"biz_opaque_callback_data": "r1.msg_1.1"}))[1]["messages"][0]["id"]
    await settled(graph)
    items = await hooks.received()
    assert sorted(await names(hooks)) == ["delivered", "read", "sent"]
    for item in items:
        signature = hmac.new(b"house secret", item["body"].encode(), hashlib.sha256).hexdigest()
        assert item["path"] == "/webhook"
        assert item["headers"]["x-hub-signature-256"] == f"sha256={signature}"
        body = json.loads(item["body"])
        assert body["entry"][0]["id"] == "9001"
        assert body["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] == "1001"
        (status,) = statuses_of(item)
        assert (status["id"], status["recipient_id"]) == (wamid, PHONE)
        assert status["biz_opaque_callback_data"] == "r1.msg_1.1"
        assert ("pricing" in status) is (status["status"] != "read")


async def test_a_number_with_its_own_app_gets_its_own_signature_at_its_own_url(graph, hooks):
    own = {"phone_number_id": "3001", "waba_id": "9003", "app_secret": "own", "webhook_url": f"{hooks.url}/webhook/x"}
    await graph.control("POST", "numbers", own)
    await graph.control("POST", "statuses", {"sequence": ["sent"], "delay_ms": [0, 0]})
    await graph.send(path="/v25.0/3001/messages")
    await settled(graph)
    (item,) = await hooks.received()
    signature = hmac.new(b"own", item["body"].encode(), hashlib.sha256).hexdigest()
    assert (item["path"], item["headers"]["x-hub-signature-256"]) == ("/webhook/x", f"sha256={signature}")


async def test_a_batch_carries_the_statuses_of_several_messages_and_numbers(graph, hooks):
    await graph.control("POST", "statuses", {"sequence": ["sent", "delivered"], "delay_ms": [0, 0], "batch": 4})
    await graph.send()
    await graph.send(path="/v25.0/1002/messages", token="EAA2")
    await settled(graph)
    bodies = [json.loads(item["body"]) for item in await hooks.received()]
    ids = {change["value"]["metadata"]["phone_number_id"] for body in bodies for change in body["entry"][0]["changes"]}
    assert len(bodies) < 4
    assert ids == {"1001", "1002"}
    assert sorted(await names(hooks)) == ["delivered", "delivered", "sent", "sent"]


async def test_a_duplicate_is_the_same_status_again(graph, hooks):
    await graph.control("POST", "statuses", {"sequence": ["sent"], "delay_ms": [0, 5], "duplicate": 1.0})
    await graph.send()
    await settled(graph)
    first, second = await hooks.received()
    assert first["body"] == second["body"]


async def test_with_before_answer_the_first_status_overtakes_our_own_answer(graph, hooks):
    await graph.control("POST", "statuses", {"sequence": ["sent", "read"], "delay_ms": [0, 0], "before_answer": 1.0})
    await graph.send()
    assert "sent" in await names(hooks)
    await settled(graph)
    assert sorted(await names(hooks)) == ["read", "sent"]


async def test_a_webhook_is_posted_again_until_it_is_answered_with_200(graph, hooks):
    await hooks.fault("status", action={"status": 503}, times=1)
    await hooks.fault("status", action={"status": 202}, times=1)
    await graph.control("POST", "statuses", {"sequence": ["sent"], "delay_ms": [0, 0]})
    await graph.send()
    state = await settled(graph)
    items = await hooks.received()
    assert [item["answer"]["status"] for item in items] == [503, 202, 200]
    assert len({item["body"] for item in items}) == 1
    assert state["webhooks"]["answers"] == {"503": 1, "202": 1, "200": 1}


async def test_an_empty_sequence_posts_nothing(graph, hooks):
    await graph.control("POST", "statuses", {"sequence": []})
    await graph.send()
    await settled(graph)
    assert await hooks.received() == []


async def test_reset_drops_the_statuses_on_their_way(graph, hooks):
    await graph.control("POST", "statuses", {"delay_ms": [60_000, 60_000]})
    await graph.send()
    assert (await graph.control("GET", "state"))["statuses"]["pending"] == 3
    await graph.control("POST", "reset")
    assert (await graph.control("GET", "state"))["statuses"]["pending"] == 0


async def test_a_simulator_that_stops_posts_no_more(session, hooks, caplog):
    async with graph_simulator(webhook_url=hooks.url, numbers=[HOUSE]) as url:
        line = Line(session, url)
        await line.control("POST", "statuses", {"delay_ms": [50, 50], "sequence": ["sent"]})
        await line.send()
    await asyncio.sleep(0.1)
    assert await hooks.received() == []
    assert caplog.records == []


# --- a user writes


async def test_an_inbound_message_is_signed_posted_and_its_answer_told(graph, hooks):
    asked = {"phone_number_id": "1001", "from": PHONE, "type": "text", "text": {"body": "Hola"}}
    answer = await graph.control("POST", "inbound", asked)
    (item,) = await hooks.received()
    message = json.loads(item["body"])["entry"][0]["changes"][0]["value"]["messages"][0]
    signature = hmac.new(b"house secret", item["body"].encode(), hashlib.sha256).hexdigest()
    assert item["headers"]["x-hub-signature-256"] == f"sha256={signature}"
    assert answer == {"status": 200, "body": '{"status":"processed"}', "ids": [message["id"]]}
    assert (message["from"], message["text"]) == (PHONE, {"body": "Hola"})


async def test_an_inbound_message_that_is_refused_says_so(graph, hooks):
    await hooks.fault("status", action={"status": 401, "body": {"code": "signature_invalid"}})
    answer = await graph.control("POST", "inbound", {"phone_number_id": "1001", "from": PHONE, "text": "Hola"})
    assert (answer["status"], json.loads(answer["body"])) == (401, {"code": "signature_invalid"})


async def test_nobody_at_the_webhook_is_no_status(graph):
    asked = {"body": "{}", "app_secret": "s", "webhook_url": "http://127.0.0.1:1/webhook"}
    answer = await graph.control("POST", "inbound", asked)
    assert answer["status"] is None
    assert "Connect" in answer["body"]


async def test_with_retry_an_inbound_message_is_posted_until_it_is_taken(graph, hooks):
    await hooks.fault("status", action={"status": 503})
    asked = {"phone_number_id": "1001", "from": PHONE, "text": "Hola", "retry": True}
    assert (await graph.control("POST", "inbound", asked))["status"] == 503
    await settled(graph)
    assert [item["answer"]["status"] for item in await hooks.received()] == [503, 200]


# --- faults


async def test_status_answers_what_is_scripted_and_does_no_work(graph):
    body = {"error": {"code": 130429, "message": "(#130429) Rate limit hit"}}
    await graph.fault("status", action={"status": 429, "body": body}, match={"path": "/messages"})
    assert await graph.send() == (429, body)
    assert (await graph.control("GET", "state"))["accepted"] == 0
    assert (await graph.send())[0] == 200


async def test_delay_does_the_work_late(graph):
    await graph.fault("delay", action={"seconds": 0.01})
    assert (await graph.send())[0] == 200
    assert [item["fault"] for item in await graph.received()] == ["delay"]


async def test_garbage_is_a_200_that_nobody_can_read(graph):
    await graph.fault("garbage")
    status, raw = await graph.call("POST", "/v25.0/1001/messages", TEXT)
    assert status == 200
    with pytest.raises(ValueError, match=r"."):
        json.loads(raw)


CUT_OFF = {
    # kind: what the caller sees, whether the call counts
    "reset_before": (aiohttp.ClientConnectionError, None),
    "reset_after": (aiohttp.ClientConnectionError, 200),
    "hang": (TimeoutError, None),
    "timeout_after": (TimeoutError, 200),
}


@pytest.mark.parametrize(("kind", "seen", "answered"), [(kind, *row) for kind, row in CUT_OFF.items()], ids=CUT_OFF)
async def test_after_kinds_do_the_work_and_the_caller_never_learns(graph, hooks, kind, seen, answered):
    await graph.control("POST", "statuses", {"sequence": ["sent"], "delay_ms": [0, 0]})
    await graph.fault(kind, match={"body_contains": "Hola"})
    with pytest.raises(seen):
        await graph.send(timeout=aiohttp.ClientTimeout(total=0.2))
    await settled(graph)
    (item,) = await graph.received()
    assert (item["fault"], item["answer"]["status"]) == (kind, answered)
    assert await names(hooks) == (["sent"] if answered else [])


@pytest.mark.parametrize("kind", ["hang", "timeout_after"])
async def test_a_held_line_is_cut_after_its_seconds(graph, kind):
    await graph.fault(kind, action={"seconds": 0.05})
    with pytest.raises(aiohttp.ClientConnectionError):
        await graph.send()


async def test_a_deleted_fault_strikes_no_more(graph):
    name = (await graph.fault("status", times=None))["id"]
    assert (await graph.send())[0] == 500
    assert await graph.control("DELETE", f"faults/{name}") == {"deleted": 1}
    assert (await graph.send())[0] == 200
    await graph.fault("status", times=None)
    assert await graph.control("DELETE", "faults") == {"deleted": 1}
    assert (await graph.send())[0] == 200
