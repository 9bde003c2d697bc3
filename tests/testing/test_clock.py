"""A clock that moves only when told."""

import asyncio

from hushbell.testing.clock import FakeClock


async def test_a_sleep_takes_the_time_with_it() -> None:
    clock = FakeClock()
    before = clock.now()

    await clock.sleep(90)

    assert clock.now() - before == 90_000
    assert clock.slept == [90]


async def test_a_manual_clock_wakes_the_earliest_first() -> None:
    clock = FakeClock(manual=True)
    woken: list[float] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.ensure_future(sleeper(seconds)) for seconds in (3, 1, 2)]
    await asyncio.sleep(0)

    clock.advance(2)
    await asyncio.gather(tasks[1], tasks[2])
    assert woken == [1, 2]

    clock.advance(1)
    await tasks[0]
    assert woken == [1, 2, 3]
