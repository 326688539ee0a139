"""What the API shows of messages and conversations, from rows as the stream rooms write them."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from dirty_equals import IsPartialDict
from psycopg.types.json import Jsonb

from services.domain.ids import derived_id
from services.runtime.clock import new_uuid7

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PHONE = "+593987654321"


def at(minutes):
    return NOON + timedelta(minutes=minutes)


@pytest.fixture
async def account(edge):
    return await edge.account()


def conversation(edge, account, name, *, last=NOON, company="api_a", **more):
    contact, made = derived_id("cnt", name, account["id"]), derived_id("conv", name, account["id"])
    edge.write(company, "contacts", id=contact, name=name, username=f"@{name}")
    edge.write(company, "contact_identities", kind="wa_id", value=f"{name}{account['id']}", contact_id=contact)
    row = {"contact_phone": PHONE, "contact_name": name, "last_message_at": last, "unread_count": 1} | more
    edge.write(company, "conversations", id=made, account_id=account["id"], contact_id=contact, **row)
    return made


def message(edge, account, conversation_id, *, minutes=0, company="api_a", **more):
    row = {
        "id": derived_id("msg", str(new_uuid7())), "conversation_id": conversation_id, "account_id": account["id"],
        "direction": "outbound", "message_type": "text", "content": f"minute {minutes}", "status": "sent",
        "wamid": f"wamid.{minutes}", "phone_number": PHONE, "lane": "normal", "base": new_uuid7(),
        "message_at": at(minutes), "sent_at": at(minutes), "metadata": Jsonb({"campaign_id": "x"}),
    } | more  # fmt: skip
    edge.write(company, "messages", **row)
    return row["id"]


async def test_a_message_shows_every_attribute_of_the_plan(edge, account):
    talk = conversation(edge, account, "ana")
    message_id = message(edge, account, talk, template_id="welcome", variables=Jsonb({"name": "Juan"}))
    assert (await edge.get(f"/api/messages/{message_id}")).json() == IsPartialDict(
        id=message_id, conversation_id=talk, message_type="text", type="text", direction="outbound",
        content="minute 0", media_url=None, status="sent", whatsapp_message_id="wamid.0", metadata={"campaign_id": "x"},
        sent_at="2026-11-24T12:00:00.000Z", delivered_at=None, read_at=None, account_id=account["id"],
        phone_number=PHONE, template_id="welcome", variables={"name": "Juan"}, priority="normal", error=None,
    )  # fmt: skip


async def test_another_companys_message_does_not_exist(edge, account):
    message_id = message(edge, account, conversation(edge, account, "ana"))
    assert (await edge.get(f"/api/messages/{message_id}", "reader-of-api_b")).status_code == 404


async def test_a_credential_for_other_businesses_may_not_read_it(edge, account):
    talk = conversation(edge, account, "ana")
    message_id = message(edge, account, talk)
    for path in (f"/api/messages/{message_id}", f"/api/messages/{message_id}/timeline", f"/api/conversations/{talk}",
                 f"/api/conversations/{talk}/messages"):  # fmt: skip
        assert (await edge.get(path, "narrow-of-api_a")).status_code == 403
    assert (await edge.get("/api/conversations", "narrow-of-api_a")).json()["data"] == []


async def test_a_finished_message_is_answered_from_memcached_and_an_unfinished_one_is_not(edge, account):
    import psycopg  # noqa: PLC0415 - only to change a row behind the API's back

    talk = conversation(edge, account, "ana")
    done, under_way = (message(edge, account, talk, status=status) for status in ("read", "sent"))
    for message_id in (done, under_way):
        await edge.get(f"/api/messages/{message_id}")
    with psycopg.connect(edge.database) as connection:
        schema = f"t_{edge.tenants['api_a']:05d}"
        connection.execute(f"UPDATE {schema}.messages SET content = 'changed'".encode())  # noqa: S608
    shown = [(await edge.get(f"/api/messages/{message_id}")).json()["content"] for message_id in (done, under_way)]
    assert shown == ["minute 0", "changed"]
    assert (await edge.get(f"/api/messages/{done}", "reader-of-api_b")).status_code == 404
    assert (await edge.get(f"/api/messages/{done}", "narrow-of-api_a")).status_code == 403


async def test_the_timeline_weaves_events_and_reports_oldest_first(edge, account):
    message_id = message(edge, account, conversation(edge, account, "ana"), wamid="wamid.t", status="delivered")
    edge.write("api_a", "wamids", account_id=account["id"], direction="out", wamid="wamid.t", message_id=message_id,
               attempt=2)  # fmt: skip
    ids = {}
    for minutes, kind in ((1, "message_sent"), (3, "message_delivered")):
        ids[kind] = uuid.uuid4()  # noqa: TID251 - any id does
        edge.write("api_a", "events", event_id=ids[kind], base=new_uuid7(), event_type=kind, topic="wa.event.message",
                   key="k", message_id=message_id, sequence=minutes, at=at(minutes), value=b"{}")  # fmt: skip
    for minutes, status, late in ((3, "delivered", False), (2, "sent", True)):
        edge.write("api_a", "message_statuses", account_id=account["id"], wamid="wamid.t", status=status,
                   status_at=at(minutes), message_id=message_id, late=late, base=new_uuid7())  # fmt: skip
    lines = (await edge.get(f"/api/messages/{message_id}/timeline")).json()["data"]
    assert [
        (line["at"][14:16], line["event_type"], line["source"], line["late"], line["attempt"]) for line in lines
    ] == [
        ("01", "message_sent", "sender", False, None),
        ("02", "message_sent", "status", True, 2),
        ("03", "message_delivered", "status", False, 2),
    ]
    assert [line["event_id"] for line in lines] == [str(ids["message_sent"]), None, str(ids["message_delivered"])]


async def test_a_conversation_shows_its_contact_and_last_message(edge, account):
    talk = conversation(edge, account, "ana", window_expires_at=at(60))
    message(edge, account, talk, minutes=1)
    last = message(edge, account, talk, minutes=2, direction="inbound")
    assert (await edge.get(f"/api/conversations/{talk}")).json() == IsPartialDict(
        id=talk, account_id=account["id"], contact_phone=PHONE, contact_name="ana", status="open", unread_count=1,
        last_message_at="2026-11-24T12:00:00.000Z", window_expires_at="2026-11-24T13:00:00.000Z", metadata={},
        contact=IsPartialDict(username="@ana", wa_id=f"ana{account['id']}", bsuid=None),
        last_message={"id": last, "direction": "inbound", "type": "text", "content": "minute 2"},
    )  # fmt: skip
    assert (await edge.get(f"/api/conversations/{talk}", "reader-of-api_b")).status_code == 404


@pytest.mark.parametrize(
    ("sort", "order"), [("-last_message_at", [4, 3, 1, 2, 0]), ("last_message_at", [0, 2, 1, 3, 4])]
)
async def test_conversations_are_listed_by_their_last_message_page_by_page(edge, account, sort, order):
    """Two share a time, one has no message yet and counts as newest; every page holds what the one before did not."""
    names = sorted((f"p{n}" for n in range(2)), key=lambda name: derived_id("conv", name, account["id"]))
    made = [conversation(edge, account, "old", last=at(-5))]
    made += [conversation(edge, account, name) for name in names]
    made += [conversation(edge, account, "new", last=at(5)), conversation(edge, account, "none", last=None)]
    listed, cursor = [], ""
    while cursor is not None:
        query = f"account_id={account['id']}&limit=2&sort={sort}"
        page = (await edge.get(f"/api/conversations?{query}{cursor and '&cursor=' + cursor}")).json()
        listed += [row["id"] for row in page["data"]]
        cursor = page["next_cursor"]
    assert [made.index(found) for found in listed] == order


async def test_conversations_are_filtered(edge, account):
    other = await edge.account()
    open_one, closed = conversation(edge, account, "ana"), conversation(edge, account, "bea", status="closed")
    archived = conversation(edge, account, "eva", status="archived", contact_phone="+593911111111")
    conversation(edge, other, "zoe")
    base = f"/api/conversations?account_id={account['id']}"

    async def listed(query):
        return {row["id"] for row in (await edge.get(base + query)).json()["data"]}

    assert await listed("") == {open_one, closed, archived}
    assert await listed("&status=open,closed") == {open_one, closed}
    assert await listed("&contact_phone=%2B593911111111") == {archived}


async def test_a_cursor_of_another_list_or_filter_is_refused(edge, account):
    for name in ("ana", "bea"):
        conversation(edge, account, name)
    base = f"/api/conversations?account_id={account['id']}&limit=1"
    cursor = (await edge.get(base)).json()["next_cursor"]
    flipped = cursor[:-2] + ("A" if cursor[-2] != "A" else "B") + cursor[-1]
    for path in (f"{base}&status=open&cursor={cursor}", f"/api/accounts?cursor={cursor}", f"{base}&cursor={flipped}"):
        answer = await edge.get(path)
        assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid")
    assert (await edge.get(f"{base}&cursor={cursor}")).status_code == 200


@pytest.mark.parametrize(("order", "expected"), [("desc", [3, 2, 1, 0]), ("asc", [0, 1, 2, 3])])
async def test_pages_of_messages_stay_the_same_while_new_ones_come(edge, account, order, expected):
    talk = conversation(edge, account, "ana")
    made = [message(edge, account, talk, minutes=n) for n in range(4)]
    path = f"/api/conversations/{talk}/messages?order={order}&limit=2"
    first = (await edge.get(path)).json()
    newest = message(edge, account, talk, minutes=9)
    second = (await edge.get(f"{path}&cursor={first['next_cursor']}")).json()
    shown = [row["id"] for row in first["data"] + second["data"]]
    assert [made.index(found) for found in shown if found != newest] == expected


async def test_messages_are_filtered_by_direction_status_and_type(edge, account):
    talk = conversation(edge, account, "ana")
    inbound = message(edge, account, talk, direction="inbound", status="delivered", message_type="image")
    failed = message(edge, account, talk, status="failed", error=Jsonb({"code": "whatsapp_rejected"}))
    path = f"/api/conversations/{talk}/messages"
    for query, expected in (("direction=inbound", inbound), ("status=failed", failed), ("type=image", inbound)):
        assert [row["id"] for row in (await edge.get(f"{path}?{query}")).json()["data"]] == [expected]


async def test_the_plans_health_paths_answer(edge):
    for name in ("", "/live", "/kafka", "/database", "/db", "/memcached"):
        answer = await edge.client.get(f"/health{name}")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert (await edge.client.get("/health/nothing")).status_code == 404


async def test_the_documentation_is_served(edge):
    assert (await edge.client.get("/docs")).status_code == 200
    assert "/webhook/{app}" in (await edge.client.get("/openapi.json")).json()["paths"]
