"""What Meta said of accounts, and webhook items that became no row. Statements of a batch; never commits."""

from typing import Final

from services.domain.workset import Workset
from services.store.arrays import Table, as_json, json, of, text, transpose
from services.store.tenancy import Statement

_STATE: Final = Table(
    "recado.account_state",
    (*of("integer", "tenant_id"), *text("account_id", "field"), *json("value"), *of("timestamptz", "at"),
     *of("uuid", "event_id")),
)  # fmt: skip
# an older word never overwrites a newer one
_PUT_STATE: Final = _STATE.insert(
    order="account_id, field",
    conflict="(tenant_id, account_id, field) DO UPDATE SET value = excluded.value, at = excluded.at, "
    "event_id = excluded.event_id WHERE account_state.at <= excluded.at",
)
_WEBHOOK_EVENTS: Final = Table(
    "recado.webhook_events",
    (*of("integer", "tenant_id"), *of("uuid", "id"), *text("account_id", "event_type"), *json("payload"),
     *of("bigint", "raw_partition", "raw_offset")),
)  # fmt: skip
_KEEP: Final = _WEBHOOK_EVENTS.insert(order="id", conflict="DO NOTHING")


def write(work: Workset, tenant: int) -> list[Statement]:
    statements = []
    if work.account_states:
        arrays = transpose(
            [row for _, row in sorted(work.account_states.items())],
            lambda _: tenant, lambda s: s.account_id, lambda s: s.field, lambda s: as_json(s.value), lambda s: s.at,
            lambda s: s.event_id,
        )  # fmt: skip
        statements.append(Statement("", _PUT_STATE, arrays))
    if work.webhook_events:
        arrays = transpose(
            work.webhook_events,
            lambda _: tenant, lambda e: e.id, lambda e: e.account_id, lambda e: e.event_type,
            lambda e: as_json(e.payload), lambda e: e.raw_partition, lambda e: e.raw_offset,
        )  # fmt: skip
        statements.append(Statement("", _KEEP, arrays))
    return statements
