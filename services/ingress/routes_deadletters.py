"""Route of /api/deadletters: what rooms set aside of the caller's tenant, without text, numbers or anybody else's.

Quarantined webhooks have no tenant and are never shown here. Not here: redrive and discard (the replay room).
"""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from services.domain.errors import ProblemError, WorkError
from services.domain.events import rfc3339
from services.ingress.auth import Caller
from services.ingress.deps import Deps
from services.ingress.documents import Document, documented
from services.ingress.filters import Page, Plain
from services.ingress.guard import ApiRoute, caller_of, deps_of
from services.ingress.lookups import is_seen
from services.ingress.paging import Listing, Row
from services.store import audit
from services.store.directory import ROLE
from services.store.pools import transaction
from services.store.reads.engine import unavailable
from services.streams.letters import Found, letters
from services.streams.topics import Topics

router: Final = APIRouter(prefix="/api/deadletters", tags=["dead letters"], route_class=ApiRoute)
_READ_SECONDS: Final = 20.0
_RETRY_AFTER_SECONDS: Final = 5
State = Literal["waiting", "redriven", "discarded"]
Room = Literal["normaliser", "sender", "notifier"]


class DeadLetter(Document):
    id: str
    room: Room
    reason: str
    state: State
    at: str = Field(description="when it was set aside")
    company_id: str
    account_id: str | None
    message_id: str | None
    record: str = Field(description="the record's name, the same after a redrive")
    topic: str = Field(description="where the room read it")


class DeadLetterPage(Document):
    data: list[DeadLetter]
    next_cursor: str | None


class DeadLetterQuery(Page):
    room: Room | None = None
    reason: Plain | None = None
    tenant: Plain | None = Field(None, description="the caller's own company_id; no other is shown")
    state: State | None = None
    from_: AwareDatetime | None = Field(None, alias="from", description="set aside then or later")
    to: AwareDatetime | None = Field(None, description="set aside then or earlier")

    def matches(self, row: Row) -> bool:
        return (
            self.room in (None, row["room"])
            and self.reason in (None, row["reason"])
            and (self.from_ is None or row["at"] >= self.from_)
            and (self.to is None or row["at"] <= self.to)
        )


class _Names(msgspec.Struct):
    account_id: str | None = None
    message_id: str | None = None


class _Value(_Names):
    """A command names its message outright, an event within `data`."""

    data: _Names | None = None


@router.get("", **documented("admin", {200: DeadLetterPage}))
async def list_dead_letters(request: Request, query: Annotated[DeadLetterQuery, Query()]) -> Response:
    """List the tenant's dead letters, newest first; an admin whose credential names businesses sees only theirs."""
    deps, caller = deps_of(request), caller_of(request)
    if query.tenant not in (None, caller.tenant.company_id):
        raise ProblemError("bad_filter", "Only your own company's dead letters are shown.", pointer="?tenant")
    listing = Listing(deps.cursors, query, "deadletters", str(caller.tenant.no), caller.user_id)
    rows = await _with_states(deps, await _rows(deps, caller, query))
    wanted = [row for row in rows if query.state in (None, row["state"])]
    wanted.sort(key=_place, reverse=True)
    if listing.after is not None:
        wanted = [row for row in wanted if _place(row) < listing.after]
    return listing.answer(wanted[: listing.limit], "at", _view)


def _place(row: Row) -> tuple[datetime, str]:
    return row["at"], row["id"]


async def _rows(deps: Deps, caller: Caller, query: DeadLetterQuery) -> list[Row]:
    """Read the dead letters from their beginning, keeping no content. Raises ProblemError log_unavailable."""
    topics = Topics(deps.settings.topic_prefix, deps.settings.profile)
    rows = []
    try:
        async with asyncio.timeout(_READ_SECONDS):
            async for found in letters(deps.settings.kafka_bootstrap_servers, topics):
                if found.letter.tenant == caller.tenant.no:
                    row = _row(found, caller)
                    if query.matches(row) and _is_seen(deps, caller, row):
                        rows.append(row)
    except (WorkError, TimeoutError) as error:
        detail = "The dead letters cannot be read now."
        raise ProblemError("log_unavailable", detail, retry_after_seconds=_RETRY_AFTER_SECONDS) from error
    return rows


def _row(found: Found, caller: Caller) -> Row:
    letter, names = found.letter, _names(found.record.value)
    return {
        "id": letter.id, "room": letter.room, "reason": letter.reason, "at": letter.at,
        "company_id": caller.tenant.company_id, "account_id": names.account_id, "message_id": names.message_id,
        "record": str(letter.name), "topic": letter.topic,
    }  # fmt: skip


def _names(value: bytes) -> _Names:
    try:
        read = msgspec.json.decode(value, type=_Value)
    except msgspec.MsgspecError:
        return _Names()
    return read.data or read


def _is_seen(deps: Deps, caller: Caller, row: Row) -> bool:
    """A letter whose account cannot be told is shown only to those who see all of the company's."""
    return caller.business_ids is None or (row["account_id"] is not None and is_seen(deps, caller, row["account_id"]))


async def _with_states(deps: Deps, rows: list[Row]) -> list[Row]:
    """Raises ProblemError store_unavailable."""
    try:
        async with transaction(deps.pools.directory, ROLE) as connection:
            ended = await audit.ended(connection, [row["id"] for row in rows])
    except WorkError as error:
        raise unavailable() from error
    return [row | {"state": ended.get(row["id"], "waiting")} for row in rows]


def _view(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"at": rfc3339(row["at"])}
