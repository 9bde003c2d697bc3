"""Callbacks run when their time has come, earliest first, from one task."""

import asyncio
from collections.abc import Callable

from hushbell.runtime.delivery.timers import IDLE_INTERVAL, Timers
from hushbell.testing.clock import FakeClock
from hushbell.types import Millis


def at(clock: FakeClock, seconds: float) -> Millis:
    return Millis(clock.now() + int(seconds * 1000))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def append(called: list[str], name: str) -> Callable[[], None]:
    return lambda: called.append(name)


async def test_due_callbacks_run_earliest_first_and_the_others_wait() -> None:
    clock, called = FakeClock(manual=True), list[str]()
    timers = Timers(clock)
    for seconds, name in ((3, "third"), (1, "first"), (2, "second"), (2, "second again"), (9, "late")):
        timers.call_at(at(clock, seconds), append(called, name))
    clock.advance(5)

    waiting = asyncio.create_task(timers.wait())
    await settle()

    assert called == ["first", "second", "second again", "third"]
    assert len(timers) == 1
    assert not waiting.done()
    assert clock.slept == [4.0], "until the next one"
    clock.advance(4)
    await waiting


async def test_an_earlier_callback_shortens_the_wait_and_a_later_one_does_not() -> None:
    clock = FakeClock(manual=True)
    timers = Timers(clock)
    timers.call_at(at(clock, 10), lambda: None)
    waiting = asyncio.create_task(timers.wait())
    await settle()

    timers.call_at(at(clock, 20), lambda: None)
    await settle()
    assert not waiting.done()

    timers.call_at(at(clock, 1), lambda: None)
    await waiting


async def test_a_callback_may_add_one_that_is_due_at_once() -> None:
    clock, called = FakeClock(manual=True), list[str]()
    timers = Timers(clock)
    timers.call_at(clock.now(), lambda: timers.call_at(clock.now(), append(called, "inner")))

    await timers.wait()

    assert called == ["inner"]
    assert len(timers) == 0


async def test_without_callbacks_the_wait_ends_after_the_idle_interval_or_an_interruption() -> None:
    clock = FakeClock(manual=True)
    timers = Timers(clock)
    waiting = asyncio.create_task(timers.wait())
    await settle()
    assert clock.slept == [IDLE_INTERVAL]
    clock.advance(IDLE_INTERVAL)
    await waiting

    waiting = asyncio.create_task(timers.wait())
    await settle()
    timers.interrupt()
    await waiting
