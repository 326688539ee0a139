"""Bad input, as the specification says it: each a clear 4xx (or 200, a dead letter to be), nothing lost, no 5xx."""

import gzip
import hashlib
import hmac
import json

import httpx
import pytest
from dirty_equals import IsPartialDict, IsStr

from tests.unit.ingress.fakes import HOUSE_SECRET, OLD_SECRET, OWN_SECRET, sign

MEBIBYTE = 1024 * 1024
TEXT = {"account_id": "acc_a", "phone_number": "+593987654321", "type": "text", "content": "Hola"}
TEMPLATE = {"account_id": "acc_a", "phone_number": "+593987654321", "template_id": "welcome_template"}
UPDATE = {
    "object": "whatsapp_business_account",
    "entry": [{"id": "201", "changes": [{"field": "messages", "value": {
        "messaging_product": "whatsapp", "metadata": {"display_phone_number": "593990000001", "phone_number_id": "101"},
        "contacts": [{"profile": {"name": "Ana é"}, "wa_id": "593987654321", "user_id": "EC.1"}],
        "messages": [{"from": "593987654321", "id": "wamid.1", "timestamp": "1764000000", "type": "text",
                      "text": {"body": "hola"}}]}}]}],
}  # fmt: skip
BODY = json.dumps(UPDATE).encode()


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


# ------------------------------------------------------------------------------------------------ webhook signatures
SIGNATURES = {
    "no header": [],
    "empty": [("X-Hub-Signature-256", "")],
    "prefix alone": [("X-Hub-Signature-256", "sha256=")],
    "valid SHA-1": [("X-Hub-Signature-256", "sha1=" + hmac.new(HOUSE_SECRET, BODY, hashlib.sha1).hexdigest())],
    "upper-case hex": [("X-Hub-Signature-256", sign(BODY).upper().replace("SHA256", "sha256"))],
    "hex with spaces": [("X-Hub-Signature-256", sign(BODY)[:20] + " " + sign(BODY)[20:])],
    "63 digits": [("X-Hub-Signature-256", sign(BODY)[:-1])],
    "65 digits": [("X-Hub-Signature-256", sign(BODY) + "0")],
    "good and bad": [("X-Hub-Signature-256", sign(BODY)), ("X-Hub-Signature-256", sign(b"other"))],
    "bad and good": [("X-Hub-Signature-256", sign(b"other")), ("X-Hub-Signature-256", sign(BODY))],
    "twice the good one": [("X-Hub-Signature-256", sign(BODY)), ("X-Hub-Signature-256", sign(BODY))],
    "of the re-serialised body": [("X-Hub-Signature-256", sign(json.dumps(UPDATE, indent=1).encode()))],
    "of body and newline": [("X-Hub-Signature-256", sign(BODY + b"\n"))],
    "of body with BOM": [("X-Hub-Signature-256", sign(b"\xef\xbb\xbf" + BODY))],
    "of the unescaped body": [("X-Hub-Signature-256", sign(json.dumps(UPDATE, ensure_ascii=False).encode()))],
    "another app's secret": [("X-Hub-Signature-256", sign(BODY, OWN_SECRET))],
    "a secret that nobody has": [("X-Hub-Signature-256", sign(BODY, b"guess"))],
    "not ASCII": [("X-Hub-Signature-256", "sha256=é".encode().decode("latin-1"))],
    "the old header only": [("X-Hub-Signature", "sha1=" + hmac.new(HOUSE_SECRET, BODY, hashlib.sha1).hexdigest())],
}


@pytest.mark.parametrize("headers", SIGNATURES.values(), ids=SIGNATURES)
async def test_a_webhook_that_is_not_rightly_signed_is_refused_and_kept_nowhere(stage, headers):
    answer = await stage.webhook(BODY, httpx.Headers([(name, value.encode("latin-1")) for name, value in headers]))
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")
    assert stage.producer.records == []


