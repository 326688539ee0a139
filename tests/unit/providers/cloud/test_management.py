import pytest

from services.providers.cloud.webhook import interpret
from services.providers.contract import AccountUpdate, UnknownUpdate
from tests.unit.providers.cloud.payloads import item_of, items_of, read_as


def account_update(name):
    return read_as(AccountUpdate, item_of(name))


WABA = "102290129340398"
NEWS = [
    # payload, event type, field of account_state, old, new
    ("template_status", "template_status_changed", None, None, "REJECTED"),
    ("template_status_no_reason", "template_status_changed", None, None, "APPROVED"),
    ("template_quality", "template_quality_changed", None, "GREEN", "YELLOW"),
    ("template_quality_misnamed", "template_quality_changed", None, "YELLOW", "RED"),
    ("template_components", "template_components_changed", None, None, "welcome_template"),
    ("template_category", "template_category_changed", None, "UTILITY", "MARKETING"),
    ("template_category_impending", "template_category_changed", None, None, "UTILITY"),
    ("quality_throughput", "account_limit_changed", "throughput", None, "HIGH"),
    ("quality_limit", "account_limit_changed", "messaging_limit", "TIER_NOT_SET", "TIER_250"),
    ("quality_flagged_old", "account_quality_changed", "quality_event", None, "FLAGGED"),
    ("name_decision", "account_name_changed", "name_status", None, "REJECTED"),
    ("account_restricted", "account_status_changed", "account_event", None, "RESTRICTED_BIZ_INITIATED_MESSAGING"),
    ("account_banned", "account_status_changed", "account_event", None, "SCHEDULE_FOR_DISABLE"),
    ("account_violation", "account_status_changed", "account_event", None, "SCAM"),
    ("account_partner_removed", "account_status_changed", "account_event", None, "PARTNER_REMOVED"),
    ("account_priced", "account_status_changed", None, None, "VOLUME_BASED_PRICING_TIER_UPDATE"),
    ("account_review", "account_status_changed", "review", None, "APPROVED"),
    ("account_alert", "account_alert", None, None, "INCREASED_CAPABILITIES_ELIGIBILITY_NEED_MORE_INFO"),
    ("account_settings", "account_settings_changed", None, None, "phone_number_settings"),
    ("capability_number", "account_limit_changed", "messaging_limit", None, "2000"),
    ("capability_tier", "account_limit_changed", "messaging_limit", None, "TIER_100K"),
    ("security_pin", "account_security_changed", None, None, "PIN_RESET_REQUEST"),
    ("username_approved", "account_username_changed", "username", None, "miempresa"),
    ("username_deleted_other_spelling", "account_username_changed", "username", None, "deleted"),
    ("payment_configuration", "account_payment_changed", None, None, "Needs Testing"),
    ("partner_solution", "account_partner_changed", None, None, "SOLUTION_UPDATED"),
    ("flow_alert", "account_flow_alert", None, None, "ENDPOINT_AVAILABILITY"),
    ("value_errors", "account_alert", None, None, "130429"),
]


@pytest.mark.parametrize(("name", "event", "state_field", "old", "new"), NEWS, ids=[row[0] for row in NEWS])
def test_a_management_field_is_an_account_event(name, event, state_field, old, new):
    update = account_update(name)
    assert (update.event_type, update.state_field, update.old, update.new) == (event, state_field, old, new)


def test_an_account_update_keeps_what_whatsapp_wrote():
    assert account_update("account_restricted").raw == item_of("account_restricted").update


def test_the_waba_is_the_entrys():
    assert account_update("template_status").waba_id == WABA


def test_a_partners_change_names_the_waba_inside():
    assert item_of("account_partner_removed").entry_id == "980198427658004"
    assert account_update("account_partner_removed").waba_id == WABA


def test_the_number_is_named_where_whatsapp_names_it():
    assert account_update("security_pin").display_phone_number == "14155238886"
    assert account_update("value_errors").display_phone_number == "14155238886"
    assert account_update("template_status").display_phone_number is None


@pytest.mark.parametrize(
    "name",
    ["history", "history_declined", "app_state_sync", "message_echoes", "standby", "messaging_handovers",
     "user_preferences", "user_id_update", "calls", "group_participants", "field_of_tomorrow", "value_empty"],
)  # fmt: skip
def test_a_field_without_a_meaning_here_is_kept_with_its_raw(name):
    item = item_of(name)
    assert interpret(item) == UnknownUpdate(item.field, item.update)


def test_errors_of_a_value_stand_beside_its_messages_and_statuses():
    kinds = [type(interpret(item)).__name__ for item in items_of("value_all_three")]
    assert kinds == ["InboundMessage", "StatusUpdate", "AccountUpdate"]
