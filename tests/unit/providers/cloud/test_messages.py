from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.errors import RecordError
from services.providers.cloud.content import READERS
from services.providers.cloud.webhook import RawItem, interpret, natural_key
from services.providers.contract import AccountUpdate, Identity, InboundMessage, StatusUpdate, UnknownUpdate
from tests.unit.providers.cloud.payloads import RECEIVED_AT, item_of, items_of, read_as

JUAN = Identity(wa_id="593987654321", bsuid="EC.13491208655302741918", name="Juan Pérez")
GREETING = "wamid.HBgMNTkzOTg3NjU0MzIxFQIAERgSQ0FGRTAwMDAwMDAwMDAwMDAx"
QUESTION = "wamid.HBgMNTkzOTg3NjU0MzIxFQIAERgSQ0FGRTAwMDAwMDAwMDAwMDAy"
ORIGINAL = "wamid.HBgMNTkzOTg3NjU0MzIxFQIAEhgUM0EwMQ=="
SHA = "29ed500fa64eb55fc19dc4124acb300e5dcca0f822a301ae99944db0bb2e1c51"
CARDS = [
    {
        "name": {"formatted_name": "Ana Ruiz", "first_name": "Ana"},
        "phones": [{"phone": "+593 99 111 2222", "wa_id": "593991112222", "type": "WORK"}],
    },
    {"name": {"formatted_name": "Luis Vera", "first_name": "Luis"}, "phones": []},
]
NOBODY = {"wa_id": None, "user_id": None, "parent_user_id": None}
UNKNOWN_TYPE = {"code": 131051, "title": "Message type unknown"}


def raw(update, *, kind="message", field="messages", contact=None):
    return RawItem(kind, "/entry/0", "102290129340398", None, field, None, contact, update, "house", "", RECEIVED_AT)


def message_of(name):
    return read_as(InboundMessage, item_of(name))


def reading_of(update, **more):
    return read_as(InboundMessage, raw(update, **more))


READINGS = [
    # payload, type, what a person reads, one part of the detail
    ("text", "text", "Hola, quiero saber el precio", {}),
    ("text_forwarded", "text", "Mira esto", {"context": {"forwarded": True, "frequently_forwarded": True}}),
    ("image", "image", "mi comprobante", {"media": {"id": "1479537139650973", "mime_type": "image/jpeg", "sha256": SHA,
                                                    "caption": "mi comprobante"}}),
    ("location", "location", "Oficina Quito", {"location": {
        "latitude": -0.1807, "longitude": -78.4678, "name": "Oficina Quito", "address": "Av. Amazonas N24-03"}}),
    ("location_bare", "location", "Malecón 2000", {"location": {"latitude": -2.1894, "longitude": -79.8891,
                                                                "address": "Malecón 2000"}}),
    ("contacts", "contacts", "Ana Ruiz, Luis Vera", {"contacts": CARDS}),
    ("reaction", "reaction", "👍", {"reaction": {"emoji": "👍", "target": GREETING}}),
    ("reaction_removed", "reaction", "", {"reaction": {"emoji": "", "target": GREETING}}),
    ("reaction_removed_empty", "reaction", "", {"reaction": {"emoji": "", "target": GREETING}}),
    ("button_reply", "interactive", "Sí", {"interactive": {"type": "button_reply", "id": "si", "title": "Sí"}}),
    ("list_reply", "interactive", "09:00", {"interactive": {"type": "list_reply", "id": "9", "title": "09:00",
                                                            "description": "Mañana"}}),
    ("flow_reply", "interactive", "Sent", {"interactive": {
        "type": "nfm_reply", "name": "flow", "response": '{"flow_token":"t-77","fecha":"2026-12-01"}'}}),
    ("flow_reply_no_object", "interactive", "Sent", {"interactive": {"type": "nfm_reply", "name": "flow",
                                                                     "response": "not { json"}}),
    ("call_permission_reply", "interactive", "accept", {"interactive": {
        "type": "call_permission_reply", "response": "accept", "expiration_timestamp": 1790600000,
        "response_source": "user_action"}}),
    ("interactive_unknown", "interactive", "", {"interactive": {"type": "product", "raw": {
        "type": "product", "product": {"catalog_id": "194836987003835", "product_retailer_id": "sku-1"}}}}),
    ("interactive_errors_only", "interactive", "", {"interactive": {"type": "", "raw": {}}, "errors": [UNKNOWN_TYPE]}),
    ("template_button", "button", "Pagar ahora", {"button": {"payload": "PAGAR", "text": "Pagar ahora"}}),
    ("order", "order", "Para el viernes", {"order": {
        "catalog_id": "194836987003835", "text": "Para el viernes", "product_items": [
            {"product_retailer_id": "di9ozbzfi4", "quantity": 2, "item_price": "30.5", "currency": "USD"}]}}),
    ("edit", "edit", "El martes, no el lunes", {"edit": {"original_wamid": ORIGINAL, "type": "text"}}),
    ("revoke", "revoke", "", {"revoke": {"original_wamid": ORIGINAL}}),
    ("unknown_old", "unknown", "", {"unsupported": {"type": "unknown"}, "errors": [
        {"code": 131051, "title": "Unsupported message type",
         "details": "Message type is not currently supported"}]}),
    ("type_of_tomorrow", "hologram", "", {}),
    ("request_welcome", "request_welcome", "", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "type_", "content", "detail"), READINGS, ids=[row[0] for row in READINGS])
