"""Many phones in one process."""

from typing import Any

from hushbell.runtime.clock import SystemClock, system_random
from hushbell.simulator.fleet import Fleet
from hushbell.transports.bus import Bus


async def test_every_phone_registers_and_rings_the_next(served: Any, bus: Bus) -> None:
    told: list[tuple[str, int, int]] = []
    fleet = Fleet(bus.connect(), 5, clock=SystemClock(), random=system_random, progress=lambda *how: told.append(how))

    figures = await fleet.run([served.identity.public])

    assert (figures.phones, figures.registered, figures.notified) == (5, 5, 5)
    assert figures.bytes_sent > 0 < figures.bytes_received
    assert told[-1] == ("rung", 5, 5)
    assert len({push.targets[0] for push in served.provider.pushes}) == 5
