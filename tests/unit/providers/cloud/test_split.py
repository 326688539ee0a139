import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.errors import RecordError
from services.providers.cloud.webhook import DEPTH_LIMIT, UnreadableBodyError, natural_key, read_record, split
from tests.unit.providers.cloud.payloads import FOLDER, RECEIVED_AT, body_of, item_of, items_in, items_of, record_of

JUAN, ANA = "EC.13491208655302741918", "EC.20817733019264410055"
NUMBER, WABA = "106540352242922", "102290129340398"


def webhook(value, field="messages", **entry):
    changes = [{"field": field, "value": value}]
    body = {"object": "whatsapp_business_account", "entry": [{"id": WABA, "changes": changes} | entry]}
    return json.dumps(body).encode()


def nested(depth):
    return b'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"x","value":%b%b}]}]}' % (
        b'{"a":' * depth + b"1",
        b"}" * depth,
    )


def test_every_update_of_a_batch_becomes_an_item_under_its_path():
    assert [(item.path, item.kind, item.number, item.user) for item in split(body_of("batch"))] == [
        ("/entry/0/changes/0/messages/0", "message", NUMBER, JUAN),
        ("/entry/0/changes/0/messages/1", "message", NUMBER, ANA),
        ("/entry/0/changes/0/messages/2", "message", NUMBER, JUAN),
        ("/entry/0/changes/1/statuses/0", "status", NUMBER, JUAN),
        ("/entry/0/changes/1/statuses/1", "status", NUMBER, JUAN),
        ("/entry/1/changes/0/messages/0", "message", "108840119922334", ANA),
    ]


def test_messages_statuses_and_errors_of_one_value_are_all_taken():
    assert [item.kind for item in split(body_of("value_all_three"))] == ["message", "status", "error"]


def test_sent_delivered_and_read_of_one_message_are_three_items():
    assert [item.update["status"] for item in items_of("statuses_three_of_one")] == ["sent", "delivered", "read"]


@pytest.mark.parametrize(
    "name",
    ["history", "standby", "message_echoes", "calls", "group_participants", "user_preferences", "field_of_tomorrow"],
)
def test_every_other_field_is_one_item_that_keeps_the_whole_value(name):
    item = item_of(name)
    assert (item.kind, item.path, item.number) == ("change", "/entry/0/changes/0", NUMBER)
    assert item.update == json.loads(body_of(name))["entry"][0]["changes"][0]["value"]


def test_a_messages_change_without_any_update_is_kept_as_a_change():
    assert item_of("value_empty").kind == "change"


def test_an_array_that_is_not_known_yet_is_kept_beside_the_messages():
    message, rest = items_of("new_array_beside_messages")
    assert (message.kind, rest.kind) == ("message", "change")
    assert rest.update["user_actions"][0]["action_type"] == "marketing_messages_link_click"


def test_a_field_that_is_not_known_yet_but_no_array_makes_no_item_of_its_own():
    value = {"metadata": {"phone_number_id": NUMBER}, "messages": [{"id": "w", "from": "1"}], "edition": {"a": 1}}
    assert [item.kind for item in split(webhook(value))] == ["message"]


def test_an_item_carries_its_update_to_the_byte():
    update = b'{"id" : "w1",  "of_tomorrow":[1.0,1e2,"\\u00e9\\/"]}'
    body = webhook({"metadata": {"phone_number_id": "7"}, "messages": ["QQ"]}).replace(b'"QQ"', update)
    (item,) = split(body)
    assert b'"update":' + update in record_of(item)


def test_a_record_says_where_its_item_came_from():
    item = item_of("template_status")
    assert (item.kind, item.field, item.entry_id, item.entry_time) == (
        "change", "message_template_status_update", WABA, 1790000200,
    )  # fmt: skip
    assert (item.app, item.body_sha256, item.received_at) == ("house", "ab" * 32, RECEIVED_AT)


