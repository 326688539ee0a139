"""The spool in front of a broker that freezes, stops and comes back; and a spool whose process never comes back."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.devstack import kafka
from services.devstack.stack import Stack
from services.ingress.spooling import Durable, draining
from services.runtime.settings import Settings, environment
from services.streams.producer import Outcome
from services.streams.spool import Bounds, Spool
from services.streams.spool_log import Log
from services.streams.topics import TopicName
from tests.integration.conftest import SettingsFor
from tests.integration.streams.kit import Run, record, records

RAW = TopicName.RAW
DEADLINE_SECONDS = 1.0


@asynccontextmanager
async def spooling(folder: Path) -> AsyncIterator[Spool]:
    spool = Spool(Log(folder), Bounds(100_000_000, 3600.0))
    await spool.start()
    try:
        yield spool
    finally:
        await spool.stop()


def first_of_each_name(written) -> list[bytes]:
    return list({str(one.name): one.value for one in written}.values())


@pytest.mark.parametrize("fault", ["frozen", "stopped", "killed"])
async def test_all_that_was_confirmed_while_the_broker_was_away_arrives_in_its_order(
    run: Run, stack: Stack, tmp_path: Path, fault: str
):
    await run.create({RAW: 1})
    stop, confirmed = asyncio.Event(), []
    lose = {"frozen": kafka.freeze, "stopped": kafka.stop, "killed": kafka.kill}[fault]

    async def post(durable: Durable, n: int) -> None:
        assert await durable.produce_each((record(RAW, str(n)),), DEADLINE_SECONDS) == [Outcome.DURABLE]
        confirmed.append(b"%d" % n)

    async with run.producer() as producer, spooling(tmp_path / "spool") as spool:
        durable = Durable(producer, spool)
        async with draining(spool, producer, stop, 60.0):
            for n in range(20):
                await post(durable, n)
            assert spool.is_empty
            await asyncio.to_thread(lose, stack)
            try:
                for n in range(20, 300):
                    await post(durable, n)
                assert spool.records >= 280
            finally:
                await asyncio.to_thread(kafka.thaw if fault == "frozen" else kafka.start, stack)
            for n in range(300, 400):
                await post(durable, n)
                await asyncio.sleep(0.01)
        assert spool.is_empty
    assert first_of_each_name(await run.log(RAW)) == confirmed


async def test_a_spool_with_records_ends_within_its_grace_and_the_next_process_drains_it(
    run: Run, stack: Stack, tmp_path: Path
):
    await run.create({RAW: 1})
    names = records(RAW, range(600))
    async with run.producer() as producer, spooling(tmp_path / "spool") as spool:
        await asyncio.to_thread(kafka.freeze, stack)
        try:
            async with draining(spool, producer, asyncio.Event(), 0.5):
                assert await spool.take(names)
            assert spool.records == 600
        finally:
            await asyncio.to_thread(kafka.thaw, stack)
    async with (
        run.producer() as producer,
        spooling(tmp_path / "spool") as spool,
        draining(spool, producer, asyncio.Event(), 30.0),
    ):
        pass
    assert first_of_each_name(await run.log(RAW)) == [one.value for one in names]


async def command(settings: Settings, folder: Path, *more: str) -> tuple[int, str]:
    """`python -m services.ingress drain`, as an operator types it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.ingress", "drain", str(folder), *more,
        env={"PATH": "/usr/bin:/bin"} | environment(settings),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


@pytest.fixture
def settings(run: Run, settings_for: SettingsFor) -> Settings:
    """The command also tells the database that the copy reports no more."""
    return settings_for("ingress", topic_prefix=run.settings.topic_prefix)


async def test_the_command_empties_an_orphan_and_finds_nothing_the_second_time(
    run: Run, settings: Settings, tmp_path: Path
):
    await run.create({RAW: 1})
    names = records(RAW, range(1200))
    async with spooling(tmp_path / "spool") as spool:
        assert await spool.take(names)
        busy = await command(settings, tmp_path / "spool")
    assert busy[0] == 2
    assert "another process" in busy[1]
    code, said = await command(settings, tmp_path / "spool")
    assert (code, "1200 records handed over, 0 left" in said) == (0, True), said
    code, said = await command(settings, tmp_path / "spool")
    assert (code, "0 records handed over, 0 left" in said) == (0, True), said
    assert [one.value for one in await run.log(RAW)] == [one.value for one in names]


async def test_the_command_makes_no_spool_of_a_wrong_name(settings: Settings, tmp_path: Path):
    code, said = await command(settings, tmp_path / "none")
    assert code == 2
    assert "is no folder" in said
    assert not (tmp_path / "none").exists()
