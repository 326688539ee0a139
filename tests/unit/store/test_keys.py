"""The statements of a batch: inserts first, then one lock a table in the fixed order."""

import re

import pytest

from services.domain.workset import IdentityKey, WamidKey
from services.store.worksets import Keys

ORDER = ["identities", "contacts", "conversations", "messages"]


@pytest.fixture
def keys():
    keys = Keys()
    keys.accounts.add("acc_1")
    keys.identities.add(IdentityKey("wa_id", "593"))
    keys.inbound[WamidKey("acc_1", "in", "wamid.A")] = "msg_1"
    keys.outbound.add(WamidKey("acc_1", "out", "wamid.B"))
    keys.messages.add("msg_2")
    keys.referenced.add(("acc_1", "wamid.C"))
    keys.clock = True
    return keys


def test_every_insert_comes_before_every_lock(keys):
    kinds = ["insert" if "INSERT" in s.text else "lock" for s in keys.statements() if s.text.strip()]
    assert kinds == sorted(kinds)


def test_locks_are_taken_in_the_fixed_order_of_tables(keys):
    names = [s.name for s in keys.statements() if "FOR UPDATE" in s.text]
    assert names == ["wamids", *ORDER]


def test_what_is_locked_is_locked_in_the_order_of_its_key(keys):
    locks = [s.text for s in keys.statements() if "FOR UPDATE" in s.text]
    assert all(re.search(r"ORDER BY [\w., ]+ FOR UPDATE", " ".join(text.split())) for text in locks)


def test_a_batch_that_touches_nothing_asks_nothing():
    assert Keys().statements() == []


def test_the_clock_is_read_only_when_a_decision_needs_it(keys):
    assert [s.name for s in keys.statements()][-1] == "now"
    keys.clock = False
    assert "now" not in {s.name for s in keys.statements()}


def test_arrays_are_sorted_whatever_order_the_records_came_in(keys):
    for number in (9, 3, 7):
        keys.identities.add(IdentityKey("wa_id", str(number)))
    (insert,) = [s for s in keys.statements() if "INSERT INTO {s}.contact_identities" in s.text]
    assert insert.params == (["wa_id"] * 4, ["3", "593", "7", "9"])
