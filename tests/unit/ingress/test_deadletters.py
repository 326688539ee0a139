"""What a dead letter names, and which admins may see it: pure parts of the route."""

import pytest

from services.domain.tenants import Tenant
from services.ingress.auth import Caller
from services.ingress.routes_deadletters import _is_seen, _names

TENANT = Tenant(no=1, company_id="company_a", cell="default")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (b'{"account_id":"acc_1","message_id":"msg_1","content":"x"}', ("acc_1", "msg_1")),
        (b'{"event_id":"e","data":{"account_id":"acc_1","message_id":null}}', ("acc_1", None)),
        (b'{"kind":"message","metadata":{}}', (None, None)),
        (b'{"account_id":7}', (None, None)),
        (b"no JSON", (None, None)),
        (b'"text"', (None, None)),
    ],
    ids=["a command", "an event", "a webhook", "of a wrong type", "unreadable", "no object"],
)
def test_what_a_record_is_about_is_read_from_its_value(value, names):
    found = _names(value)
    assert (found.account_id, found.message_id) == names


def an_admin(businesses):
    return Caller(tenant=TENANT, role="admin", user_id="u", business_ids=businesses)


async def test_an_admin_of_some_businesses_sees_only_letters_of_their_accounts(stage):
    account = next(a for a in stage.deps.directory.book.accounts.values() if a.tenant == TENANT.no)
    rows = [{"account_id": account.id}, {"account_id": "acc_unknown"}, {"account_id": None}]
    admins = [an_admin(None), an_admin(frozenset({account.business_id})), an_admin(frozenset({"business_9"}))]
    assert [[_is_seen(stage.deps, admin, row) for row in rows] for admin in admins] == [
        [True, True, True], [True, False, False], [False, False, False],
    ]  # fmt: skip
