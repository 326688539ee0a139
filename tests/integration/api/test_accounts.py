"""Accounts on the real directory: secrets never come back, numbers are unique, changes are known at once."""

import asyncio
import json

import pytest
from dirty_equals import IsPartialDict

from tests.integration.api.kit import number, until

UPDATE = b'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{}]}]}'


async def test_what_was_registered_is_shown_without_its_secrets(edge):
    body = number(name="Ventas", webhook_secret="app-secret-of-meta", verify_token="verify-me")
    made = await edge.call("POST", "/api/accounts", "admin-of-api_a", json=body)
    assert made.status_code == 201
    assert made.json() == IsPartialDict(
        company_id="api_a", business_id="business_1", phone_number=body["phone_number"], waba_id="777",
        account_type="cloud_api", status="active", name="Ventas", app_id=made.json()["id"],
        secrets={"api_key": {"set": True, "last4": "9f3c", "expires_at": None}, "webhook_secret": {"set": True}},
        check={"ok": None}, settings={},
    )  # fmt: skip
    assert made.headers["location"] == f"/api/accounts/{made.json()['id']}"
    read = await edge.get(made.headers["location"])
    assert read.json() == made.json()
    assert read.headers["etag"] == made.headers["etag"]
    for secret in (body["api_key"], body["webhook_secret"], body["verify_token"]):
        assert secret not in made.text + read.text


async def test_a_new_app_signs_its_webhooks_at_once(edge):
    account = await edge.account(webhook_secret="app-secret-of-meta", verify_token="verify-me")
    path = f"/webhook/{account['app_id']}"
    assert (await edge.webhook(UPDATE, b"app-secret-of-meta", path)).status_code == 200
    assert (await edge.webhook(UPDATE, b"app-secret-of-meta")).status_code == 401
    challenge = {"hub.mode": "subscribe", "hub.verify_token": "verify-me", "hub.challenge": "1158201444"}
    assert (await edge.client.get(path, params=challenge)).text == "1158201444"


async def test_a_secret_that_is_replaced_stays_valid_beside_the_new_one(edge):
    account = await edge.account(webhook_secret="the-first-secret")
    for secret in ("the-second-secret", "the-third-secret"):
        change = {"webhook_secret": secret}
        await edge.call("PUT", f"/api/accounts/{account['id']}", "admin-of-api_a", json=change)
    path = f"/webhook/{account['app_id']}"
    answers = [(await edge.webhook(UPDATE, f"the-{n}-secret".encode(), path)).status_code
               for n in ("first", "second", "third")]  # fmt: skip
    assert answers == [401, 200, 200]


@pytest.mark.parametrize(
    ("change", "status", "code", "pointer"),
    [
        ({"waba_id": None}, 422, "account_fields", "/waba_id"),
        ({"api_key": None}, 422, "account_fields", "/api_key"),
        ({"company_id": "api_b"}, 422, "account_fields", "/company_id"),
        ({"app_id": "never_registered"}, 422, "account_fields", "/app_id"),
        ({"verify_token": "x"}, 422, "account_fields", "/verify_token"),
        ({"phone_number": "593990000001"}, 422, "phone_not_e164", "/phone_number"),
        ({"account_type": "telegram"}, 422, "invalid", "/account_type"),
        ({"phone_number_id": "12a"}, 422, "invalid", "/phone_number_id"),
        ({"api_key": "x" * 1025}, 422, "invalid", "/api_key"),
        ({"name": ""}, 422, "invalid", "/name"),
        ({"status": "paused"}, 422, "unknown_field", "/status"),
        ({"settings": {"colour": "red"}}, 422, "unknown_field", "/settings/colour"),
    ],
)
async def test_an_account_that_lacks_what_it_needs_is_refused(edge, change, status, code, pointer):
    answer = await edge.call("POST", "/api/accounts", "admin-of-api_a", json=number() | change)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_number_is_registered_once_for_all_companies(edge):
    body = number(waba_id="778")
    assert (await edge.call("POST", "/api/accounts", "admin-of-api_a", json=body)).status_code == 201
    foreign = number(phone_number=body["phone_number"], waba_id="779")
    answer = await edge.call("POST", "/api/accounts", "admin-of-api_b", json=foreign)
    assert (answer.status_code, answer.json()["code"]) == (409, "phone_number_taken")
    assert "api_a" not in answer.text


