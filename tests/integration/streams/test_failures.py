"""The four kinds of failure (architecture §2.6) in the loop, on a real broker."""

from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest

from services.domain.errors import ConflictError, DependencyAwayError, RecordError
from services.streams.batch import Batch, Handled
from services.streams.codec import Record
from services.streams.consumer import Flow, Slots
from services.streams.errors import RoomStoppedError
from services.streams.topics import TopicName
from tests.integration.streams.kit import Gate, Run, echo, record, records, until, until_committed

RAW = TopicName.RAW
EVENTS = TopicName.EVENT_MESSAGE
DEAD = TopicName.DEAD_SENDER


class Failing:
    """A handler that fails as told, record by record or as a whole, and settles the rest."""

    def __init__(self, *failures: Exception, poison: Sequence[bytes] = (), error: type[Exception] = KeyError) -> None:
        self.failures = list(failures)
        self.poison = set(poison)
        self.error = error
        self.calls: list[list[bytes]] = []

    async def __call__(self, batch: Batch):
        self.calls.append([one.value for one in batch.records])
        if self.failures:
            raise self.failures.pop(0)
        if any(one.value in self.poison for one in batch.records):
            raise self.error("+391234567")
        yield Handled(batch.records, events=[echo(one) for one in batch.records])


def flow_by_partition():
    return Flow(lambda one: str(one.partition), Slots(100))


def unreadable(_text: str) -> RecordError:
    return RecordError("unreadable", "no JSON")


def values(read: Sequence[Record]) -> list[bytes]:
    return [one.value for one in read]


async def test_while_a_dependency_is_away_nothing_moves_and_then_everything_goes_on_in_order(run: Run):
    await run.create({RAW: 2, EVENTS: 1, DEAD: 1})
    await run.write(*records(RAW, range(5), partition=0))
    handler = Failing(*[DependencyAwayError("the database does not answer")] * 3)
    async with run.room(handler) as room:
        await until(lambda: room.health.answer()[1]["checks"]["dependencies"]["status"] == "degraded")
        await run.write(*records(RAW, range(5, 8), partition=1))
        await until_committed(run, "sender", {(RAW, 0): 5, (RAW, 1): 3})
        assert room.assignment.epoch == 1
        assert room.health.answer()[1]["checks"]["dependencies"]["status"] == "ok"
    assert handler.calls[:4] == [[b"0", b"1", b"2", b"3", b"4"]] * 4
    assert values(await run.log(EVENTS)) == [b"%d" % n for n in range(8)]
    assert await run.log(DEAD) == []


@pytest.mark.parametrize("flow", [False, True], ids=["batch", "flow"])
async def test_a_rebalance_during_an_outage_lets_both_copies_go_on_after_it(run: Run, flow: bool):
    await run.create({RAW: 2, EVENTS: 1, DEAD: 1})
    await run.write(*records(RAW, range(5), partition=0), *records(RAW, range(5), partition=1))
    away = True
    settled: Counter[tuple[int, bytes]] = Counter()

    async def handle(batch: Batch):
        if away:
            raise DependencyAwayError("away")
        settled.update((one.partition, one.value) for one in batch.records)
        yield Handled(batch.records)

    options = {"flow": flow_by_partition()} if flow else {}
    async with run.room(handle, **options) as first:
        await until(lambda: first.is_away)
        options = {"flow": flow_by_partition()} if flow else {}
        async with run.room(handle, **options) as second:
            await until(lambda: len(first.held()) == 1 and len(second.held()) == 1)
            away = False
            await until_committed(run, "sender", {(RAW, 0): 5, (RAW, 1): 5})
    assert set(settled.values()) == {1}
    assert len(settled) == 10


async def test_a_conflict_repeats_the_whole_batch(run: Run):
    await run.create({RAW: 1, EVENTS: 1})
    await run.write(*records(RAW, range(3)))
    handler = Failing(*[ConflictError("deadlock")] * 3)
    async with run.room(handler) as room:
        await until_committed(run, "sender", {(RAW, 0): 3})
        assert not room.is_away
    assert handler.calls == [[b"0", b"1", b"2"]] * 4


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [(KeyError, "bug", "KeyError"), (unreadable, "unreadable", "no JSON")],
    ids=["bug", "data"],
)
async def test_exactly_the_poisonous_record_is_set_aside_and_the_others_flow(run: Run, error, reason, detail):
    await run.create({RAW: 1, EVENTS: 1, DEAD: 1})
    await run.write(*records(RAW, range(40)))
    handler = Failing(poison=[b"17"], error=error)
    async with run.room(handler):
        await until_committed(run, "sender", {(RAW, 0): 40})
    assert values(await run.log(EVENTS)) == [b"%d" % n for n in range(40) if n != 17]
    (dead,) = await run.log(DEAD)
    assert (dead.value, dead.header("reason"), dead.header("detail")) == (b"17", reason, detail)


async def test_a_handler_that_forgets_a_record_sets_it_aside_instead_of_standing_still(run: Run):
    await run.create({RAW: 1, EVENTS: 1, DEAD: 1})
    await run.write(*records(RAW, range(4)))

    async def forget(batch: Batch):
        yield Handled(tuple(one for one in batch.records if one.value != b"2"))

    async with run.room(forget):
        await until_committed(run, "sender", {(RAW, 0): 4})
    assert [(dead.value, dead.header("detail")) for dead in await run.log(DEAD)] == [(b"2", "UnsettledError")]


async def test_bugs_for_many_tenants_stop_the_room_before_the_topic_is_emptied_into_dead_letters(run: Run):
    await run.create({RAW: 1, DEAD: 1})
    await run.write(*(record(RAW, "x", tenant=tenant) for tenant in range(20)))
    settings = msgspec.structs.replace(run.settings, stop_after_tenants=5)
    with pytest.raises(RoomStoppedError, match="roll it back"):
        async with run.room(Failing(poison=[b"x"]), settings=settings) as room:
            await room.task
    assert len(await run.log(DEAD)) == 4
    assert await run.committed("sender") == {(RAW, 0): 4}


async def test_garbage_of_one_sender_never_stops_a_room(run: Run):
    await run.create({RAW: 1, EVENTS: 1, DEAD: 1})
    await run.write(*records(RAW, ["x"] * 20), record(RAW, "good", tenant=1))
    settings = msgspec.structs.replace(run.settings, stop_after_tenants=2)
    async with run.room(Failing(poison=[b"x"]), settings=settings):
        await until_committed(run, "sender", {(RAW, 0): 21})
    assert len(await run.log(DEAD)) == 20


async def test_a_produce_that_fails_is_repeated_with_the_same_records(run: Run):
    """The topic of the events appears only later: until then nothing may be committed."""
    await run.create({RAW: 1})
    await run.write(*records(RAW, range(3)))
    handler = Gate()
    async with run.room(handler) as room:
        await until(lambda: room.is_away, 30)
        assert await run.committed("sender") == {}
        await run.create({EVENTS: 1})
        await until_committed(run, "sender", {(RAW, 0): 3})
    assert values(await run.log(EVENTS)) == [b"0", b"1", b"2"]
