"""Waiting for several futures until a time."""

import asyncio

import pytest

from services.streams.countdown import Countdown


def futures(count):
    return [asyncio.get_running_loop().create_future() for _ in range(count)]


async def test_it_waits_for_the_last_however_each_one_ends():
    good, bad, gone = pending = futures(3)
    waiting = asyncio.create_task(Countdown(pending).wait(10))
    good.set_result(None)
    bad.set_exception(ValueError())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    gone.cancel()
    await waiting
    assert isinstance(bad.exception(), ValueError)


@pytest.mark.parametrize("seconds", [0.01, 0.0, -5.0])
async def test_it_ends_at_the_deadline_and_the_futures_go_on(seconds):
    pending = futures(2)
    await asyncio.wait_for(Countdown(pending).wait(seconds), 5)
    assert not any(future.done() for future in pending)
    for future in pending:
        future.set_result(None)
    await asyncio.sleep(0)


async def test_its_cancellation_cancels_nothing_that_it_waits_for():
    pending = futures(2)
    waiting = asyncio.create_task(Countdown(pending).wait(10))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not any(future.done() for future in pending)
