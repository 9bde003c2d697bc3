"""A gateway that fails, hangs, cuts and vanishes loses nothing."""

import asyncio
from typing import Any

import pytest

pytestmark = pytest.mark.chaos

TIMEOUT = 1.0  # seconds the server waits for one answer of the gateway
PATIENT = 20.0  # the same where no answer is missing, so that a busy machine puts nothing in doubt
TROUBLE = 3.0  # seconds that it lasts; under load all the while
RECOVERY = 30.0  # seconds; twice the longest pause after so much trouble, and time to send

FAILURES: dict[str, dict[str, Any]] = {
    "says 500": {"status": 500, "reason": "InternalServerError"},
    "says 503": {"status": 503},
    "says 429 to every device": {"status": 429},
    "hangs": {"act": "blackhole"},
    "cuts connections": {"act": "close"},
    "resets streams": {"act": "reset"},
    "refuses streams": {"act": "refuse"},
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_nothing_is_lost_by_a_gateway_that(world: Any, failure: str) -> None:
    refusal = "status" in FAILURES[failure]
    await world.begin(patience=PATIENT if refusal else TIMEOUT, changing=0)
    await asyncio.sleep(0.3)

    await world.apple.answer(FAILURES[failure])
    before, owed = await world.apple.attempts(), len(world.load.owed)
    await asyncio.sleep(TROUBLE)
    attempts, pushes = await world.apple.attempts() - before, len(world.load.owed) - owed
    await world.apple.answer(None)
    await world.load.finish()
    drained = await world.drained(RECOVERY)
    await world.server.stop()

    world.check_arrivals()
    assert await world.states() == {"ACCEPTED": len(world.load.owed)}
    assert pushes > 100, "the phones must not notice"
    arrived = world.apple.received
    assert not refusal or len(arrived) == len(set(arrived)), "nothing was in doubt, and yet it was sent twice"
    world.check_log()
    world.tell(failure=failure, attempts=attempts, meanwhile=pushes, drained=f"{drained:.2f} s")


async def test_nothing_is_lost_by_a_gateway_that_is_down_for_a_while(world: Any) -> None:
    await world.begin(patience=TIMEOUT, changing=0)
    await asyncio.sleep(0.3)

    for _ in range(2):
        await world.apple.refuse()
        await asyncio.sleep(TROUBLE / 2)
        await world.apple.listen()
        await asyncio.sleep(0.3)
    await world.load.finish()
    drained = await world.drained(RECOVERY)
    await world.server.stop()

    world.check_arrivals()
    assert await world.states() == {"ACCEPTED": len(world.load.owed)}
    world.check_log()
    world.tell(drained=f"{drained:.2f} s")


async def test_kills_while_the_gateway_fails_lose_nothing(world: Any) -> None:
    await world.begin(patience=TIMEOUT)

    failures = [*FAILURES.values(), None]
    for _ in range(8):
        await world.apple.answer(world.dice.choice(failures))
        await asyncio.sleep(world.dice.random())
        await world.server.kill()
        world.load.killed.set()
        await world.server.start()
    await world.apple.answer(None)
    await world.load.finish()
    await world.load.check_registrations()
    drained = await world.drained(RECOVERY)
    await world.server.stop()

    world.check_arrivals()
    assert await world.states() == {"ACCEPTED": len(world.load.owed)}
    world.check_log()
    world.tell(drained=f"{drained:.2f} s")


async def test_every_push_ends_in_a_final_state_when_its_time_is_over(world: Any) -> None:
    await world.begin(limits={"push_ttl": 2}, patience=TIMEOUT, changing=0)
    await asyncio.sleep(0.5)

    await world.apple.refuse()
    await asyncio.sleep(3.0)
    await world.load.finish()
    await asyncio.sleep(2.0 + 2 * TIMEOUT)
    await world.server.stop()

    states = await world.states()
    assert set(states) == {"ACCEPTED", "EXPIRED"}
    assert sum(states.values()) == len(world.load.owed)
    world.check_log()
    world.tell(**states)
