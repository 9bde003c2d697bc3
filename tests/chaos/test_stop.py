"""SIGTERM under load: a good end in time, and nothing that was acknowledged is lost."""

import asyncio
import signal
import time
from typing import Any

import pytest

pytestmark = pytest.mark.chaos


async def test_sigterm_under_load_ends_well_and_loses_nothing(world: Any) -> None:
    await world.begin()
    took = []

    for _ in range(5):
        await asyncio.sleep(world.dice.random())
        took.append(await world.server.stop())
        world.load.killed.set()
        await world.server.start()
    await world.load.finish()
    await world.load.check_registrations()
    await world.drained()
    await world.server.stop()

    world.check_arrivals()
    assert await world.states() == {"ACCEPTED": len(world.load.owed)}
    arrived = world.apple.received
    assert len(arrived) == len(set(arrived)), "who may finish what is under way sends nothing twice"
    world.check_log()
    world.tell(slowest_stop=f"{max(took):.2f} s")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_gateway_that_hangs_does_not_hold_up_the_end(world: Any, number: int) -> None:
    await world.begin(changing=0)
    await world.apple.answer({"act": "blackhole"})
    await asyncio.sleep(1.0)

    began = time.monotonic()
    world.server.signal(number)
    code = await world.server.exit_code(within=10)
    took = time.monotonic() - began
    await world.apple.answer(None)
    await world.server.start()
    await world.load.finish()
    await world.drained()
    await world.server.stop()

    assert code == 0
    world.check_arrivals()
    world.check_log()
    world.tell(stop=f"{took:.2f} s")


async def test_a_second_signal_ends_at_once_and_loses_nothing(world: Any) -> None:
    await world.begin()
    await world.apple.answer({"act": "blackhole"})
    await asyncio.sleep(1.0)

    world.server.signal()
    await asyncio.sleep(0.5)
    began = time.monotonic()
    world.server.signal()
    code = await world.server.exit_code(within=1)
    took = time.monotonic() - began
    await world.apple.answer(None)
    await world.server.start()
    await world.load.finish()
    await world.load.check_registrations()
    await world.drained()
    await world.server.stop()

    assert code == 1
    world.check_arrivals()
    world.check_log()
    world.tell(second_signal=f"{took:.3f} s")


async def test_phones_that_never_read_do_not_hold_up_the_end(world: Any) -> None:
    await world.begin(changing=0)
    deaf = [(await asyncio.open_unix_connection(str(world.server.bus), limit=1))[1] for _ in range(3)]
    await world.apple.answer({"act": "blackhole"})
    await asyncio.sleep(2.0)

    took = await world.server.stop()
    for writer in deaf:
        writer.close()
    await world.apple.answer(None)
    await world.server.start()
    await world.load.finish()
    await world.drained()
    await world.server.stop()

    world.check_arrivals()
    world.check_log()
    world.tell(stop=f"{took:.2f} s")
