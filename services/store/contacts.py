"""Contacts and the identities that name them: statements of a batch. Never commits; what they mean is the domain's."""

from collections import Counter
from collections.abc import Collection
from typing import Final

from services.domain.workset import Contact, IdentityKey, Workset
from services.store.arrays import Table, text, transpose
from services.store.tenancy import Rows, Statement

_IDENTITIES: Final = Table("{s}.contact_identities", text("kind", "value"))
_LINKS: Final = Table("{s}.contact_identities", text("kind", "value", "contact_id"))
_CONTACTS: Final = Table("{s}.contacts", text("id", "name", "username"))

_INSERT_IDENTITIES: Final = _IDENTITIES.insert(order="kind, value", conflict="DO NOTHING")
_LOCK_IDENTITIES: Final = f"""
SELECT i.kind, i.value, i.contact_id FROM {_IDENTITIES.source()} JOIN {{s}}.contact_identities i
    ON i.kind = x.kind AND i.value = x.value ORDER BY i.kind, i.value FOR UPDATE OF i"""
_PRESENTED: Final = f"""
SELECT found.contact_id FROM {_IDENTITIES.source()} CROSS JOIN LATERAL (
    SELECT i.contact_id FROM {{s}}.contact_identities i
    WHERE i.kind = x.kind AND i.value = x.value OFFSET 0) AS found"""
_LOCK_CONTACTS: Final = f"""
SELECT id, name, username FROM {{s}}.contacts WHERE id = ANY(ARRAY({_PRESENTED})) ORDER BY id FOR UPDATE"""
# a contact's other names: whether a number may speak for a new BSUID depends on them; its row lock guards them
_OTHER_NAMES: Final = f"""
SELECT kind, value, contact_id FROM {{s}}.contact_identities WHERE contact_id = ANY(ARRAY({_PRESENTED}))"""
_NAMES_OF: Final = """
SELECT kind, value, contact_id FROM {s}.contact_identities WHERE contact_id = ANY(%b::text[])"""

presented_contacts: Final = _PRESENTED
"""The subquery by which conversations find the contacts of a batch; takes `identity_arrays`."""


def identity_arrays(keys: Collection[IdentityKey]) -> tuple[list[str], ...]:
    return transpose(sorted(keys), lambda key: key.kind, lambda key: key.value)


def insert_identities(keys: Collection[IdentityKey]) -> list[Statement]:
    return [Statement("", _INSERT_IDENTITIES, identity_arrays(keys))] if keys else []


def lock(keys: Collection[IdentityKey], *, other_names: bool) -> list[Statement]:
    if not keys:
        return []
    arrays = identity_arrays(keys)
    return [
        Statement("identities", _LOCK_IDENTITIES, arrays),
        Statement("contacts", _LOCK_CONTACTS, arrays),
        *([Statement("other_names", _OTHER_NAMES, arrays)] if other_names else []),
    ]


def names_that_decide(work: Workset, presented: Collection[tuple[IdentityKey, ...]]) -> list[Statement]:
    """Ask for the contacts' other names when one may decide whose a new strongest name is; seldom.

    That is when a weaker name beside it has an owner, or may be given one by another record of this batch.
    """
    new = [names for names in presented if len(names) > 1 and work.identities.get(names[0]) is None]
    if not new:
        return []
    times = Counter(key for names in presented for key in names)
    if not any(work.identities.get(key) or times[key] > 1 for names in new for key in names[1:]):
        return []
    owners = {owner for owner in work.identities.values() if owner}
    return [Statement("other_names", _NAMES_OF, (sorted(owners),))]


def load(work: Workset, rows: dict[str, Rows]) -> None:
    for kind, value, contact_id in (*rows.get("other_names", ()), *rows.get("identities", ())):
        work.identities[IdentityKey(kind, value)] = contact_id
    for contact_id, name, username in rows.get("contacts", ()):
        work.contacts[contact_id] = Contact(contact_id, name, username)


def write(work: Workset) -> list[Statement]:
    statements = []
    if work.linked:
        arrays = transpose(sorted(work.linked), lambda k: k.kind, lambda k: k.value, lambda k: work.identities[k])
        statements.append(Statement("", _LINKS.update(key=("kind", "value")), arrays))
    if work.new_contacts:
        insert = _CONTACTS.insert(order="id", conflict="DO NOTHING")
        statements.append(Statement("", insert, _arrays(work, work.new_contacts)))
    if work.changed_contacts:
        update = _CONTACTS.update(key=("id",), extra=", updated_at = now()")
        statements.append(Statement("", update, _arrays(work, work.changed_contacts)))
    return statements


def _arrays(work: Workset, ids: Collection[str]) -> tuple[list[str | None], ...]:
    contacts = [work.contacts[contact_id] for contact_id in sorted(ids)]
    return transpose(contacts, lambda c: c.id, lambda c: c.name, lambda c: c.username)