@pytest.mark.parametrize(
    ("path", "secret", "status"),
    [
        ("/webhook", HOUSE_SECRET, 200), ("/webhook", OLD_SECRET, 200), ("/webhook", OWN_SECRET, 401),
        ("/webhook/app_b", OWN_SECRET, 200), ("/webhook/app_b", HOUSE_SECRET, 401),
        ("/webhook/unknown_app", HOUSE_SECRET, 401), ("/webhook/", HOUSE_SECRET, 200),
        ("/webhook/app_b/", OWN_SECRET, 401),
    ],
)  # fmt: skip
async def test_only_an_apps_own_secrets_are_tried_at_its_path(stage, path, secret, status):
    answer = await stage.webhook(BODY, {"X-Hub-Signature-256": sign(BODY, secret)}, path)
    assert answer.status_code == status


async def test_an_unknown_app_gets_the_answer_of_a_bad_signature(stage):
    unknown = (await stage.webhook(BODY, {"X-Hub-Signature-256": sign(BODY)}, "/webhook/nobody")).json()
    wrong = (await stage.webhook(BODY, {"X-Hub-Signature-256": sign(BODY)}, "/webhook/app_b")).json()
    assert unknown | {"trace_id": ""} == wrong | {"trace_id": ""}


# ---------------------------------------------------------------------------------------------------- webhook bodies
UNREADABLE = {
    "nothing": b"",
    "truncated": BODY[:-7],
    "not JSON": b"hola",
    "a list": b"[1]",
    "another object": json.dumps(UPDATE | {"object": "page"}).encode(),
    "entry is an object": b'{"object":"whatsapp_business_account","entry":{}}',
    "changes is a text": b'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":"x"}]}',
    "depth 5,000": b'{"object":"whatsapp_business_account","entry":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "a key of 5 KB": BODY.replace(b"EC.1", b"EC." + b"1" * 5000),
    "NaN": b'{"object":"whatsapp_business_account","entry":NaN}',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_signed_body_that_cannot_be_read_is_taken_whole(stage, body):
    answer = await stage.webhook(body, {"X-Hub-Signature-256": sign(body)})
    assert (answer.status_code, answer.json()) == (200, {"status": "received"})
    (record,) = stage.producer.records
    assert (record.topic, record.key, record.value) == ("wa.webhook.raw", "house", body)
    assert dict(record.headers)["kind"] == b"unreadable"


async def test_items_that_multiply_a_body_are_not_split(stage):
    value = {"metadata": {"phone_number_id": "101", "filler": "x" * 400_000}, "messages": [{"id": "w"}] * 1000}
    body = json.dumps({"object": "whatsapp_business_account", "entry": [
        {"id": "1", "changes": [{"field": "messages", "value": value}]}]}).encode()  # fmt: skip
    answer = await stage.webhook(body, {"X-Hub-Signature-256": sign(body)})
    assert answer.status_code == 200
    assert [dict(record.headers).get("kind") for record in stage.producer.records] == [b"unreadable"]


READABLE = {
    "NUL in a text": BODY.replace(b"hola", b"ho\\u0000la"),
    "a lone surrogate": BODY.replace(b"hola", b"ho\\ud800la"),
    "an unknown field": BODY.replace(b'"field": "messages"', b'"field": "brand_new"'),
}


@pytest.mark.parametrize("body", READABLE.values(), ids=READABLE)
async def test_odd_characters_and_kinds_are_split_like_any_other(stage, body):
    answer = await stage.webhook(body, {"X-Hub-Signature-256": sign(body)})
    assert answer.status_code == 200
    assert ["kind" in dict(record.headers) for record in stage.producer.records] == [False]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b" " * (3 * MEBIBYTE + 1), {}, 413, "too_large"),
        (gzip.compress(BODY), {"Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
    ],
    ids=["3 MB and a byte", "compressed"],
)
async def test_a_webhook_body_that_is_not_taken_is_refused_with_its_reason(stage, body, headers, status, code):
    answer = await stage.webhook(body, {"X-Hub-Signature-256": sign(body)} | headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert stage.producer.records == []


async def test_three_megabytes_are_taken(stage):
    body = BODY + b" " * (3 * MEBIBYTE - len(BODY))
    assert (await stage.webhook(body, {"X-Hub-Signature-256": sign(body)})).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_other_methods_on_the_webhook_are_refused(stage, method):
    answer = await stage.client.request(method, "/webhook")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


# ------------------------------------------------------------------------------------------------- JSON of the API
JSON_BODIES = {
    "nothing": (b"", 400, "malformed_json"),
    "not JSON": (b"hola", 400, "malformed_json"),
    "truncated": (json.dumps(TEXT).encode()[:-1], 400, "malformed_json"),
    "NaN": (b'{"metadata":{"a":NaN}}', 400, "malformed_json"),
    "UTF-16": (json.dumps(TEXT).encode("utf-16"), 400, "malformed_json"),
    "a BOM": (b"\xef\xbb\xbf" + json.dumps(TEXT).encode(), 400, "malformed_json"),
    "invalid UTF-8": (b'{"content":"\xff"}', 400, "malformed_json"),
    "a member twice": (b'{"type":"text","type":"text"}', 400, "malformed_json"),
    "a number of 5,000 digits": (b'{"metadata":{"a":' + b"9" * 5000 + b"}}", 400, "malformed_json"),
    "a list": (b"[]", 422, "invalid"),
    "a text": (b'"hola"', 422, "invalid"),
    "null": (b"null", 422, "invalid"),
    "depth 21": (b'{"metadata":' + nested(20).encode() + b"}", 422, "invalid"),
    "depth 5,000": (nested(5000).encode(), 422, "invalid"),
    "depth 100,000": (b"[" * 100_000, 422, "invalid"),
    "1e400": (b'{"metadata":{"a":1e400}}', 422, "invalid"),
    "2^63": (b'{"metadata":{"a":9223372036854775808}}', 422, "invalid"),
    "1 MB and a byte": (b" " * (MEBIBYTE + 1), 413, "too_large"),
}


@pytest.mark.parametrize(("body", "status", "code"), JSON_BODIES.values(), ids=JSON_BODIES)
async def test_a_body_that_is_not_plain_json_is_refused(stage, body, status, code):
    headers = {"Authorization": "Bearer agent-of-a", "Content-Type": "application/json"}
    answer = await stage.client.post("/api/messages", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert stage.producer.records == []


@pytest.mark.parametrize(
    ("place", "pointer"),
    [({"content": "a\0b"}, "/content"), ({"metadata": {"a": ["x\ud800"]}}, "/metadata/a/0"), ({"me\0ta": 1}, "")],
    ids=["NUL", "lone surrogate", "NUL in a name"],
)
async def test_characters_that_no_store_takes_are_refused_with_their_place(stage, place, pointer):
    headers = {"Authorization": "Bearer agent-of-a", "Content-Type": "application/json"}
    answer = await stage.client.post("/api/messages", content=json.dumps(TEXT | place).encode(), headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": ""},
     {"Content-Type": "application/json", "Content-Encoding": "gzip"}],
)  # fmt: skip
async def test_only_plain_json_is_taken(stage, headers):
    given = {"Authorization": "Bearer agent-of-a"} | headers
    answer = await stage.client.post("/api/messages", content=json.dumps(TEXT).encode(), headers=given)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


# ------------------------------------------------------------------------------------------------ who may do what
@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ([], 401, "unauthenticated"),
        ([("Authorization", "Bearer nobody")], 401, "unauthenticated"),
        ([("Authorization", "Basic YTpi")], 401, "unauthenticated"),
        ([("Authorization", "Bearer  agent-of-a")], 401, "unauthenticated"),
        ([("Authorization", "agent-of-a")], 401, "unauthenticated"),
        ([("Authorization", "Bearer agent-of-a, Bearer agent-of-b")], 401, "unauthenticated"),
        ([("Authorization", "Bearer agent-of-a"), ("Authorization", "Bearer agent-of-b")], 401, "unauthenticated"),
        ([("Authorization", "Bearer " + "a" * 9000)], 401, "unauthenticated"),
        ([("Authorization", "Bearer of-nobody")], 400, "tenant_missing"),
        ([("Authorization", "Bearer of-a-stranger")], 401, "tenant_invalid"),
        ([("Authorization", "Bearer agent-of-a"), ("X-Tenant-ID", "company_b")], 401, "tenant_invalid"),
        ([("Authorization", "Bearer agent-of-a"), ("X-Tenant-ID", "company_a"), ("X-Tenant-ID", "company_b")], 401,
         "tenant_invalid"),
        ([("Authorization", "Bearer reader-of-a")], 403, "permission_denied"),
        ([("Authorization", "Bearer other-business")], 403, "permission_denied"),
        ([("Authorization", "Bearer agent-of-b")], 404, "not_found"),
    ],
)  # fmt: skip
async def test_who_may_not_send_is_told_why(stage, headers, status, code):
    answer = await stage.client.post("/api/messages", json=TEXT, headers=httpx.Headers(headers))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert stage.producer.records == []


