"""Each endpoint has its own slots; who waits is served in order, and who leaves leaves nothing behind."""

import asyncio
import contextlib

from services.notifier.slots import EndpointSlots
from services.runtime import clock

LONG = 30.0


def later(seconds=LONG):
    return clock.monotonic() + seconds


async def test_a_free_slot_is_taken_at_once_and_another_endpoint_has_its_own():
    slots = EndpointSlots()

    assert await slots.take("one", 1, until=0)
    assert not await slots.take("one", 1, until=0)
    assert await slots.take("two", 1, until=0)


async def test_a_slot_that_is_given_back_goes_to_who_waited_first():
    slots = EndpointSlots()
    await slots.take("one", 1, until=0)
    order: list[int] = []

    async def wait(n):
        assert await slots.take("one", 1, later())
        order.append(n)
        slots.give("one")

    waiting = [asyncio.create_task(wait(n)) for n in range(5)]
    await asyncio.sleep(0)
    slots.give("one")
    await asyncio.gather(*waiting)

    assert order == [0, 1, 2, 3, 4]


async def test_a_newcomer_does_not_overtake_who_waits():
    slots = EndpointSlots()
    await slots.take("one", 1, until=0)
    waiting = asyncio.create_task(slots.take("one", 1, later()))
    await asyncio.sleep(0)
    slots.give("one")

    assert not await slots.take("one", 1, until=0)
    assert await waiting


async def test_who_waited_in_vain_or_was_cancelled_takes_no_slot_with_it():
    slots = EndpointSlots()
    await slots.take("one", 1, until=0)

    assert not await slots.take("one", 1, later(0.01))
    gone = asyncio.create_task(slots.take("one", 1, later()))
    await asyncio.sleep(0)
    gone.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await gone
    slots.give("one")

    assert await slots.take("one", 1, until=0)


async def test_one_cancelled_in_the_moment_of_its_turn_passes_the_slot_on():
    slots = EndpointSlots()
    await slots.take("one", 1, until=0)
    first = asyncio.create_task(slots.take("one", 1, later()))
    second = asyncio.create_task(slots.take("one", 1, later()))
    await asyncio.sleep(0)
    slots.give("one")
    first.cancel()

    assert await second
    assert first.cancelled() or not first.done()


async def test_all_slots_come_back():
    slots = EndpointSlots()

    async def use():
        if await slots.take("one", 3, later()):
            await asyncio.sleep(0)
            slots.give("one")

    await asyncio.gather(*(use() for _ in range(50)))

    assert [await slots.take("one", 3, until=0) for _ in range(4)] == [True, True, True, False]
