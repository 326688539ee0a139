"""A user writes: what `POST /control/inbound` takes, made into a webhook body (facts §1.7). Not here: posting.

Taken: a bare message {"phone_number_id", "from", "type", …}; a whole value (alone, or as {"value", "field"?}); a whole
body ({"object", "entry"}, or as {"body"}, an object or a text that is posted as it stands). Beside each of them
`phone_number_id` or `waba_id` may say whose it is, `app_secret` and `webhook_url` where it goes instead.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from services.simulator.calls import ControlError
from services.simulator.envelope import change_envelope, render, value_of
from services.simulator.identities import digits, user_id, wamid
from services.simulator.numbers import App, Number, Numbers
from services.simulator.statuses import Json, contact

_ROUTE: Final = frozenset({"phone_number_id", "waba_id", "app_secret", "webhook_url", "field", "retry"})
_WRAPPING: Final = _ROUTE | {"name", "username"}
_NOBODY: Final = frozenset({"system"})  # message types that come without contacts


class Inbound(msgspec.Struct, frozen=True):
    """`retry`: go on posting in the background, as Meta does, when the first answer is not 200."""

    app: App
    body: bytes
    ids: list[str]
    retry: bool = False


def read_inbound(asked: Json, numbers: Numbers, now_seconds: float) -> Inbound:
    """Raise ControlError when it cannot be told whose webhook this is, or how to sign it."""
    body = asked.get("body")
    if isinstance(body, str):
        return Inbound(_app(asked, None), body.encode("utf-8", "surrogatepass"), [], bool(asked.get("retry")))
    if isinstance(body, dict) or "entry" in asked:
        whole = body if isinstance(body, dict) else {key: part for key, part in asked.items() if key not in _ROUTE}
        number = _number(asked, whole, numbers)
    else:
        number, whole = _wrap(asked, numbers, now_seconds)
    return Inbound(_app(asked, number), render(whole), _ids(whole), bool(asked.get("retry")))


def _wrap(asked: Json, numbers: Numbers, now_seconds: float) -> tuple[Number | None, Json]:
    field = str(asked.get("field", "messages"))
    if "value" in asked or "metadata" in asked:
        value = asked.get("value") or {key: part for key, part in asked.items() if key not in _ROUTE}
        number = _number(asked, value, numbers)
        if number is not None and field == "messages":
            value = value_of(number) | value
    else:
        number = _number(asked, asked, numbers)
        if number is None:
            raise ControlError("phone_number_id is not a registered number: POST /control/numbers first")
        value = _message_value(asked, number, now_seconds)
    waba = str(asked.get("waba_id") or (number.waba_id if number else "0"))
    return number, change_envelope(waba, value, field=field, time=None if field == "messages" else int(now_seconds))


def _message_value(asked: Json, number: Number, now_seconds: float) -> Json:
    """A value with one message; `text` may be given as a plain text, `from` as people write phones."""
    kind = asked.get("type", "text")
    phone = digits(str(asked.get("from", "")))
    user = str(asked.get("from_user_id", ""))
    if not phone and not user and kind not in _NOBODY:
        raise ControlError("who writes? give from (a phone) or from_user_id")
    message: Json = {"from": phone} if phone else {}
    message["from_user_id"] = user or user_id(phone)
    message["id"] = asked.get("id") or wamid(phone or user, inbound=True)
    message["timestamp"] = str(asked.get("timestamp", int(now_seconds)))
    message |= {key: part for key, part in asked.items() if key not in _WRAPPING | {"from", "timestamp", "id"}}
    message["type"] = kind
    if isinstance(message.get("text"), str):
        message["text"] = {"body": message["text"]}
    value = value_of(number)
    if kind not in _NOBODY:
        person = contact(phone, message["from_user_id"], str(asked.get("name", "")))
        if "username" in asked:
            person["profile"]["username"] = asked["username"]
        value["contacts"] = [person]
    return value | {"messages": [message]}


def _number(asked: Json, around: Mapping[str, Any], numbers: Numbers) -> Number | None:
    """Whose webhook: named beside it, else found in it."""
    named = asked.get("phone_number_id") or next(_named(around), None)
    if named:
        return numbers.find(str(named))
    waba = asked.get("waba_id") or next((entry.get("id") for entry in _objects(around.get("entry"))), None)
    return numbers.of_waba(str(waba)) if waba else None


def _named(around: Mapping[str, Any]) -> Any:
    for value in (around, *_values(around)):
        metadata = value.get("metadata")
        if isinstance(metadata, dict) and metadata.get("phone_number_id"):
            yield metadata["phone_number_id"]


def _values(whole: Mapping[str, Any]) -> list[Json]:
    changes = [change for entry in _objects(whole.get("entry")) for change in _objects(entry.get("changes"))]
    return [change["value"] for change in changes if isinstance(change.get("value"), dict)]


def _objects(value: Any) -> list[Json]:
    """The objects of a list; tolerant, for malformed webhooks are posted on purpose."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _ids(whole: Json) -> list[str]:
    return [
        str(message["id"]) for value in _values(whole) for message in _objects(value.get("messages")) if "id" in message
    ]


def _app(asked: Json, number: Number | None) -> App:
    url = asked.get("webhook_url") or (number.webhook_url if number else "")
    secret = asked.get("app_secret") or (number.app_secret if number else "")
    if not url or not secret:
        raise ControlError(
            "cannot sign or post: register the number with app_secret and webhook_url, or give both here"
        )
    return App(str(url), str(secret))