async def test_a_waba_belongs_to_one_company(edge):
    await edge.account("api_a", waba_id="4001")
    answer = await edge.call("POST", "/api/accounts", "admin-of-api_b", json=number(waba_id="4001"))
    assert (answer.status_code, answer.json()["code"]) == (422, "waba_mismatch")


@pytest.mark.parametrize("token", ["agent-of-api_a", "reader-of-api_a"])
async def test_only_an_admin_registers(edge, token):
    answer = await edge.call("POST", "/api/accounts", token, json=number())
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


async def test_a_repeated_key_registers_once_and_gets_the_same_answer(edge):
    body = number()
    headers = {"Idempotency-Key": f"register-{body['phone_number']}"}
    first = await edge.call("POST", "/api/accounts", "admin-of-api_a", json=body, headers=headers)
    again = await edge.call("POST", "/api/accounts", "admin-of-api_a", json=body, headers=headers)
    other = await edge.call("POST", "/api/accounts", "admin-of-api_a", json=body | {"name": "x"}, headers=headers)
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert ("idempotent-replay" in first.headers, again.headers["idempotent-replay"]) == (False, "true")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


async def test_two_first_uses_of_a_key_at_once_register_once(edge):
    body = number()
    headers = {"Idempotency-Key": f"twice-{body['phone_number']}"}
    both = await asyncio.gather(*(
        edge.call("POST", "/api/accounts", "admin-of-api_a", json=body, headers=headers) for _ in range(2)
    ))  # fmt: skip
    assert [answer.status_code for answer in both] == [201, 201]
    assert both[0].json() == both[1].json()
    assert sorted("idempotent-replay" in answer.headers for answer in both) == [False, True]


async def test_a_refused_registration_leaves_its_key_unused(edge):
    body = number()
    headers = {"Idempotency-Key": f"retry-{body['phone_number']}"}
    refused = body | {"app_id": "never_registered"}
    assert (await edge.call("POST", "/api/accounts", "admin-of-api_a", json=refused, headers=headers)).is_error
    assert (await edge.call("POST", "/api/accounts", "admin-of-api_a", json=body, headers=headers)).status_code == 201


async def test_what_was_read_can_be_put_back_and_changes_nothing(edge):
    account = await edge.account(name="Ventas", settings={"default_language": "es"})
    path = f"/api/accounts/{account['id']}"
    read = await edge.get(path)
    put = await edge.call("PUT", path, "admin-of-api_a", json=read.json())
    assert (put.status_code, put.json(), put.headers["etag"]) == (200, read.json(), read.headers["etag"])


async def test_absent_stays_null_removes_and_the_rest_is_written(edge):
    account = await edge.account(name="Ventas", settings={"default_language": "es"})
    path = f"/api/accounts/{account['id']}"
    renamed = await edge.call("PUT", path, "admin-of-api_a", json={"name": None, "business_id": "business_2"})
    assert renamed.json() == IsPartialDict(name=None, business_id="business_2", settings={"default_language": "es"})
    rotated = await edge.call("PUT", path, "admin-of-api_a", json={"api_key": "EAAG-new-0001", "settings": None})
    assert rotated.json() == IsPartialDict(settings={}, secrets=IsPartialDict(api_key=IsPartialDict(last4="0001")))


