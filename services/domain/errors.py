"""The catalogue: every error says whether to retry, whose fault it is and what the user reads. No HTTP framework here.

RecadoError
├── ProblemError            a request cannot be served: one row of PROBLEMS, plus what was wrong with this one
└── WorkError               a record cannot be worked on now; the four kinds of architecture §2.6
    ├── DependencyAwayError     database or broker away: pause, repeat, dead-letter nothing
    ├── ConflictError           serialisation failure or deadlock: repeat the transaction, bounded
    ├── TenantUnavailableError  one tenant's schema or rights: its records are deferred, the others commit
    └── RecordError             data or bug: exactly this record goes to the dead letters
"""

from typing import Any, Final, Literal, NamedTuple

Fault = Literal["caller", "whatsapp", "recado"]


class Problem(NamedTuple):
    """One row of the catalogue: what a client is told, always with the same words."""

    code: str
    status: int
    title: str
    retryable: bool
    fault: Fault


def _rows(*rows: Problem) -> dict[str, Problem]:
    return {row.code: row for row in rows}


PROBLEMS: Final[dict[str, Problem]] = _rows(
    Problem("malformed_json", 400, "The body is not JSON", retryable=False, fault="caller"),
    Problem("tenant_missing", 400, "The credential names no tenant", retryable=False, fault="caller"),
    Problem("unauthenticated", 401, "No valid credential was presented", retryable=False, fault="caller"),
    Problem("tenant_invalid", 401, "The tenant does not belong to the credential", retryable=False, fault="caller"),
    Problem("signature_invalid", 401, "The webhook signature is missing or wrong", retryable=False, fault="caller"),
    Problem("permission_denied", 403, "The credential's role does not allow this", retryable=False, fault="caller"),
    Problem("verification_failed", 403, "The verify token is wrong", retryable=False, fault="caller"),
    Problem("not_found", 404, "There is no such thing here", retryable=False, fault="caller"),
    Problem("method_not_allowed", 405, "This path has no such method", retryable=False, fault="caller"),
    Problem("immutable_field", 409, "This field cannot be changed", retryable=False, fault="caller"),
    Problem("phone_number_taken", 409, "The number is registered already", retryable=False, fault="caller"),
    Problem("account_paused", 409, "The account is paused or disabled", retryable=False, fault="caller"),
    Problem("idempotency_key_spent", 409, "The Idempotency-Key is older than 7 days", retryable=False, fault="caller"),
    Problem("version_conflict", 412, "The thing changed since it was read", retryable=True, fault="caller"),
    Problem("too_large", 413, "The body is too large", retryable=False, fault="caller"),
    Problem("unsupported_media_type", 415, "The body must be application/json", retryable=False, fault="caller"),
    Problem("invalid", 422, "The request does not fit its schema", retryable=False, fault="caller"),
    Problem("unknown_field", 422, "The request has a field that does not exist", retryable=False, fault="caller"),
    Problem("phone_not_e164", 422, "A phone number must be + and digits (E.164)", retryable=False, fault="caller"),
    Problem("content_length", 422, "The content is too long or empty", retryable=False, fault="caller"),
    Problem("type_conflict", 422, "This type does not go with a template", retryable=False, fault="caller"),
    Problem("template_variables", 422, "The variables do not fit the template", retryable=False, fault="caller"),
    Problem("variable_format", 422, "A template variable has a forbidden form", retryable=False, fault="caller"),
    Problem("account_fields", 422, "The account lacks what its type needs", retryable=False, fault="caller"),
    Problem("waba_mismatch", 422, "The WABA belongs to somebody else", retryable=False, fault="caller"),
    Problem("bad_filter", 422, "A filter has an unknown value", retryable=False, fault="caller"),
    Problem("cursor_invalid", 422, "The cursor does not belong to this list", retryable=False, fault="caller"),
    Problem("idempotency_mismatch", 422, "The Idempotency-Key was used with another body", retryable=False,
            fault="caller"),
    Problem("whatsapp_rejected", 422, "WhatsApp refused the message", retryable=False, fault="whatsapp"),
    Problem("not_durable", 503, "The request could not be made durable", retryable=True, fault="recado"),
    Problem("store_unavailable", 503, "The database does not answer", retryable=True, fault="recado"),
    Problem("log_unavailable", 503, "Kafka does not answer", retryable=True, fault="recado"),
)  # fmt: skip


class RecadoError(Exception):
    """The root of every error that Recado raises on purpose."""


class ProblemError(RecadoError):
    """A request that cannot be served. `errors` rows: {"pointer", "code", "detail"}."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        pointer: str | None = None,
        errors: list[dict[str, str]] | None = None,
        retry_after_seconds: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem = PROBLEMS[code]
        self.detail = detail
        self.errors = errors or ([{"pointer": pointer, "code": code, "detail": detail}] if pointer else [])
        self.retry_after_seconds = retry_after_seconds
        self.extra = extra or {}


class WorkError(RecadoError):
    """A record that cannot be worked on now."""


class DependencyAwayError(WorkError):
    """The database or the broker does not answer: pause the partitions, repeat with jitter, dead-letter nothing."""


class ConflictError(WorkError):
    """Two transactions met: repeat the whole transaction, bounded."""


class TenantUnavailableError(WorkError):
    """One tenant's schema is missing, migrating or not permitted: its records wait, everybody else's go on."""


class RecordError(WorkError):
    """This record's data or our code is at fault: it goes to the dead letters with `reason`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