async def test_a_stranger_costs_no_parsing(stage):
    answer = await stage.client.post("/api/messages", content=b"not json")
    assert answer.status_code == 401


async def test_a_token_in_the_query_is_not_one(stage):
    assert (await stage.client.post("/api/messages?access_token=agent-of-a", json=TEXT)).status_code == 401


# ------------------------------------------------------------------------------------------------------ commands
LONG = "x" * 4097
COMMANDS = {
    "phone without +": (TEXT | {"phone_number": "593987654321"}, "phone_not_e164", "/phone_number"),
    "phone with letters": (TEXT | {"phone_number": "+59398CALLME"}, "phone_not_e164", "/phone_number"),
    "phone with extension": (TEXT | {"phone_number": "+593987654321 x5"}, "phone_not_e164", "/phone_number"),
    "phone of Arabic digits": (TEXT | {"phone_number": "+٥٩٣٩٨٧٦٥٤٣٢١"}, "phone_not_e164", "/phone_number"),
    "phone as a number": (TEXT | {"phone_number": 593987654321}, "invalid", "/phone_number"),
    "text over 4,096": (TEXT | {"content": LONG}, "content_length", "/content"),
    "text of nothing": (TEXT | {"content": ""}, "content_length", "/content"),
    "content as an object": (TEXT | {"content": {"body": "x"}}, "invalid", "/content"),
    "unknown field": (TEXT | {"varibles": {}}, "unknown_field", "/varibles"),
    "a field of a later issue": (TEXT | {"supersedes": "msg_1"}, "unknown_field", "/supersedes"),
    "mass assignment": (TEXT | {"tenant": 2}, "unknown_field", "/tenant"),
    "our name instead of the API's": (TEXT | {"message_class": "marketing"}, "unknown_field", "/message_class"),
    "two recipients": (TEXT | {"recipient": "EC.1"}, "invalid", "/recipient"),
    "no recipient": ({"account_id": "acc_a", "type": "text", "content": "x"}, "invalid", "/phone_number"),
    "no account": ({"phone_number": "+593987654321", "type": "text", "content": "x"}, "invalid", "/account_id"),
    "no type": ({k: v for k, v in TEXT.items() if k != "type"}, "invalid", "/type"),
    "type of a later issue": (TEXT | {"type": "image"}, "invalid", "/type"),
    "type in capitals": (TEXT | {"type": "TEXT"}, "invalid", "/type"),
    "template as image": (TEMPLATE | {"type": "image"}, "type_conflict", "/type"),
    "template without id": (TEXT | {"type": "template"}, "invalid", "/template_id"),
    "template of our own id": (TEMPLATE | {"template_id": "tpl_" + "0" * 26}, "invalid", "/template_id"),
    "template in capitals": (TEMPLATE | {"template_id": "Welcome"}, "invalid", "/template_id"),
    "variables of a text": (TEXT | {"variables": ["Juan"]}, "invalid", "/variables"),
    "variable with newline": (TEMPLATE | {"variables": ["a\nb"]}, "variable_format", "/variables/0"),
    "variable with tab": (TEMPLATE | {"variables": {"name": "a\tb"}}, "variable_format", "/variables/name"),
    "variable with 5 spaces": (TEMPLATE | {"variables": ["a     b"]}, "variable_format", "/variables/0"),
    "variable over 1,024": (TEMPLATE | {"variables": ["x" * 1025]}, "variable_format", "/variables/0"),
    "variable as a number": (TEMPLATE | {"variables": {"1": 5}}, "variable_format", "/variables/1"),
    "numbers with a gap": (TEMPLATE | {"variables": {"1": "a", "3": "b"}}, "template_variables", "/variables"),
    "numbers and names": (TEMPLATE | {"variables": {"1": "a", "name": "b"}}, "template_variables", "/variables"),
    "a name with blanks": (TEMPLATE | {"variables": {"first name": "b"}}, "template_variables", "/variables"),
    "variables as a text": (TEMPLATE | {"variables": "Juan"}, "template_variables", "/variables"),
    "101 variables": (TEMPLATE | {"variables": ["x"] * 101}, "template_variables", "/variables"),
    "language of nowhere": (TEMPLATE | {"language": "Spanish"}, "invalid", "/language"),
    "preview_url as a text": (TEXT | {"preview_url": "true"}, "invalid", "/preview_url"),
    "unknown priority": (TEXT | {"priority": "high"}, "invalid", "/priority"),
    "unknown class": (TEXT | {"class": "spam"}, "invalid", "/class"),
    "time without zone": (TEXT | {"not_before": "2026-11-24T12:00:00"}, "invalid", "/not_before"),
    "time of year 0": (TEXT | {"not_before": "0000-01-01T00:00:00Z"}, "invalid", "/not_before"),
    "time beyond year 9999": (TEXT | {"not_after": "9999-12-31T23:59:59-12:00"}, "invalid", "/not_after"),
    "a leap second": (TEXT | {"not_after": "2026-12-31T23:59:60Z"}, "invalid", "/not_after"),
    "time as a number": (TEXT | {"not_after": 1764000000}, "invalid", "/not_after"),
    "ends before it begins": (
        TEXT | {"not_before": "2026-11-24T12:00:00Z", "not_after": "2026-11-24T11:00:00Z"}, "invalid", "/not_after"),
    "51 keys of metadata": (TEXT | {"metadata": {str(n): n for n in range(51)}}, "invalid", "/metadata"),
    "9 KB of metadata": (TEXT | {"metadata": {"a": "x" * 9000}}, "invalid", "/metadata"),
    "metadata as a list": (TEXT | {"metadata": []}, "invalid", "/metadata"),
    "recipient that is a number": (
        {"account_id": "acc_a", "recipient": "+593987654321", "type": "text", "content": "x"}, "invalid", "/recipient"),
    "reply_to with blanks": (TEXT | {"reply_to": "a b"}, "invalid", "/reply_to"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "code", "pointer"), COMMANDS.values(), ids=COMMANDS)
