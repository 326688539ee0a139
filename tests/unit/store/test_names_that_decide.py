"""When a contact's other names are asked for: only if one of them may decide whose a new strongest name is."""

import pytest

from services.domain.workset import IdentityKey, Workset
from services.store.contacts import names_that_decide

NEW, OLD = IdentityKey("bsuid", "EC.2"), IdentityKey("bsuid", "EC.1")
NUMBER, PARENT = IdentityKey("wa_id", "593"), IdentityKey("parent_bsuid", "EC.P")

CASES = [
    ("a known user under all his names", {OLD: "c1", NUMBER: "c1"}, {(OLD, NUMBER)}, None),
    ("a user who is new altogether", {NEW: None, NUMBER: None}, {(NEW, NUMBER)}, None),
    ("a new name alone", {NEW: None}, {(NEW,)}, None),
    ("a new name beside a known number", {NEW: None, NUMBER: "c1"}, {(NEW, NUMBER)}, ["c1"]),
    ("a new name beside one that another record may give away", {NUMBER: "c1", PARENT: None, NEW: None},
     {(NUMBER, PARENT), (NEW, PARENT)}, ["c1"]),
]  # fmt: skip


@pytest.mark.parametrize(("identities", "presented", "asked"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_other_names_are_asked_for(identities, presented, asked):
    work = Workset()
    work.identities = dict(identities)
    assert [statement.params for statement in names_that_decide(work, presented)] == ([(asked,)] if asked else [])