KEYS = [
    ("message: the BSUID", "text", [f"{NUMBER}|{JUAN}"]),
    ("message of a user without a number", "text_username", [f"{NUMBER}|{JUAN}"]),
    ("message in a group: the group", "text_group", [f"{NUMBER}|Y2FwaV9ncm91cDoxNzA1NTU"]),
    ("status: the BSUID, as for his messages", "status_delivered", [f"{NUMBER}|{JUAN}"]),
    ("status without a BSUID: the wa_id", "status_failed", [f"{NUMBER}|593987654321"]),
    ("status of a user without a number", "status_username", [f"{NUMBER}|{JUAN}"]),
    ("statuses in a group: the group", "status_group", [f"{NUMBER}|Y2FwaV9ncm91cDoxNzA1NTU"] * 2),
    ("old message without a BSUID: the wa_id", "dashboard_test", ["123456123|16315551181"]),
    ("error: the number", "value_errors", [f"{NUMBER}|"]),
    ("other field with a number: the number", "history", [f"{NUMBER}|"]),
    ("management field: the WABA", "template_status", [f"waba:{WABA}"]),
]


@pytest.mark.parametrize(("name", "keys"), [row[1:] for row in KEYS], ids=[row[0] for row in KEYS])
def test_a_record_is_keyed_by_number_and_user(name, keys):
    assert [item.key for item in split(body_of(name))] == keys


def test_a_message_that_names_only_a_number_is_keyed_by_the_bsuid_of_its_contact():
    value = {
        "metadata": {"phone_number_id": NUMBER},
        "contacts": [{"wa_id": "2", "user_id": ANA}, {"wa_id": "1", "user_id": JUAN}],
        "messages": [{"id": "w", "from": "1"}],
    }
    assert split(webhook(value))[0].user == JUAN


class TestContact:
    """Which contact belongs to an update."""

    def of(self, contacts, update, array="messages"):
        value = {"metadata": {"phone_number_id": NUMBER}, "contacts": contacts, array: [update]}
        (item,) = items_in(webhook(value))
        return item.contact

    def test_is_found_by_user_id(self):
        ana = {"user_id": ANA, "wa_id": "1"}
        assert self.of([{"user_id": JUAN, "wa_id": "2"}, ana], {"id": "w", "from_user_id": ANA, "from": "2"}) == ana

    def test_is_found_by_wa_id(self):
        assert self.of([{"wa_id": "1"}, {"wa_id": "2"}], {"id": "w", "from": "2"}) == {"wa_id": "2"}

    def test_is_the_only_one_where_nothing_speaks_against_it(self):
        assert self.of([{"user_id": JUAN}], {"id": "w", "recipient_id": "2"}, "statuses") == {"user_id": JUAN}

    def test_is_never_somebody_elses(self):
        assert self.of([{"wa_id": "1", "user_id": JUAN}], {"id": "w", "from": "2", "from_user_id": ANA}) is None

    def test_beside_a_system_message_is_not_its_own(self):
        text, system = items_of("message_beside_system")
        assert (text.contact["user_id"], system.contact) == (JUAN, None)

    def test_of_a_group_status_is_not_guessed(self):
        assert [item.contact for item in items_of("status_group")] == [None, None]


UNREADABLE = [
    ("empty", b""),
    ("not JSON", b"hello"),
    ("truncated", body_of("text")[:200]),
    ("bytes after the end", body_of("text") + b"x"),
    ("not UTF-8", webhook({"messages": [{"id": "QQ"}]}).replace(b"QQ", b"\xff\xfe")),
    ("NaN", webhook({"messages": [{"id": 7770}]}).replace(b"7770", b"NaN")),
    ("a list", b"[]"),
    ("null", b"null"),
    ("another product's object", b'{"object":"instagram","entry":[]}'),
    ("no object", b'{"entry":[]}'),
    ("no entry", b'{"object":"whatsapp_business_account"}'),
    ("entry is no list", b'{"object":"whatsapp_business_account","entry":{}}'),
    ("an entry is no object", b'{"object":"whatsapp_business_account","entry":[1]}'),
    ("an entry without changes", b'{"object":"whatsapp_business_account","entry":[{"id":"1"}]}'),
    ("changes is no list", b'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":1}]}'),
    ("a change is no object", b'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":["x"]}]}'),
    ("depth over the limit", nested(DEPTH_LIMIT + 1)),
    ("depth 900", nested(900)),
    ("depth 5,000", nested(5000)),
    ("depth 5,000 and a lone surrogate", nested(5000).replace(b"1}", b'"\\ud800"}', 1)),
    ("depth 100,000 of brackets alone", b"[" * 100_000),
    ("a lone surrogate in what is no webhook", b'{"object":"\\ud800"}'),
]