async def test_a_command_that_does_not_fit_is_refused_with_code_and_pointer(stage, body, code, pointer):
    answer = await stage.send(body)
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert problem == IsPartialDict(code=code, status=422, retryable=False, fault="caller", error=problem["detail"],
                                    trace_id=IsStr(regex="[0-9a-f]{32}"))  # fmt: skip
    assert [(row["pointer"], row["code"]) for row in problem["errors"]] == [(pointer, code)]
    assert stage.producer.records == []


async def test_every_field_that_does_not_fit_has_its_row(stage):
    problem = (await stage.send(TEXT | {"phone_number": "593", "colour": "red"})).json()
    assert problem["code"] == "invalid"
    assert {(row["pointer"], row["code"]) for row in problem["errors"]} == {
        ("/phone_number", "phone_not_e164"), ("/colour", "unknown_field"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (TEXT | {"account_id": "acc_unknown"}, 404, "not_found"),
        (TEXT | {"account_id": "acc_b"}, 404, "not_found"),
        (TEXT | {"account_id": "acc_paused"}, 409, "account_paused"),
    ],
    ids=["unknown account", "foreign account", "paused account"],
)
async def test_an_account_that_cannot_send_is_named_by_pointer(stage, body, status, code):
    answer = await stage.send(body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["errors"][0]["pointer"] == "/account_id"


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ñ"])
async def test_an_idempotency_key_that_is_none_is_refused(stage, key):
    headers = {"Authorization": "Bearer agent-of-a", "Idempotency-Key": key.encode()}
    answer = await stage.client.post("/api/messages", json=TEXT, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "Idempotency-Key:")


# ------------------------------------------------------------------------------------------------- paths and queries
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/messages/1", 404, "not_found"),
        ("GET", "/api/messages/msg_" + "z" * 26, 404, "not_found"),
        ("GET", "/api/messages/msg_%00/timeline", 404, "not_found"),
        ("GET", "/api/messages/..%2f..%2fetc", 404, "not_found"),
        ("GET", "/api/conversations/conv_1", 404, "not_found"),
        ("GET", "/api/conversations/conv_1/messages", 404, "not_found"),
        ("GET", "/api/accounts/acc_%00", 404, "not_found"),
        ("GET", "/api/unknown", 404, "not_found"),
        ("GET", "/api/messages/", 404, "not_found"),
        ("GET", "/webhooks", 404, "not_found"),
        ("DELETE", "/api/messages", 405, "method_not_allowed"),
        ("POST", "/api/conversations", 405, "method_not_allowed"),
        ("GET", "/api/conversations?limit=0", 422, "bad_filter"),
        ("GET", "/api/conversations?limit=201", 422, "bad_filter"),
        ("GET", "/api/conversations?limit=many", 422, "bad_filter"),
        ("GET", "/api/conversations?status=opened", 422, "bad_filter"),
        ("GET", "/api/conversations?status=open%00", 422, "bad_filter"),
        ("GET", "/api/conversations?sort=name", 422, "bad_filter"),
        ("GET", "/api/conversations?stauts=open", 422, "unknown_field"),
        ("GET", "/api/conversations?contact_phone=593987654321", 422, "phone_not_e164"),
        ("GET", "/api/conversations?account_id=acc_b", 404, "not_found"),
        ("GET", "/api/conversations?cursor=abc", 422, "cursor_invalid"),
        ("GET", "/api/conversations?cursor=%C3%B1", 422, "cursor_invalid"),
        ("GET", "/api/accounts?cursor=AAAA", 422, "cursor_invalid"),
        ("GET", "/api/accounts?account_type=telegram", 422, "bad_filter"),
    ],
)
async def test_a_path_or_query_that_means_nothing_is_a_clear_4xx(stage, method, path, status, code):
    answer = await stage.client.request(method, path, headers={"Authorization": "Bearer admin-of-a"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


# ---------------------------------------------------------------------------------------------------- verification
@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/webhook", "hub.mode=subscribe&hub.verify_token=house-token&hub.challenge=1158201444", 200),
        ("/webhook/app_b", "hub.mode=subscribe&hub.verify_token=own-token&hub.challenge=1158201444", 200),
        ("/webhook", "hub.mode=subscribe&hub.verify_token=own-token&hub.challenge=1158201444", 403),
        ("/webhook/nobody", "hub.mode=subscribe&hub.verify_token=house-token&hub.challenge=1158201444", 403),
        ("/webhook", "hub.mode=unsubscribe&hub.verify_token=house-token&hub.challenge=1158201444", 403),
        ("/webhook", "hub.mode=subscribe&hub.verify_token=house-token", 403),
        ("/webhook", "hub.mode=subscribe&hub.verify_token=&hub.challenge=1158201444", 403),
        ("/webhook", "hub.mode=subscribe&hub.verify_token=h%C3%B1&hub.challenge=1158201444", 403),
        ("/webhook", "hub.mode=subscribe&hub.verify_token=house-token&hub.challenge=%3Cscript%3E", 403),
        ("/webhook", "hub.mode=subscribe&hub.verify_token=house-token&hub.challenge=" + "1" * 10_000, 403),
        ("/webhook", "hub.mode=subscribe&hub.verify_token=house-token&hub.verify_token=x&hub.challenge=1", 403),
        ("/webhook", "hub.mode[]=subscribe&hub.verify_token[]=house-token&hub.challenge[]=1", 403),
        ("/webhook", "&".join(f"a{n}=1" for n in range(500)), 403),
        ("/webhook", "", 403),
    ],
)
async def test_verification_echoes_the_challenge_only_for_the_right_token(stage, path, query, status):
    answer = await stage.client.get(f"{path}?{query}")
    assert answer.status_code == status
    assert (answer.text == "1158201444") is (status == 200)
