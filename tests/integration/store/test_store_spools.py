"""What copies of ingress say of their spools, and what the sender may conclude from it."""

from datetime import timedelta
from pathlib import Path

import pytest

from services.ingress.spool_report import identity_of
from services.runtime import clock
from services.sender.evidence import Updates
from services.store import spools
from services.store.directory import ROLE
from services.store.pools import transaction
from services.streams.progress import SLACK

MOMENT = clock.now() - timedelta(hours=1)
LATER = MOMENT + SLACK + timedelta(seconds=1)
SECOND = timedelta(seconds=1)


class Handled:
    """A log in which everything has been handled, or nothing."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer

    async def handled_until(self, _moment) -> bool:
        return self.answer


async def said(store, copy, reported_at, oldest_at):
    async with transaction(store.pools.directory, ROLE) as connection:
        await spools.report(connection, copy, reported_at, oldest_at)


async def withdrawn(store, copy):
    async with transaction(store.pools.directory, ROLE) as connection:
        await spools.withdraw(connection, copy)


@pytest.fixture
async def copy(store):
    name = str(clock.new_uuid7())
    yield name
    await withdrawn(store, name)


def asked(store, *, log=True):
    return Updates(Handled(log), store.pools).handled_until(MOMENT)


@pytest.mark.parametrize(
    ("reported_at", "oldest_at", "complete"),
    [
        (LATER, None, True),
        (LATER, MOMENT + SECOND, True),
        (LATER, MOMENT, False),
        (LATER, MOMENT - SECOND, False),
        (MOMENT, None, False),
        (LATER - 2 * SECOND, None, False),
    ],
    ids=["holds nothing", "holds what came later", "holds what came just then", "holds what came before",
         "said nothing since", "said so too early to be sure"],
)  # fmt: skip
async def test_evidence_is_complete_when_every_copy_says_that_it_holds_nothing_of_before(
    store, copy, reported_at, oldest_at, complete
):
    await said(store, copy, reported_at, oldest_at)
    assert await asked(store) is complete


async def test_a_copy_that_withdrew_holds_nobody_up(store, copy):
    await said(store, copy, MOMENT, MOMENT)
    await withdrawn(store, copy)
    assert await asked(store)


async def test_what_the_log_has_not_handled_is_not_asked_of_the_spools(store, copy):
    await said(store, copy, LATER, None)
    assert not await asked(store, log=False)


def test_a_spool_keeps_its_name_in_its_folder(tmp_path: Path):
    assert identity_of(tmp_path) == identity_of(tmp_path)