def test_a_message_is_read_by_its_type(name, type_, content, detail):
    message = message_of(name)
    assert (message.type, message.content, message.detail) == (type_, content, detail)


MEDIA = [
    ("video", {"id": "1166846181421424", "mime_type": "video/mp4", "caption": "el daño"}, "el daño"),
    ("document", {"id": "1003383421387256", "mime_type": "application/pdf", "filename": "cédula.pdf"}, ""),
    ("audio_voice", {"id": "732843459264186", "mime_type": "audio/ogg; codecs=opus", "voice": True}, ""),
    ("voice_old", {"id": "463eb7ec-ff1f-4d94-9a65-a1f74dc1a1ec", "mime_type": "audio/ogg; codecs=opus"}, ""),
    ("sticker", {"id": "798882015472548", "mime_type": "image/webp", "animated": True}, ""),
]


@pytest.mark.parametrize(("name", "media", "content"), MEDIA, ids=[row[0] for row in MEDIA])
def test_media_is_a_reference_with_its_caption_to_read(name, media, content):
    message = message_of(name)
    without_hash = {key: value for key, value in message.detail["media"].items() if key != "sha256"}
    assert (without_hash, message.content) == (media, content)


def test_metas_five_minute_url_is_not_handed_on():
    assert "url" not in message_of("image").detail["media"]


EVENTS = [
    ("text", "message_received"),
    ("unsupported", "message_received"),
    ("type_of_tomorrow", "message_received"),
    ("reaction", "reaction_received"),
    ("reaction_removed", "reaction_received"),
    ("edit", "message_edited"),
    ("revoke", "message_revoked"),
    ("system_changed_number", "contact_identity_changed"),
    ("system_identity_changed_old", "contact_identity_changed"),
]


@pytest.mark.parametrize(("name", "event"), EVENTS)
def test_a_message_is_announced_by_its_kind(name, event):
    assert message_of(name).event_type == event