async def test_a_change_of_what_was_read_before_another_change_is_refused(edge):
    account = await edge.account()
    path = f"/api/accounts/{account['id']}"
    tag = (await edge.get(path)).headers["etag"]
    headers = {"If-Match": tag}
    assert (await edge.call("PUT", path, "admin-of-api_a", json={"name": "A"}, headers=headers)).status_code == 200
    late = await edge.call("PUT", path, "admin-of-api_a", json={"name": "B"}, headers=headers)
    assert (late.status_code, late.json()["code"]) == (412, "version_conflict")
    assert (await edge.get(path)).json()["name"] == "A"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"phone_number": "+593990000009"}, 409, "immutable_field"),
        ({"waba_id": "1"}, 409, "immutable_field"),
        ({"company_id": "api_b"}, 409, "immutable_field"),
        ({"status": "disabled"}, 409, "immutable_field"),
        ({"webhook_secret": "signed-by-the-house"}, 409, "immutable_field"),
        ({"api_key": None}, 422, "account_fields"),
        ({"colour": "red"}, 422, "unknown_field"),
    ],
)
async def test_what_cannot_be_changed_is_named(edge, change, status, code):
    account = await edge.account()
    answer = await edge.call("PUT", f"/api/accounts/{account['id']}", "admin-of-api_a", json=change)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["errors"][0]["pointer"] == f"/{next(iter(change))}"
    assert (await edge.get(f"/api/accounts/{account['id']}")).json() == account


async def test_a_paused_account_takes_no_commands_until_it_is_active(edge):
    account = await edge.account()
    path = f"/api/accounts/{account['id']}"
    body = {"account_id": account["id"], "phone_number": "+593987654321", "type": "text", "content": "x"}
    answers = []
    for status in ("paused", "active"):
        await edge.call("PUT", path, "admin-of-api_a", json={"status": status})
        answers.append((await edge.send(body, Prefer="wait=0")).status_code)
    assert answers == [409, 202]


async def test_a_foreign_account_does_not_exist(edge):
    account = await edge.account("api_a")
    path = f"/api/accounts/{account['id']}"
    assert (await edge.get(path, "reader-of-api_b")).status_code == 404
    assert (await edge.call("PUT", path, "admin-of-api_b", json={"name": "x"})).status_code == 404


async def test_accounts_are_listed_page_by_page_and_by_filter(edge):
    made = [(await edge.account(business_id="business_paged", name=f"Caja {n}%"))["id"] for n in range(5)]
    listed, cursor = [], ""
    while cursor is not None:
        page = (
            await edge.get(f"/api/accounts?business_id=business_paged&limit=2{cursor and '&cursor=' + cursor}")
        ).json()
        listed += [row["id"] for row in page["data"]]
        cursor = page["next_cursor"]
    assert listed == made
    found = (await edge.get("/api/accounts?q=caja%203%25")).json()["data"]
    assert [row["id"] for row in found] == [made[3]]
    assert (await edge.get("/api/accounts?q=_aja")).json()["data"] == []


async def test_a_credential_for_other_businesses_sees_none_of_it(edge):
    account = await edge.account()
    assert (await edge.get("/api/accounts", "narrow-of-api_a")).json()["data"] == []
    assert (await edge.get(f"/api/accounts/{account['id']}", "narrow-of-api_a")).status_code == 403


async def test_what_meta_said_of_an_account_is_shown_with_it(edge):
    account = await edge.account()
    import psycopg  # noqa: PLC0415 - the only test that writes a cell's shared table

    with psycopg.connect(edge.database) as connection:
        connection.execute(
            "INSERT INTO recado.account_state VALUES (%s, %s, 'quality_rating', %s, now(), gen_random_uuid())",
            (edge.tenants["api_a"], account["id"], json.dumps("GREEN")),
        )
    assert (await edge.get(f"/api/accounts/{account['id']}")).json()["quality_rating"] == "GREEN"


async def test_a_policy_file_that_changes_is_read_again(edge):
    with open(edge.settings.policy_file, encoding="utf-8") as file:  # noqa: PTH123, ASYNC230 - a small local file
        before = file.read()
    rows = [row for row in json.loads(before)["tokens"] if row["role"] != "agent"]
    account = await edge.account()
    body = {"account_id": account["id"], "phone_number": "+593987654321", "type": "text", "content": "x"}
    try:
        _replace(edge, json.dumps({"tokens": rows}))
        await until(lambda: _is(edge, body, 401))
    finally:
        _replace(edge, before)
    await until(lambda: _is(edge, body, 202))


def _replace(edge, text):
    with open(edge.settings.policy_file, "w", encoding="utf-8") as file:  # noqa: PTH123 - a small local file
        file.write(text)


async def _is(edge, body, status):
    return (await edge.send(body, Prefer="wait=0")).status_code == status
