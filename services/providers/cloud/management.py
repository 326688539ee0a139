"""What WhatsApp says of accounts, numbers and templates: one row a field. Pure and total. Not here: users' messages
and statuses (content.py), what our rooms do about it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from services.providers.cloud.content import obj, objects, some
from services.providers.contract import AccountUpdate, UnknownUpdate

Json = Mapping[str, Any]


class News(NamedTuple):
    """What changed: event type, the account_state field that holds the new value (None: none does), old, new."""

    event_type: str
    state_field: str | None = None
    old: str | None = None
    new: str | None = None


def read_account_update(field: str, waba_id: str, value: object) -> AccountUpdate | UnknownUpdate:
    """Read one change of a management field; a field without a row stays an UnknownUpdate with its raw."""
    reader = FIELDS.get(field)
    if reader is None or not isinstance(value, dict):
        return UnknownUpdate(field, value)
    news = reader(value)
    return AccountUpdate(
        field=field,
        event_type=news.event_type,
        # PARTNER_* changes may carry the partner's business in entry.id and the WABA inside (facts §1.6)
        waba_id=some(obj(value.get("waba_info")).get("waba_id")) or waba_id,
        display_phone_number=some(value.get("display_phone_number")),
        state_field=news.state_field,
        old=news.old,
        new=news.new,
        raw=value,
    )


def read_error(waba_id: str, metadata: Json, error: object) -> AccountUpdate:
    """Read one element of `errors[]` that stands beside no message: trouble of the app, number or account."""
    return AccountUpdate(
        field="messages",
        event_type="account_alert",
        waba_id=waba_id,
        display_phone_number=some(metadata.get("display_phone_number")),
        state_field=None,
        old=None,
        new=some(obj(error).get("code")),
        raw=error,
    )


def _says(event_type: str, state_field: str | None, new: str, old: str = "") -> Callable[[Json], News]:
    """A reader that takes old and new from the keys of these names."""
    return lambda value: News(event_type, state_field, some(value.get(old)) if old else None, some(value.get(new)))


_template_quality = _says("template_quality_changed", None, "new_quality_score", old="previous_quality_score")
_template_category = _says("template_category_changed", None, "new_category", old="previous_category")


def _template_status(value: Json) -> News:
    """Meta's own example prints a quality update under this field: told by its shape (facts §8.6)."""
    if "new_quality_score" in value and "event" not in value:
        return _template_quality(value)
    return News("template_status_changed", None, None, some(value.get("event")))


def _quality(value: Json) -> News:
    """One field for three matters: the quality, the throughput and the messaging limit of a number."""
    event = some(value.get("event"))
    if event in ("FLAGGED", "UNFLAGGED"):
        return News("account_quality_changed", "quality_event", None, event)
    if event == "THROUGHPUT_UPGRADE":
        return News("account_limit_changed", "throughput", None, "HIGH")
    limit = some(value.get("max_daily_conversations_per_business")) or some(value.get("current_limit"))
    return News("account_limit_changed", "messaging_limit", some(value.get("old_limit")), limit)


def _capability(value: Json) -> News:
    """Documented as TIER_*, shown as an integer: both are kept as text (facts §8.5)."""
    limit = some(value.get("max_daily_conversations_per_business"))
    limit = limit or some(value.get("max_daily_conversation_per_phone"))
    return News("account_limit_changed", "messaging_limit" if limit else None, None, limit)


def _account(value: Json) -> News:
    event = some(value.get("event"))
    if event not in STATUS_EVENTS:
        return News("account_status_changed", None, None, event)
    ban = some(obj(value.get("ban_info")).get("waba_ban_state"))
    violation = some(obj(value.get("violation_info")).get("violation_type"))
    restrictions = objects(value.get("restriction_info"))
    restriction = some(restrictions[0].get("restriction_type")) if restrictions else None
    return News("account_status_changed", "account_event", None, ban or restriction or violation or event)


def _alert(value: Json) -> News:
    alert = obj(value.get("alert_info")) or value  # older webhooks carry the fields at the top
    return News("account_alert", None, None, some(alert.get("alert_type")))


def _username(value: Json) -> News:
    """The name is left out when it was deleted."""
    return News("account_username_changed", "username", None, some(value.get("username")) or some(value.get("status")))


STATUS_EVENTS: Final = frozenset(
    {  # of account_update: those that say whether the account can send; the others are news and hold no state
        "ACCOUNT_DELETED",
        "ACCOUNT_OFFBOARDED",
        "ACCOUNT_RECONNECTED",
        "ACCOUNT_RESTRICTION",
        "ACCOUNT_VIOLATION",
        "DISABLED_UPDATE",
        "PARTNER_APP_UNINSTALLED",
        "PARTNER_REMOVED",
    }
)

FIELDS: Final[Mapping[str, Callable[[Json], News]]] = MappingProxyType(
    {  # facts §1.6
        "message_template_status_update": _template_status,
        "message_template_quality_update": _template_quality,
        "message_template_components_update": _says("template_components_changed", None, "message_template_name"),
        "template_category_update": _template_category,
        "phone_number_quality_update": _quality,
        "phone_number_name_update": _says("account_name_changed", "name_status", "decision"),
        "account_update": _account,
        "account_review_update": _says("account_status_changed", "review", "decision"),
        "account_alerts": _alert,
        "account_settings_update": _says("account_settings_changed", None, "type"),
        "business_capability_update": _capability,
        "business_username_update": _username,
        "business_username_updates": _username,  # both spellings were seen (facts §8.4)
        "security": _says("account_security_changed", None, "event"),
        "payment_configuration_update": _says("account_payment_changed", None, "status"),
        "partner_solutions": _says("account_partner_changed", None, "event"),
        "flows": _says("account_flow_alert", None, "event"),
    }
)