@pytest.mark.parametrize("body", [row[1] for row in UNREADABLE], ids=[row[0] for row in UNREADABLE])
def test_a_body_is_refused_as_unreadable(body):
    with pytest.raises(UnreadableBodyError) as refusal:
        split(body)
    assert refusal.value.reason == "unreadable"


def test_a_depth_at_the_limit_is_taken():
    assert [item.kind for item in split(nested(DEPTH_LIMIT))] == ["change"]


def test_brackets_in_a_text_are_not_depth():
    value = {"metadata": {"phone_number_id": NUMBER}, "messages": [{"id": "w", "text": {"body": '[{\\"' * 500}}]}
    assert [item.kind for item in split(webhook(value))] == ["message"]


def test_many_siblings_are_not_depth():
    value = {"metadata": {"phone_number_id": NUMBER}, "messages": [{"id": "w", "contacts": [{"a": [{}]}] * 500}]}
    assert [item.kind for item in split(webhook(value))] == ["message"]


@pytest.mark.parametrize("written", [b"\\ud83d", b"\\ud83d\\ud83d", b"\\udc00"], ids=["high", "two high", "low"])
def test_a_lone_surrogate_becomes_the_replacement_character(written):
    body = webhook({"metadata": {"phone_number_id": NUMBER}, "messages": [{"id": "w", "text": {"body": "aQQb"}}]})
    (item,) = items_in(body.replace(b"QQ", written))
    assert item.update["text"]["body"].strip("\ufffd") == "a" + "\ufffd" * written.count(b"\\u") + "b"


def test_a_surrogate_pair_stays_the_character_that_it_is_beside_a_lone_one():
    body = webhook({"metadata": {"phone_number_id": NUMBER}, "messages": [{"id": "w", "text": {"body": "QQ"}}]})
    (item,) = items_in(body.replace(b"QQ", b"\\ud83d\\ude00\\ud83d"))
    assert item.update["text"]["body"] == "😀\ufffd"


def test_nul_stays_in_the_record_and_is_gone_when_it_is_read():
    value = {"metadata": {"phone_number_id": NUMBER}, "messages": [{"id": "w", "a\0b": ["x\0y", {"z": "\0"}]}]}
    (item,) = split(webhook(value))
    assert b"\\u0000" in record_of(item)
    assert read_record(record_of(item)).update == {"id": "w", "ab": ["xy", {"z": ""}]}


def test_a_backslash_before_u0000_is_a_text_and_stays():
    (item,) = items_in(webhook({"metadata": {"phone_number_id": NUMBER}, "messages": [{"id": "w\\u0000"}]}))
    assert item.update["id"] == "w\\u0000"


ODD: list[tuple[str, object, list[str]]] = [
    ("value is null", None, ["change"]),
    ("value is a text", "x", ["change"]),
    ("messages is no list", {"messages": {"id": "w"}}, ["change"]),
    ("messages is null", {"messages": None, "statuses": [{"id": "w"}]}, ["status"]),
    ("messages is empty", {"messages": []}, ["change"]),
    ("a message is a number", {"messages": [5]}, ["message"]),
    ("contacts is no list", {"contacts": 1, "messages": [{"id": "w"}]}, ["change"]),
    ("a contact is no object", {"contacts": [1], "messages": [{"id": "w"}]}, ["message"]),
    ("metadata is a text", {"metadata": "x", "messages": [{"id": "w"}]}, ["message"]),
    ("names of other types", {"messages": [{"id": 1, "from": 593, "from_user_id": []}]}, ["message"]),
]


@pytest.mark.parametrize(("value", "kinds"), [row[1:] for row in ODD], ids=[row[0] for row in ODD])
def test_an_odd_value_is_kept_and_refuses_nothing_else(value, kinds):
    assert [item.kind for item in items_in(webhook(value))] == kinds


