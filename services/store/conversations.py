"""Conversations: one per account and contact, for ever; their row is the lock of everything in them. Statements of a
batch; never commits."""

from collections.abc import Collection
from operator import attrgetter
from typing import Any, Final

from services.domain.workset import Conversation, IdentityKey, Workset
from services.store.arrays import Table, as_json, json, of, text, transpose
from services.store.contacts import identity_arrays, presented_contacts
from services.store.tenancy import Rows, Statement

_ROWS: Final = Table(
    "{s}.conversations",
    (
        *text("id", "account_id", "contact_id", "contact_phone", "contact_name", "status"),
        *of("timestamptz", "last_message_at", "window_expires_at"),
        *of("bigint", "unread_count", "last_sequence"),
        *json("queues"),
    ),
)
_COLUMNS: Final = _ROWS.names()
_INSERT: Final = _ROWS.insert(order="id")
_UPDATE: Final = _ROWS.update(key=("id",), extra=", updated_at = now()")
_BY_CONTACT: Final = f"""
SELECT own.id FROM unnest(%b::text[]) AS a(account_id) CROSS JOIN ({presented_contacts}) AS p CROSS JOIN LATERAL (
    SELECT c.id FROM {{s}}.conversations c
    WHERE c.account_id = a.account_id AND c.contact_id = p.contact_id OFFSET 0) AS own"""
# the messages that wamids or ids name lie in conversations of their own
_BY_MESSAGE: Final = """
SELECT conversation_id FROM {s}.messages WHERE id = ANY(ARRAY(
    SELECT found.message_id FROM unnest(%b::text[], %b::text[]) AS x(account_id, wamid) CROSS JOIN LATERAL (
        SELECT w.message_id FROM {s}.wamids w
        WHERE w.account_id = x.account_id AND w.direction = 'out' AND w.wamid = x.wamid OFFSET 0) AS found
    UNION SELECT unnest(%b::text[])))"""
_BY_ID: Final = "SELECT unnest(%b::text[])"
_LOCK: Final = f"""
SELECT {_COLUMNS} FROM {{s}}.conversations WHERE id = ANY(ARRAY(%s)) ORDER BY id FOR UPDATE"""


def lock(
    *,
    identities: Collection[IdentityKey],
    accounts: Collection[str],
    wamids: tuple[list[str], list[str]],
    messages: Collection[str],
    ids: Collection[str] = (),
) -> list[Statement]:
    """Lock the conversations of contacts, of messages and those named outright, in id order."""
    parts: list[str] = []
    params: list[Any] = []
    if identities:
        parts.append(_BY_CONTACT)
        params += [sorted(accounts), *identity_arrays(identities)]
    if wamids[0] or messages:
        parts.append(_BY_MESSAGE)
        params += [*wamids, sorted(messages)]
    if ids:
        parts.append(_BY_ID)
        params.append(sorted(ids))
    if not parts:
        return []
    return [Statement("conversations", _LOCK.replace("%s", " UNION ".join(parts)), tuple(params))]


def load(work: Workset, rows: dict[str, Rows]) -> None:
    for row in rows.get("conversations", ()):
        conversation = Conversation(*row)
        work.conversations[conversation.id] = conversation


def write(work: Workset) -> list[Statement]:
    statements = []
    if work.new_conversations:
        statements.append(Statement("", _INSERT, _arrays(work, work.new_conversations)))
    if work.changed_conversations:
        statements.append(Statement("", _UPDATE, _arrays(work, work.changed_conversations)))
    return statements


def _arrays(work: Workset, ids: Collection[str]) -> tuple[list[Any], ...]:
    return transpose(
        [work.conversations[conversation_id] for conversation_id in sorted(ids)],
        *map(attrgetter, _ROWS.fields()[:-1]), lambda c: as_json(c.queues),
    )  # fmt: skip