SENDERS = [
    ("a user with a number", "text", JUAN),
    ("a user without a number", "text_username",
     Identity(bsuid=JUAN.bsuid, username="juan.perez", name="Juan Pérez")),
    ("a member of a group", "text_group",
     Identity(wa_id=JUAN.wa_id, bsuid=JUAN.bsuid, name="Juan Pérez", group_id="Y2FwaV9ncm91cDoxNzA1NTU")),
    ("before BSUIDs", "dashboard_test", Identity(wa_id="16315551181", name="test user name")),
    ("a system message without from", "system_changed_user_id", Identity(bsuid="EC.99120865530274190000")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sender"), [row[1:] for row in SENDERS], ids=[row[0] for row in SENDERS])
def test_a_sender_is_known_by_every_name_that_was_given(name, sender):
    assert message_of(name).sender == sender


def test_a_name_that_the_message_leaves_out_comes_from_its_contact():
    contact = {"wa_id": "1", "user_id": "EC.1", "parent_user_id": "EC.ENT.9", "profile": {"name": "A", "username": "b"}}
    sender = reading_of({"id": "w", "type": "text"}, contact=contact).sender
    assert sender == Identity("1", "EC.1", "EC.ENT.9", "b", "A")


def test_a_parents_bsuid_is_kept():
    assert reading_of({"id": "w", "from_parent_user_id": "EC.ENT.9"}).sender.parent_bsuid == "EC.ENT.9"


def test_a_reply_and_a_tap_name_the_message_that_they_answer():
    assert [message_of(name).reply_to_wamid for name in ("text_reply", "button_reply")] == [GREETING, QUESTION]


def test_a_forwarded_message_answers_nothing():
    assert message_of("text_forwarded").reply_to_wamid is None


def test_an_ad_that_led_to_the_message_is_kept():
    assert message_of("text_referral").detail["referral"]["source_id"] == "120208412345670187"


def test_what_whatsapp_cannot_show_says_of_which_kind_it_is():
    detail = message_of("unsupported").detail
    assert (detail["unsupported"], detail["errors"][0]["code"]) == ({"type": "poll_creation"}, 131051)


def test_a_new_number_is_told_with_old_and_new_names():
    assert message_of("system_changed_number").detail["system"] == {
        "type": "user_changed_number",
        "kind": "phone",
        "old": {"wa_id": "593987654321", "user_id": "EC.13491208655302741918", "parent_user_id": None},
        "new": {"wa_id": "593980000001", "user_id": "EC.99120865530274190000", "parent_user_id": None},
    }


def test_a_new_user_id_is_told_without_a_number():
    system = message_of("system_changed_user_id").detail["system"]
    assert (system["kind"], system["old"], system["new"]) == (
        "user_id",
        NOBODY | {"user_id": "EC.13491208655302741918"},
        NOBODY | {"user_id": "EC.99120865530274190000"},
    )


def test_a_new_device_changes_the_key_and_no_name():
    system = message_of("system_identity_changed_old").detail["system"]
    assert (system["kind"], system["identity"]["acknowledged"]) == ("identity_key", True)


def test_a_system_message_of_an_unknown_kind_is_still_told():
    update = reading_of({"id": "w", "type": "system", "system": {"type": "user_moved_to_mars", "body": "bye"}})
    assert (update.content, update.detail["system"]["kind"]) == ("bye", "unknown")


def test_an_edit_of_a_picture_is_read_like_the_picture():
    inner = {"type": "image", "image": {"id": "7", "caption": "mejor"}}
    update = reading_of({"id": "w", "type": "edit", "edit": {"original_message_id": "o", "message": inner}})
    assert (update.content, update.detail) == (
        "mejor",
        {"media": {"id": "7", "caption": "mejor"}, "edit": {"original_wamid": "o", "type": "image"}},
    )


def test_an_edit_of_an_edit_is_not_followed():
    edit = {"original_message_id": "o", "message": {"type": "edit", "edit": {"message": {"type": "text"}}}}
    assert reading_of({"id": "w", "type": "edit", "edit": edit}).content == ""


TIMES = [
    ("seconds as text", "1790000000", datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)),
    ("seconds as a number", 1790000000, datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)),
    ("absent", None, None),
    ("empty", "", None),
    ("a word", "now", None),
    ("negative", "-1", None),
    ("milliseconds", "1790000000000", None),
    ("before WhatsApp", "12", None),
    ("other digits", "١٧٩٠٠٠٠٠٠٠", None),
    ("a list", [1790000000], None),
    ("true", True, None),
]


@pytest.mark.parametrize(("written", "read"), [row[1:] for row in TIMES], ids=[row[0] for row in TIMES])
def test_a_time_is_a_moment_or_nothing(written, read):
    assert reading_of({"id": "w", "timestamp": written}).timestamp == read


@pytest.mark.parametrize("kind", ["message", "status"])
@pytest.mark.parametrize("update", [{}, {"id": ""}, {"id": None}, {"id": {}}, 5, None, []], ids=repr)
def test_what_nothing_can_name_is_dead_lettered(kind, update):
    for read in (interpret, natural_key):
        with pytest.raises(RecordError) as refusal:
            read(raw(update, kind=kind))
        assert refusal.value.reason == "unreadable_item"


def test_the_messages_of_a_batch_are_read_one_by_one():
    contents = [read_as(InboundMessage, item).content for item in items_of("batch") if item.kind == "message"]
    assert contents == ["uno", "dos", "tres", "para otra empresa"]


NAMES = st.sampled_from(
    ["id", "type", "body", "name", "message", "emoji", "system", "edit", "profile", "alert_info", "ban_info", "errors"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
UPDATES = st.builds(
    lambda type_, part, more: {"id": "w", "type": type_, type_: part} | more,
    st.sampled_from(sorted(READERS)),
    JSON,
    st.dictionaries(st.sampled_from(["context", "referral", "errors", "timestamp", "from", "status", "pricing"]), JSON),
)


@given(UPDATES, JSON, st.sampled_from(["message", "status", "error", "change"]))
def test_no_shape_of_any_type_breaks_the_reading(update, contact, kind):
    known = InboundMessage | StatusUpdate | AccountUpdate | UnknownUpdate
    assert isinstance(interpret(raw(update, kind=kind, contact=contact)), known)
    assert all(isinstance(part, str) for part in natural_key(raw(update, kind=kind)))
