"""Wamids, where two rooms meet (architecture §2.3), and the append-only statuses. Statements of a batch."""

from collections.abc import Collection
from typing import Final

from services.domain.workset import StatusKey, StatusRow, WamidKey, WamidLink, Workset
from services.store.arrays import Table, as_json, json, of, text, transpose
from services.store.tenancy import Rows, Statement

_KEYS: Final = Table("{s}.wamids", text("account_id", "direction", "wamid"))
_INBOUND: Final = Table("{s}.wamids", text("account_id", "direction", "wamid", "message_id"))
_LINKS: Final = Table(
    "{s}.wamids", (*text("account_id", "direction", "wamid", "message_id"), *of("integer", "attempt"))
)
_KEY: Final = ("account_id", "direction", "wamid")
_ORDER: Final = ", ".join(_KEY)
_INSERT_OUT: Final = _KEYS.insert(order=_ORDER, conflict="DO NOTHING")
_INSERT_IN: Final = _INBOUND.insert(order=_ORDER, conflict="DO NOTHING", returning=_ORDER)
_LOCK: Final = f"""
SELECT w.account_id, w.direction, w.wamid, w.message_id, w.attempt FROM {_KEYS.source()} JOIN {{s}}.wamids w
    ON w.account_id = x.account_id AND w.direction = x.direction AND w.wamid = x.wamid
ORDER BY w.account_id, w.direction, w.wamid FOR UPDATE OF w"""
_LINK: Final = _LINKS.update(key=_KEY)

_STATUSES: Final = Table(
    "{s}.message_statuses",
    (
        *text("account_id", "wamid", "status", "participant"),
        *of("timestamptz", "status_at"),
        *text("message_id"),
        *of("boolean", "late"),
        *json("errors", "pricing"),
        *of("uuid", "base"),
    ),
)
_INSERT_STATUSES: Final = _STATUSES.insert(
    order="account_id, wamid, status, participant, status_at", conflict="DO NOTHING"
)
_ADOPT_STATUSES: Final = """
UPDATE {s}.message_statuses AS t SET message_id = x.message_id
FROM unnest(%b::text[], %b::text[], %b::text[]) AS x(account_id, wamid, message_id)
WHERE t.account_id = x.account_id AND t.wamid = x.wamid AND t.message_id IS NULL"""
_KNOWN: Final = """
SELECT s.account_id, s.wamid, s.status, s.participant, s.status_at, s.message_id, s.late, s.errors, s.pricing, s.base
FROM unnest(%b::text[], %b::text[]) AS x(account_id, wamid) JOIN {s}.message_statuses s
    ON s.account_id = x.account_id AND s.wamid = x.wamid
ORDER BY s.status_at, s.recorded_at, s.status"""


def insert_inbound(keys: dict[WamidKey, str]) -> list[Statement]:
    """Insert users' wamids with the message ids derived from them; what is returned is new now."""
    if not keys:
        return []
    arrays = transpose(
        sorted(keys.items()), lambda i: i[0].account_id, lambda i: i[0].direction, lambda i: i[0].wamid, lambda i: i[1]
    )
    return [Statement("new_inbound", _INSERT_IN, arrays)]


def insert_and_lock_outbound(keys: Collection[WamidKey]) -> tuple[list[Statement], list[Statement]]:
    """Return the inserts of step 1 and the locks of step 2, with the statuses that lie there already."""
    if not keys:
        return [], []
    arrays = _key_arrays(keys)
    return (
        [Statement("", _INSERT_OUT, arrays)],
        [Statement("wamids", _LOCK, arrays), Statement("statuses", _KNOWN, (arrays[0], arrays[2]))],
    )


def pairs(keys: Collection[WamidKey]) -> tuple[list[str], list[str]]:
    """Accounts and wamids, as messages and conversations look them up."""
    arrays = _key_arrays(keys)
    return arrays[0], arrays[2]


def load(work: Workset, rows: dict[str, Rows]) -> None:
    work.new_inbound = {WamidKey(*row) for row in rows.get("new_inbound", ())}
    for account_id, direction, wamid, message_id, attempt in rows.get("wamids", ()):
        work.wamids[WamidKey(account_id, direction, wamid)] = WamidLink(message_id, attempt)
    for account_id, wamid, status, participant, at, message_id, late, errors, pricing, base in rows.get("statuses", ()):
        key = StatusKey(account_id, wamid, status, participant, at)
        work.known_statuses.add(key)
        if message_id is None:
            row = StatusRow(key=key, message_id=None, late=late, base=base, errors=errors, pricing=pricing)
            work.waiting_statuses.setdefault(WamidKey(account_id, "out", wamid), []).append(row)


def write(work: Workset) -> list[Statement]:
    statements = []
    if work.changed_wamids:
        links = sorted(work.changed_wamids)
        arrays = transpose(
            links, lambda k: k.account_id, lambda k: k.direction, lambda k: k.wamid,
            lambda k: work.wamids[k].message_id, lambda k: work.wamids[k].attempt,
        )  # fmt: skip
        statements.append(Statement("", _LINK, arrays))
        adopted = [key for key in links if key in work.waiting_statuses]
        if adopted:
            arrays = transpose(
                adopted, lambda k: k.account_id, lambda k: k.wamid, lambda k: work.wamids[k].message_id
            )  # fmt: skip
            statements.append(Statement("", _ADOPT_STATUSES, arrays))
    if work.statuses:
        arrays = transpose(
            work.statuses,
            lambda s: s.key.account_id, lambda s: s.key.wamid, lambda s: s.key.status, lambda s: s.key.participant,
            lambda s: s.key.at, lambda s: s.message_id, lambda s: s.late, lambda s: as_json(s.errors),
            lambda s: as_json(s.pricing), lambda s: s.base,
        )  # fmt: skip
        statements.append(Statement("", _INSERT_STATUSES, arrays))
    return statements


def _key_arrays(keys: Collection[WamidKey]) -> tuple[list[str], list[str], list[str]]:
    arrays = transpose(sorted(keys), lambda k: k.account_id, lambda k: k.direction, lambda k: k.wamid)
    return arrays[0], arrays[1], arrays[2]
