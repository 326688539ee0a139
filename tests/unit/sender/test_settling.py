"""The line of answers before the database: what comes while a transaction runs goes into the next one together."""

import asyncio

from services.domain.errors import ConflictError
from services.sender import settling
from services.sender.settling import Settling
from services.streams.batch import Handled


class Database:
    """Holds each transaction open until it is let go; answers every lot with the lot itself as its records."""

    def __init__(self):
        self.transactions = []
        self.gates = []
        self.refused: tuple[str, ...] = ()
        self.broken = False

    async def carry_out(self, lots):
        self.transactions.append([list(lot) for lot in lots])
        gate = asyncio.Event()
        self.gates.append(gate)
        await gate.wait()
        if self.broken:
            raise ConflictError
        return [ValueError(lot[0]) if lot[0] in self.refused else Handled(tuple(lot)) for lot in lots]


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


def hand_over(line, *lots):
    return [asyncio.create_task(line.settle(lot)) for lot in lots]


async def test_what_comes_while_a_transaction_runs_goes_into_the_next_one_together():
    database = Database()
    line = Settling(database.carry_out)
    first = hand_over(line, ["a"])
    await turns()
    later = hand_over(line, ["b", "c"], ["d"])
    await turns()
    assert database.transactions == [[["a"]]]
    database.gates[0].set()
    await turns()
    assert database.transactions == [[["a"]], [["b", "c"], ["d"]]]
    database.gates[1].set()
    handled = await asyncio.gather(*first, *later)
    assert [one.records for one in handled] == [("a",), ("b", "c"), ("d",)]


async def test_a_failure_is_told_only_to_the_chunk_whose_record_it_is():
    database = Database()
    database.refused = ("c",)
    line = Settling(database.carry_out)
    first, *others = hand_over(line, ["a"], ["b"], ["c"])
    await turns()
    database.gates[0].set()
    await first
    await turns()
    database.gates[1].set()
    await asyncio.wait(others)
    kept, failed = others
    assert kept.result().records == ("b",)
    assert isinstance(failed.exception(), ValueError)


async def test_a_transaction_that_breaks_breaks_for_everybody_in_it_and_the_line_goes_on():
    database = Database()
    database.broken = True
    line = Settling(database.carry_out)
    broken = hand_over(line, ["a"])
    await turns()
    later = hand_over(line, ["b"])
    database.gates[0].set()
    (error,) = await asyncio.gather(*broken, return_exceptions=True)
    assert isinstance(error, ConflictError)
    database.broken = False
    await turns()
    database.gates[1].set()
    (handled,) = await asyncio.gather(*later)
    assert handled.records == ("b",)


async def test_a_transaction_that_waits_for_a_lock_holds_up_nobody_for_long(monkeypatch):
    monkeypatch.setattr(settling, "_PATIENCE_SECONDS", 0.001)
    database = Database()
    line = Settling(database.carry_out)
    (stuck,) = hand_over(line, ["a"])
    await turns()
    (other,) = hand_over(line, ["b"])
    await asyncio.sleep(0.02)
    assert database.transactions == [[["a"]], [["b"]]]
    database.gates[1].set()
    assert (await other).records == ("b",)
    assert not stuck.done()
    database.gates[0].set()
    await stuck


async def test_no_more_transactions_run_beside_each_other_than_claims_leave_connections_for(monkeypatch):
    monkeypatch.setattr(settling, "_PATIENCE_SECONDS", 0.001)
    database = Database()
    line = Settling(database.carry_out)
    waiting = []
    for name in "abcde":
        waiting += hand_over(line, [name])
        await asyncio.sleep(0.01)
    assert len(database.transactions) == settling._AT_ONCE
    for _ in waiting:
        for gate in database.gates:
            gate.set()
        await turns()
    assert len(await asyncio.gather(*waiting)) == len(waiting)


async def test_a_transaction_takes_no_more_answers_than_it_can_hold():
    database = Database()
    line = Settling(database.carry_out)
    half = settling._MOST // 2
    first, *others = hand_over(line, ["a"], ["b"] * half, ["c"] * half, ["d"])
    await turns()
    database.gates[0].set()
    await first
    await turns()
    assert [len(lot) for lot in database.transactions[1]] == [half, half]
    database.gates[1].set()
    await turns()
    database.gates[2].set()
    await asyncio.gather(*others)


async def test_who_no_longer_waits_breaks_nothing():
    database = Database()
    line = Settling(database.carry_out)
    gone, stays = hand_over(line, ["a"], ["b"])
    await turns()
    gone.cancel()
    database.gates[0].set()
    await turns()
    database.gates[1].set()
    assert (await stays).records == ("b",)
