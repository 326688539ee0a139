"""GET /api/deadletters: an admin sees what was set aside of his own company, and nothing private of it."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from services.domain.ids import RecordName
from services.runtime.clock import new_uuid7
from services.streams.batch import Dead
from services.streams.codec import Record, headers
from services.streams.deadletter import dead_letter
from services.streams.producer import Producer
from services.streams.topics import TopicName

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ADMIN = "admin-of-api_a"
TEXT = "Tu pedido salió"


@pytest.fixture(scope="module")
async def letters(edge):
    """Three letters of api_a, one of api_b, and a quarantined webhook that is nobody's."""
    rows = [
        ("sender", "bug", "api_a", 0), ("sender", "unreadable", "api_a", 1), ("notifier", "undeliverable", "api_a", 2),
        ("sender", "bug", "api_b", 3), ("normaliser", "unknown_number", None, 4),
    ]  # fmt: skip
    producer = Producer(edge.settings, edge.topics)
    await producer.start()
    await producer.produce([set_aside(edge, *row) for row in rows])
    await producer.stop()


def set_aside(edge, room, reason, company, minutes):
    name, tenant = RecordName(new_uuid7(), 0), edge.tenants.get(company or "")
    extra = {"tenant": tenant} if tenant else {}
    value = f'{{"account_id":"acc_1","message_id":"msg_{minutes}","content":"{TEXT}"}}'.encode()
    record = Record(TopicName.SEND_NORMAL, 0, minutes, "106|593987654321", value,
                    dict(headers(name, "t", NOON, **extra)), 0, name)  # fmt: skip
    return dead_letter(Dead(record, reason, "why", tenant), room, NOON + timedelta(minutes=minutes))


async def listed(edge, query="", who=ADMIN):
    answer = await edge.get(f"/api/deadletters{query}", who)
    assert answer.status_code == 200, answer.text
    return [row["reason"] for row in answer.json()["data"]]


async def test_the_newest_come_first_and_only_the_company_s_own(edge, letters):
    assert await listed(edge) == ["undeliverable", "unreadable", "bug"]
    assert await listed(edge, who="admin-of-api_b") == ["bug"]


async def test_a_letter_says_what_it_is_about_and_nothing_private(edge, letters):
    answer = await edge.get("/api/deadletters?reason=bug", ADMIN)
    (row,) = answer.json()["data"]
    assert (row["company_id"], row["account_id"], row["message_id"], row["state"], row["at"]) == (
        "api_a", "acc_1", "msg_0", "waiting", "2026-11-24T12:00:00.000Z",
    )  # fmt: skip
    assert TEXT not in answer.text
    assert "593987654321" not in answer.text


@pytest.mark.parametrize(
    ("query", "reasons"),
    [
        ("?room=sender", ["unreadable", "bug"]),
        ("?reason=bug", ["bug"]),
        ("?tenant=api_a&room=notifier", ["undeliverable"]),
        ("?state=redriven", []),
        (f"?from={quote((NOON + timedelta(minutes=1)).isoformat())}", ["undeliverable", "unreadable"]),
        (f"?to={quote((NOON + timedelta(minutes=1)).isoformat())}", ["unreadable", "bug"]),
    ],
    ids=["room", "reason", "tenant", "state", "from", "to"],
)
async def test_a_filter_narrows_the_list(edge, letters, query, reasons):
    assert await listed(edge, query) == reasons


async def test_pages_join_into_the_whole(edge, letters):
    first = (await edge.get("/api/deadletters?limit=2", ADMIN)).json()
    second = (await edge.get(f"/api/deadletters?limit=2&cursor={first['next_cursor']}", ADMIN)).json()
    assert [row["reason"] for row in first["data"] + second["data"]] == ["undeliverable", "unreadable", "bug"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize("who", ["agent-of-api_a", "reader-of-api_a"])
async def test_who_is_no_admin_is_refused(edge, who):
    assert (await edge.get("/api/deadletters", who)).json()["code"] == "permission_denied"


@pytest.mark.parametrize("query", ["?tenant=api_b", "?room=kitchen", "?from=yesterday", "?colour=red", "?state=lost"])
async def test_what_cannot_be_asked_is_refused(edge, query):
    assert (await edge.get(f"/api/deadletters{query}", ADMIN)).status_code == 422
