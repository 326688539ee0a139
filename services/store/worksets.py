"""The five-step batch transaction around the pure decision (architecture §2.2): open = insert natural keys and lock,
save = write each changed row once, store the events and read back those under the batch's bases."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from services.domain.events import Event
from services.domain.workset import IdentityKey, WamidKey, Workset
from services.store import account_state, contacts, conversations, deferred, events, messages, statuses
from services.store.pools import Connection
from services.store.tenancy import Statement, run_phase

# what a reply or reaction points at: read only, so that the event can name our own id
_REFERENCED: Final = """
SELECT w.account_id, w.wamid, w.message_id FROM unnest(%b::text[], %b::text[]) AS x(account_id, wamid)
JOIN {s}.wamids w ON w.account_id = x.account_id AND w.wamid = x.wamid AND w.direction IN ('in', 'out')"""


class Keys:
    """What one tenant's records of a batch touch, by natural key."""

    def __init__(self) -> None:
        self.accounts: set[str] = set()
        self.identities: set[IdentityKey] = set()
        self.presented: set[tuple[IdentityKey, ...]] = set()
        """The identities as records present them together: then other names are asked for only if they decide."""
        self.inbound: dict[WamidKey, str] = {}
        self.outbound: set[WamidKey] = set()
        self.messages: set[str] = set()
        self.conversations: set[str] = set()
        self.referenced: set[tuple[str, str]] = set()
        self.clock = False
        """Whether decisions need the database's time: expiry and schedules compare with it."""

    def statements(self) -> list[Statement]:
        """Steps 1 and 2: inserts sorted by key, then one lock per table in the fixed order."""
        inserts, wamid_locks = statuses.insert_and_lock_outbound(self.outbound)
        pairs = statuses.pairs(self.outbound)
        return [
            *statuses.insert_inbound(self.inbound),
            *inserts,
            *contacts.insert_identities(self.identities),
            *wamid_locks,
            *contacts.lock(self.identities, other_names=not self.presented),
            *conversations.lock(
                identities=self.identities, accounts=self.accounts, wamids=pairs, messages=self.messages,
                ids=self.conversations,
            ),
            *messages.lock(wamids=pairs, ids=self.messages),
            *self._references(),
            *([Statement("now", "SELECT now()")] if self.clock else []),
        ]  # fmt: skip

    def _references(self) -> list[Statement]:
        if not self.referenced:
            return []
        listed = sorted(self.referenced)
        return [Statement("referenced", _REFERENCED, ([a for a, _ in listed], [w for _, w in listed]))]


async def open_worksets(connection: Connection, keys: Mapping[int, Keys]) -> dict[int, Workset]:
    """Insert the natural keys, lock what they touch, and return each tenant's rows as plain values."""
    rows = await run_phase(connection, {tenant: own.statements() for tenant, own in keys.items()})
    works: dict[int, Workset] = {}
    for tenant, found in rows.items():
        work = works[tenant] = Workset()
        for aggregate in (contacts, conversations, messages, statuses):
            aggregate.load(work, found)
        work.now = found["now"][0][0] if "now" in found else None
        work.references = {(account, wamid): message for account, wamid, message in found.get("referenced", ())}
    await _find_names(connection, works, keys)
    await _find_followers(connection, works)
    return works


async def _find_names(connection: Connection, works: Mapping[int, Workset], keys: Mapping[int, Keys]) -> None:
    """For the rare new name of a known user: what else its contact is called. The contact is locked already."""
    asked = {tenant: contacts.names_that_decide(work, keys[tenant].presented) for tenant, work in works.items()}
    phase = {tenant: statements for tenant, statements in asked.items() if statements}
    if phase:
        for tenant, rows in (await run_phase(connection, phase)).items():
            contacts.load(works[tenant], rows)


async def _find_followers(connection: Connection, works: Mapping[int, Workset]) -> None:
    """For the rare message that heads a queue: what waits first behind it. Its conversation is locked already."""
    heads = {tenant: _heads(work) for tenant, work in works.items()}
    if not any(heads.values()):
        return
    phase = {tenant: deferred.next_of_messages(ids) for tenant, ids in heads.items() if ids}
    for tenant, rows in (await run_phase(connection, phase)).items():
        deferred.load(works[tenant], rows)


def _heads(work: Workset) -> list[str]:
    return [
        message.id
        for message in work.messages.values()
        if (conversation := work.conversations.get(message.conversation_id or ""))
        and conversation.queues.get(message.lane or "") == message.id
    ]


async def save(
    connection: Connection,
    works: Mapping[int, Workset],
    bases: Mapping[int, Collection[UUID]],
    extra: Mapping[int, Sequence[Statement]] | None = None,
) -> list[tuple[int, Event]]:
    """As `save_named`, for whom the bases are all his own: (tenant, event)."""
    return [(tenant, event) for tenant, _, event in await save_named(connection, works, bases, extra)]


async def save_named(
    connection: Connection,
    works: Mapping[int, Workset],
    bases: Mapping[int, Collection[UUID]],
    extra: Mapping[int, Sequence[Statement]] | None = None,
) -> list[tuple[int, UUID, Event]]:
    """Steps 4 and 5: write what changed, store the events, return those stored, in order, each with its tenant
    and base: before the new ones what lies under `bases`, those that may have been here before."""
    phase = {
        tenant: [
            *statuses.write(work), *contacts.write(work), *conversations.write(work), *messages.write(work),
            *account_state.write(work, tenant), *(extra or {}).get(tenant, ()), *deferred.write(work, tenant),
            *events.store_and_read_back(work, bases[tenant]),
        ]
        for tenant, work in works.items()
    }  # fmt: skip
    rows = await run_phase(connection, phase)
    return [
        (tenant, base, event) for tenant, found in rows.items() for base, event in events.read(works[tenant], found)
    ]
