"""Send attempts: one row per call that may have reached WhatsApp. Statements of a batch; never commits."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from services.store.arrays import Table, after_seconds, as_json, json, of, text, transpose
from services.store.tenancy import Statement

_CLAIMS: Final = Table(
    "recado.send_attempts",
    (*of("integer", "tenant_id"), *text("message_id"), *of("integer", "attempt"), after_seconds("lease_until")),
)
_INSERT: Final = _CLAIMS.insert(order="message_id, attempt", conflict="DO NOTHING")
_OUTCOMES: Final = Table(
    "recado.send_attempts",
    (*of("integer", "tenant_id"), *text("message_id"), *of("integer", "attempt"), *text("outcome", "wamid", "code"),
     *json("detail")),
)  # fmt: skip
# what a status has told of an attempt stays: the first outcome wins, except that UNKNOWN may become known
_SETTLE: Final = f"""
UPDATE recado.send_attempts AS t SET outcome = x.outcome, wamid = x.wamid, code = x.code, detail = x.detail::jsonb,
    answered_at = now()
FROM {_OUTCOMES.source()} CROSS JOIN LATERAL (
    SELECT a.ctid FROM recado.send_attempts a
    WHERE a.tenant_id = x.tenant_id AND a.message_id = x.message_id AND a.attempt = x.attempt OFFSET 0) AS found
WHERE t.ctid = found.ctid AND (t.outcome IS NULL OR t.outcome = 'unknown')"""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`outcome`: sent, refused, not_sent, unknown."""

    message_id: str
    attempt: int
    outcome: str
    wamid: str | None = None
    code: str | None = None
    detail: Any = None


def claim(tenant: int, claims: Sequence[tuple[str, int]], lease_seconds: float) -> list[Statement]:
    if not claims:
        return []
    arrays = transpose(sorted(claims), lambda _: tenant, lambda c: c[0], lambda c: c[1], lambda _: lease_seconds)
    return [Statement("", _INSERT, arrays)]


def settle(tenant: int, outcomes: Sequence[Outcome]) -> list[Statement]:
    if not outcomes:
        return []
    arrays = transpose(
        outcomes, lambda _: tenant, lambda o: o.message_id, lambda o: o.attempt, lambda o: o.outcome,
        lambda o: o.wamid, lambda o: o.code, lambda o: as_json(o.detail),
    )  # fmt: skip
    return [Statement("", _SETTLE, arrays)]
