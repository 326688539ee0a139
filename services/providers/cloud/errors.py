"""Meta's error codes: one row a code, its class, our code and its source. Rule: what a code means is decided only here.

Decided on `code`, never on title or HTTP status (facts §3). The class says what to do, so retry and fault stand once a
class. Sources: D the official error page (2026-09-11), G the Graph reference, P pywa's table, W webhook samples.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

import msgspec

from services.domain.errors import Fault
from services.providers.contract import NotSent, Refused, SendOutcome, Unknown

Retry = Literal["never", "backoff", "throttle", "account"]
HTTP_CLIENT_ERROR: Final = 400
HTTP_REQUEST_TIMEOUT: Final = 408
HTTP_TOO_MANY: Final = 429
HTTP_SERVER_ERROR: Final = 500


class Kind(NamedTuple):
    """What to do about a class of codes: `account` means that a person must act before anything can be sent."""

    retry: Retry
    fault: Fault


CLASSES: Final = MappingProxyType(
    {
        "AUTH": Kind("account", "caller"),  # the token: stop the account's sends until there is a new one
        "ACCT": Kind("account", "caller"),  # the WABA or number is barred, unpaid, unregistered
        "RETRY": Kind("backoff", "whatsapp"),
        "LIM_APP": Kind("throttle", "whatsapp"),
        "LIM_WABA": Kind("throttle", "whatsapp"),
        "LIM_PHONE": Kind("throttle", "whatsapp"),
        "LIM_PAIR": Kind("throttle", "whatsapp"),
        "LIM_FLOW": Kind("throttle", "whatsapp"),
        "RCPT": Kind("never", "whatsapp"),  # this recipient: neither the caller nor we can help it
        "MSG": Kind("never", "caller"),  # this message
        "TMPL": Kind("never", "caller"),  # this template
        "REG": Kind("never", "caller"),  # registration calls only
        "MGMT": Kind("never", "caller"),  # management calls only
        "INBOUND": Kind("never", "whatsapp"),  # rides on users' messages, never on sends
        "UNKNOWN": Kind("never", "whatsapp"),
    }
)


class Rule(NamedTuple):
    """One row: `code` is ours; `wait_seconds` is how long the condition is known to last, where Meta says so."""

    class_: str
    code: str
    source: str
    title: str
    wait_seconds: float | None = None

    @property
    def retry(self) -> Retry:
        return CLASSES[self.class_].retry

    @property
    def fault(self) -> Fault:
        return CLASSES[self.class_].fault


def _span(first: int, last: int, rule: Rule) -> dict[int, Rule]:
    return dict.fromkeys(range(first, last + 1), rule)


RULES: Final[Mapping[int, Rule]] = MappingProxyType(
    {
        # authorisation
        0: Rule("AUTH", "token_invalid", "D", "The app user cannot be authenticated"),
        3: Rule("AUTH", "token_invalid", "D", "The token lacks a capability or permission"),
        10: Rule("AUTH", "token_invalid", "D", "Permission is denied or not given"),
        104: Rule("AUTH", "token_invalid", "G", "The appsecret_proof or token is missing"),
        190: Rule("AUTH", "token_invalid", "D", "The token has expired or is invalid"),
        **_span(200, 299, Rule("AUTH", "token_invalid", "D", "A permission is missing")),
        131005: Rule("AUTH", "token_invalid", "D", "Access is denied"),
        # temporary
        1: Rule("RETRY", "temporarily_unavailable", "D", "Invalid request or server error"),
        2: Rule("RETRY", "temporarily_unavailable", "D", "The service is down or overloaded"),
        131000: Rule("RETRY", "temporarily_unavailable", "D", "The message failed for an unknown reason"),
        131016: Rule("RETRY", "temporarily_unavailable", "D", "The service is unavailable"),
        131057: Rule("RETRY", "temporarily_unavailable", "D", "The number is in maintenance mode", 60),
        133004: Rule("RETRY", "temporarily_unavailable", "D", "The server is temporarily unavailable"),
        134101: Rule("RETRY", "temporarily_unavailable", "D", "The template is still being synchronised", 600),
        # limits
        4: Rule("LIM_APP", "throttled", "D", "The app has reached its call limit"),
        17: Rule("LIM_APP", "throttled", "G", "The user has reached the call limit"),
        32: Rule("LIM_APP", "throttled", "G", "The page has reached the call limit"),
        341: Rule("LIM_APP", "throttled", "G", "The application limit is reached"),
        613: Rule("LIM_APP", "throttled", "G", "Calls exceed the rate limit"),
        80007: Rule("LIM_WABA", "throttled", "D", "The WABA has reached its rate limit"),
        80008: Rule("LIM_WABA", "throttled", "G", "Too many management calls for this WABA"),
        130429: Rule("LIM_PHONE", "throttled", "D", "The number's throughput is reached"),
        131048: Rule("LIM_PHONE", "throttled", "D", "The number's spam rate limit is reached"),
        131208: Rule("LIM_PHONE", "throttled", "D", "The group rate limit is reached"),
        131056: Rule("LIM_PAIR", "throttled", "D", "Too many messages to this user in a short time"),
        132069: Rule("LIM_FLOW", "throttled", "D", "The flow is throttled to 10 messages an hour", 3600),
        # the recipient
        130403: Rule("RCPT", "recipient_blocked", "D", "The business has blocked this user"),
        130472: Rule("RCPT", "marketing_withheld", "D", "The user is part of a marketing experiment"),
        130497: Rule("RCPT", "country_barred", "D", "The account may not message users of this country"),
        131026: Rule("RCPT", "undeliverable", "D", "The message cannot be delivered to this user"),
        131049: Rule("RCPT", "marketing_withheld", "D", "Withheld to maintain healthy engagement"),
        131050: Rule("RCPT", "opted_out", "D", "The user has stopped marketing messages"),
        137000: Rule("RCPT", "identity_mismatch", "D", "The recipient's identity key has changed"),
        # the message
        100: Rule("MSG", "invalid_parameter", "D", "A parameter is invalid"),
        131008: Rule("MSG", "invalid_parameter", "D", "A required parameter is missing"),
        131009: Rule("MSG", "invalid_parameter", "D", "A parameter's value is not valid"),
        131014: Rule("MSG", "media_unavailable", "W", "The linked media could not be fetched"),
        **_span(131201, 131206, Rule("MSG", "group_refused", "D", "The group does not allow this")),
        **_span(131209, 131213, Rule("MSG", "group_refused", "D", "The group does not allow this")),
        131020: Rule("MSG", "group_refused", "D", "The group does not allow this"),
        131041: Rule("MSG", "group_refused", "D", "The group does not allow this"),
        131059: Rule("MSG", "group_refused", "D", "The group does not allow this"),
        131021: Rule("MSG", "recipient_is_sender", "D", "Sender and recipient are the same number"),
        131030: Rule("MSG", "recipient_not_allowed", "P", "The recipient is not among the test numbers"),
        131047: Rule("MSG", "window_closed", "D", "More than 24 hours since the user's last message"),
        131051: Rule("MSG", "unsupported_type", "D", "This message type is not supported"),
        131053: Rule("MSG", "media_invalid", "D", "The media could not be uploaded or is not valid"),
        131055: Rule("MSG", "marketing_only", "D", "Only marketing templates may be sent this way"),
        131062: Rule("MSG", "recipient_unsupported", "D", "This message needs a phone number"),
        132000: Rule("MSG", "template_variables", "D", "The number of template parameters is wrong"),
        132005: Rule("MSG", "content_length", "D", "The filled-in template is too long"),
        132008: Rule("MSG", "template_variables", "P", "A template parameter is invalid"),
        132012: Rule("MSG", "template_variables", "D", "A template parameter has the wrong format"),
        132018: Rule("MSG", "template_variables", "D", "A template parameter is not valid"),
        134100: Rule("MSG", "marketing_only", "D", "Only marketing messages may be sent this way"),
        135000: Rule("MSG", "invalid_parameter", "D", "An unknown error with the parameters"),
        **_span(138000, 138018, Rule("MSG", "call_refused", "D", "The call is not possible")),
        **_span(139000, 139004, Rule("MSG", "flow_refused", "D", "The flow cannot be sent")),
        **_span(139100, 139103, Rule("MSG", "block_refused", "D", "The user cannot be blocked or unblocked")),
        # the template
        131063: Rule("TMPL", "template_not_sendable", "D", "Marketing templates are disabled for this WABA"),
        132001: Rule("TMPL", "template_not_sendable", "D", "The template does not exist in this language"),
        132007: Rule("TMPL", "template_not_sendable", "D", "The template violates a WhatsApp policy"),
        132015: Rule("TMPL", "template_not_sendable", "D", "The template is paused"),
        132016: Rule("TMPL", "template_not_sendable", "D", "The template is disabled for good"),
        132068: Rule("TMPL", "template_not_sendable", "D", "The flow is blocked"),
        # the account
        33: Rule("ACCT", "number_not_registered", "D", "The number is deleted or not visible"),
        368: Rule("ACCT", "account_restricted", "D", "The account is blocked for a policy violation"),
        131031: Rule("ACCT", "account_restricted", "D", "The account is locked"),
        131037: Rule("ACCT", "account_restricted", "D", "The number's display name is not approved"),
        131042: Rule("ACCT", "account_unpaid", "D", "There is a problem with the payment method"),
        131044: Rule("ACCT", "account_unpaid", "P", "There is a problem with the payment of calls"),
        131045: Rule("ACCT", "number_not_registered", "D", "The number's certificate is wrong"),
        131064: Rule("ACCT", "account_restricted", "D", "The account is limited for misclassified templates"),
        131207: Rule("ACCT", "account_restricted", "D", "The account may not use groups"),
        131214: Rule("ACCT", "account_restricted", "D", "The account may not use groups"),
        131215: Rule("ACCT", "account_restricted", "D", "The account may not use groups"),
        133010: Rule("ACCT", "number_not_registered", "D", "The number is not registered"),
        134011: Rule("ACCT", "account_unpaid", "D", "The terms of WhatsApp Payments are not accepted"),
        134102: Rule("ACCT", "account_restricted", "D", "Marketing messages are not available to this account"),
        134103: Rule("ACCT", "account_restricted", "D", "Marketing messages are not available to this account"),
        139200: Rule("ACCT", "account_restricted", "D", "Direct Send is blocked for this account"),
        # registration and migration
        133000: Rule("REG", "registration_refused", "D", "A former deregistration is incomplete"),
        133005: Rule("REG", "registration_refused", "D", "The PIN is wrong"),
        133006: Rule("REG", "registration_refused", "D", "The number must be verified"),
        133008: Rule("REG", "registration_refused", "D", "Too many guesses of the PIN"),
        133009: Rule("REG", "registration_refused", "D", "The PIN was guessed too fast"),
        133015: Rule("REG", "registration_refused", "D", "The number was deleted a moment ago", 300),
        133016: Rule("REG", "registration_refused", "D", "Too many registrations within 72 hours", 72 * 3600),
        2388012: Rule("REG", "registration_refused", "D", "The number cannot be migrated"),
        2388091: Rule("REG", "registration_refused", "D", "The number cannot be migrated"),
        2388093: Rule("REG", "registration_refused", "D", "The number cannot be migrated"),
        2388103: Rule("REG", "registration_refused", "D", "The number cannot be migrated"),
        2494100: Rule("REG", "registration_refused", "D", "The number is in maintenance for its migration"),
        # management
        **_span(147001, 147005, Rule("MGMT", "management_refused", "D", "The business username is refused")),
        **_span(200005, 200007, Rule("MGMT", "management_refused", "D", "Template insights are not available")),
        **_span(2494164, 2494179, Rule("MGMT", "management_refused", "D", "The sign-up in the app is refused")),
        **_span(2593107, 2593109, Rule("MGMT", "management_refused", "D", "The history cannot be synchronised")),
        1752041: Rule("MGMT", "management_refused", "D", "The onboarding was requested already"),
        2388019: Rule("MGMT", "management_refused", "D", "The WABA has too many templates"),
        2388039: Rule("MGMT", "management_refused", "D", "The template breaks a rule"),
        2388040: Rule("MGMT", "management_refused", "D", "The template breaks a rule"),
        2388047: Rule("MGMT", "management_refused", "D", "The template breaks a rule"),
        2388072: Rule("MGMT", "management_refused", "D", "The template breaks a rule"),
        2388073: Rule("MGMT", "management_refused", "D", "The template breaks a rule"),
        2388293: Rule("MGMT", "management_refused", "D", "The template breaks a rule"),
        2388299: Rule("MGMT", "management_refused", "D", "The template breaks a rule"),
        2388318: Rule("MGMT", "management_refused", "D", "An automatic template cannot be changed"),
        2388330: Rule("MGMT", "management_refused", "D", "An automatic template cannot be deleted"),
        2494055: Rule("MGMT", "management_refused", "D", "A sub-code that stands beside 130429"),
        # rides on users' messages
        131052: Rule("INBOUND", "media_unavailable", "D", "The user's media could not be downloaded"),
        131060: Rule("INBOUND", "message_unavailable", "D", "The user's message is not available"),
    }
)

NO_RULE: Final = Rule("UNKNOWN", "whatsapp_rejected", "-", "WhatsApp refused the message")


def rule_of(code: object) -> Rule:
    """Return the row of a code; a code without a row has NO_RULE, whatever it is."""
    return RULES.get(code, NO_RULE) if type(code) is int else NO_RULE


def classify(
    http_status: int, body: bytes | Mapping[str, Any], retry_after_seconds: float | None = None
) -> SendOutcome:
    """Say what an answer other than 2xx means for the attempt.

    With a code of Meta's the code decides. Without one the call was not performed at 429 and 408, refused at any other
    4xx, and its fate is unknown at everything else.
    """
    error = _error_in(body)
    rule = rule_of(error.get("code"))
    if rule.retry in ("backoff", "throttle"):
        wait = retry_after_seconds or rule.wait_seconds
        return NotSent(reason=rule.code, retry_after_seconds=wait, meta=_meta(error))
    if rule is not NO_RULE:
        return refusal(error)
    if http_status == HTTP_TOO_MANY:
        return NotSent(reason="throttled", retry_after_seconds=retry_after_seconds, meta=_meta(error))
    if not HTTP_CLIENT_ERROR <= http_status < HTTP_SERVER_ERROR:
        return Unknown(f"http_{http_status}")
    if http_status == HTTP_REQUEST_TIMEOUT or error.get("is_transient") is True:
        return NotSent(reason="temporarily_unavailable", retry_after_seconds=retry_after_seconds, meta=_meta(error))
    return refusal(error, f"HTTP {http_status}")


def refusal(error: Mapping[str, Any], detail: str = "") -> Refused:
    """Put one error object of Meta's, from an answer or a `failed` status, into our words. Total."""
    rule = rule_of(error.get("code"))
    meta = _meta(error)
    said = meta.get("details") or error.get("message") or error.get("title") or detail or rule.title
    return Refused(
        code=rule.code,
        title=rule.title,
        detail=str(said),
        fault=rule.fault,
        retryable=rule.retry in ("backoff", "throttle"),
        pause_account=rule.retry == "account",
        meta=meta,
    )


def _error_in(body: bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the error object of an answer, empty when there is none to be read."""
    answer: object = body
    if isinstance(body, bytes):
        try:
            answer = msgspec.json.decode(body)
        except (ValueError, RecursionError):
            return {}
    error = answer.get("error") if isinstance(answer, Mapping) else None
    return error if isinstance(error, Mapping) else {}


def _meta(error: Mapping[str, Any]) -> dict[str, Any]:
    data = error.get("error_data")  # an object, or a plain string on template endpoints
    details = data.get("details") if isinstance(data, Mapping) else data
    found = {
        "code": error.get("code"),
        "subcode": error.get("error_subcode"),
        "details": details,
        "fbtrace_id": error.get("fbtrace_id"),
    }
    return {name: value for name, value in found.items() if value is not None}


def first_error(errors: object) -> dict[str, Any] | None:
    """Put the first of a status's `errors[]` into the words of our API; None when there is none."""
    if not isinstance(errors, list) or not errors or not isinstance(errors[0], Mapping):
        return None
    return refusal(errors[0]).as_error()