def test_a_number_that_is_no_text_still_routes():
    value = {"metadata": {"phone_number_id": 106540352242922}, "messages": [{"id": "w", "from": 593987654321}]}
    (item,) = split(webhook(value))
    assert item.key == f"{NUMBER}|593987654321"


def test_a_value_of_a_wrong_shape_still_routes_by_its_number():
    (item,) = split(webhook({"metadata": {"phone_number_id": NUMBER}, "messages": 5}))
    assert item.number == NUMBER


@pytest.mark.parametrize(
    ("time", "seconds"),
    [(1790000200, 1790000200), ("1790000200", 1790000200), (1790000200.9, 1790000200), (None, None), ("soon", None),
     (1e300, None), ("9" * 400, None)],
)  # fmt: skip
def test_an_entrys_time_is_seconds_or_nothing(time, seconds):
    assert split(webhook({}, field="security", time=time))[0].entry_time == seconds


def test_an_entrys_id_may_be_a_number():
    assert split(webhook({}, field="security", id=17))[0].key == "waba:17"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.iterdir()))
def test_the_same_update_has_the_same_natural_key_wherever_it_stands(name):
    alone = json.loads(body_of(name))
    batch = json.dumps({"object": alone["object"], "entry": alone["entry"] + alone["entry"]}, indent=1).encode()
    keys = [natural_key(item) for item in items_in(batch)]
    assert keys == [natural_key(item) for item in items_of(name)] * 2


KEYS_OF = [
    ("message", "text", [("wamid.HBgMNTkzOTg3NjU0MzIxFQIAEhgUM0EwMUFGMjVDMEE5NDRF0001",)]),
    (
        "status",
        "status_read",
        [("wamid.HBgMNTkzOTg3NjU0MzIxFQIAERgSQ0FGRTAwMDAwMDAwMDAwMDAx", "read", "", "1790000102")],
    ),
    (
        "statuses of a group differ by participant",
        "status_group",
        [
            ("wamid.HBgMNTkzOTg3NjU0MzIxFQIAERgSQ0FGRTAwMDAwMDAwMDAwMDA1", "delivered", user, "1790000106")
            for user in (JUAN, ANA)
        ],
    ),
]


@pytest.mark.parametrize(("name", "keys"), [row[1:] for row in KEYS_OF], ids=[row[0] for row in KEYS_OF])
def test_a_natural_key_is_what_meta_calls_the_update(name, keys):
    assert [natural_key(item) for item in items_of(name)] == keys


def test_an_update_without_an_id_is_named_by_what_it_says():
    key = natural_key(item_of("template_status"))
    assert key[:3] == ("message_template_status_update", WABA, "1790000200")
    assert key != natural_key(item_of("template_status_no_reason"))


@pytest.mark.parametrize("value", [b"", b"{}", b'{"kind":"message"}', b"\xff", b"[" * 5000])
def test_a_record_that_is_none_is_dead_lettered(value):
    with pytest.raises(RecordError) as refusal:
        read_record(value)
    assert refusal.value.reason == "unreadable_item"


def test_a_number_that_no_machine_holds_is_dead_lettered_alone():
    body = webhook({"metadata": {"phone_number_id": NUMBER}, "messages": [{"id": "w", "n": 7770}, {"id": "v"}]})
    vast, fine = split(body.replace(b"7770", b"1e999"))
    with pytest.raises(RecordError):
        read_record(record_of(vast))
    assert read_record(record_of(fine)).update == {"id": "v"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)
VALUES = st.dictionaries(
    st.sampled_from(["metadata", "contacts", "messages", "statuses", "errors", "x"]),
    st.lists(
        st.dictionaries(st.sampled_from(["id", "from", "from_user_id", "group_id", "type", "user_id", "wa_id"]), JSON)
        | JSON
    )
    | JSON,
)


@given(VALUES | JSON)
def test_no_value_is_lost_and_none_breaks_anything(value):
    for item in split(webhook(value)):
        assert read_record(record_of(item)).path == item.path


@given(JSON)
def test_json_that_is_no_webhook_is_refused_and_nothing_else(value):
    with pytest.raises(UnreadableBodyError):
        split(json.dumps(value).encode())


@given(st.binary())
def test_bytes_are_refused_and_nothing_else(body):
    with pytest.raises(UnreadableBodyError):
        split(body)
