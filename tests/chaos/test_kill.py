"""SIGKILL at any moment loses nothing that was acknowledged."""

import asyncio
import os
from typing import Any

import pytest

pytestmark = pytest.mark.chaos

KILLS = int(os.environ.get("HUSHBELL_KILLS", "40"))
STARTING = 0.25  # share of the kills that come before the ready line, or soon after it
STOPPING = 0.1  # share of the kills that come while the server stops
LIFE = 0.8  # seconds at most from the ready line to the kill


async def live_and_die(world: Any) -> None:
    """One life of the server, killed at a random moment."""
    dice, server = world.dice, world.server
    fate = dice.random()
    await server.spawn()
    if fate < STARTING:
        await asyncio.sleep(dice.random() * 0.8)
    else:
        await server.ready()
        await asyncio.sleep(dice.random() * LIFE)
        if fate > 1 - STOPPING:
            server.signal()
            await asyncio.sleep(dice.random() * 0.1)
    await server.kill()
    world.load.killed.set()


async def test_nothing_that_was_acknowledged_is_lost_by_kills_at_any_moment(world: Any) -> None:
    await world.begin()
    await asyncio.sleep(world.dice.random() * LIFE)
    await world.server.kill()

    for _ in range(KILLS - 1):
        await live_and_die(world)
    await world.server.start()
    await world.load.finish()
    await world.load.check_registrations()
    drained = await world.drained()
    stopped = await world.server.stop()

    world.check_arrivals()
    assert await world.states() == {"ACCEPTED": len(world.load.owed)}
    assert world.server.slowest < 5
    assert world.load.acknowledged > KILLS
    world.check_log()
    world.tell(kills=KILLS, drained=f"{drained:.2f} s", stopped=f"{stopped:.2f} s")


async def test_a_first_start_that_was_killed_is_begun_again(world: Any) -> None:
    await world.begin(alices=1, bobs=0, changing=0)
    await world.server.stop()

    for number in range(max(5, KILLS // 5)):
        world.server.data, world.server.identity = world.folder / f"data{number}", b""
        await world.server.spawn()
        await asyncio.sleep(0.1 + world.dice.random() * 0.4)
        await world.server.kill()
        await world.server.start()
        await world.server.kill()

    world.check_log()
