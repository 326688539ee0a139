"""Routes of /api/conversations: the list, one, and its messages, page by page."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.domain.errors import ProblemError
from services.domain.ids import is_typed_id
from services.ingress.answers import json_response
from services.ingress.auth import Caller
from services.ingress.deps import Deps
from services.ingress.documents import Conversation, ConversationPage, MessagePage, documented
from services.ingress.filters import ConversationQuery, MessageQuery
from services.ingress.guard import ApiRoute, caller_of, deps_of
from services.ingress.lookups import account_named, accounts_seen, conversation_named
from services.ingress.paging import Listing
from services.ingress.views import conversation_view, message_view
from services.store.reads import conversations, messages

router: Final = APIRouter(prefix="/api/conversations", tags=["conversations"], route_class=ApiRoute)


@router.get("", **documented("read", {200: ConversationPage}, 404))
async def list_conversations(request: Request, query: Annotated[ConversationQuery, Query()]) -> Response:
    """List conversations by their last message; without `account_id`, those of all accounts that the caller sees."""
    deps, caller = deps_of(request), caller_of(request)
    wanted = await _wanted(deps, caller, query)
    listing = Listing(deps.cursors, query, "conversations", str(caller.tenant.no), caller.user_id)
    async with deps.reads.tenant_session(caller.tenant.no, caller.tenant.cell) as connection:
        rows = await conversations.conversation_list(
            connection, wanted, newest_first=query.sort.startswith("-"), after=listing.after, limit=listing.limit
        )
    return listing.answer(rows, "last_message_at", conversation_view)


async def _wanted(deps: Deps, caller: Caller, query: ConversationQuery) -> conversations.ConversationFilter:
    accounts = accounts_seen(deps, caller)
    if query.account_id is not None:
        accounts = [(await account_named(deps, caller, query.account_id, "?account_id")).id]
    return conversations.ConversationFilter(
        accounts=accounts, statuses=query.status.split(",") if query.status else None,
        contact_phone=query.contact_phone,
    )  # fmt: skip


@router.get("/{conversation_id}", **documented("read", {200: Conversation}, 404))
async def read_conversation(request: Request, conversation_id: str) -> Response:
    return json_response(conversation_view(await _named(deps_of(request), caller_of(request), conversation_id)))


@router.get("/{conversation_id}/messages", **documented("read", {200: MessagePage}, 404))
async def list_messages(request: Request, conversation_id: str, query: Annotated[MessageQuery, Query()]) -> Response:
    """List a conversation's messages by their time; pages stay the same while new messages come."""
    deps, caller = deps_of(request), caller_of(request)
    await _named(deps, caller, conversation_id)
    listing = Listing(deps.cursors, query, "conversation_messages", str(caller.tenant.no), conversation_id)
    async with deps.reads.tenant_session(caller.tenant.no, caller.tenant.cell) as connection:
        rows = await messages.of_conversation(
            connection, conversation_id, messages.MessageFilter(query.direction, query.type, query.status),
            newest_first=query.order == "desc", after=listing.after, limit=listing.limit,
        )  # fmt: skip
    return listing.answer(rows, "message_at", message_view)


async def _named(deps: Deps, caller: Caller, conversation_id: str) -> conversations.Row:
    if not is_typed_id(conversation_id, "conv"):
        raise ProblemError("not_found", "There is no such conversation.")
    return await conversation_named(deps, caller, conversation_id, "")
