"""A whole service on the in-memory bus, with a fake clock and a gateway that answers as it is told."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from hushbell.core.delivery.outcome import ACCEPTED, Outcome
from hushbell.core.push import Push
from hushbell.crypto import secp256k1
from hushbell.ports.server_store import ServerStore
from hushbell.runtime.clock import system_random
from hushbell.runtime.server.service import ServerService
from hushbell.stores.memory.server import MemoryServerStore
from hushbell.testing.clock import FakeClock
from hushbell.transports.bus import Bus, BusTransport
from hushbell.types import KeyPair

TURNS = 100_000  # looks at an idle service before a test gives up


class ScriptedGateway:
    """Answers with the scripted outcomes, then with ACCEPTED; keeps what it was given."""

    def __init__(self) -> None:
        self.attempts: list[Push] = []
        self.script: list[Outcome] = []
        self.requests: list[list[Push]] = []

    async def deliver(self, pushes: Sequence[Push]) -> Sequence[Outcome]:
        self.attempts.extend(pushes)
        self.requests.append(list(pushes))
        return [self.script.pop(0) if self.script else ACCEPTED for _ in pushes]

    async def close(self) -> None:
        pass


class Running:
    """A service under way, the bus it is on, and what it counted."""

    def __init__(self, service: ServerService, identity: KeyPair, bus: Bus, counters: Counter[str]) -> None:
        self.service = service
        self.identity = identity
        self.bus = bus
        self.counters = counters
        self.task = asyncio.create_task(service.run())

    async def settled(self, received: int) -> None:
        """Return when that many envelopes were received and nothing is in hand."""
        for _ in range(TURNS):
            if self.counters["envelopes_received"] >= received and self.service.in_hand == 0:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"never settled: {dict(self.counters)}")

    async def stop(self) -> None:
        self.service.stop()
        await self.task


StartService = Callable[..., Awaitable[Running]]


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(manual=True)


@pytest.fixture
async def start_service(gateway: ScriptedGateway, clock: FakeClock) -> AsyncIterator[StartService]:
    started: list[Running] = []

    async def start(**parts: Any) -> Running:
        identity = parts.pop("identity", None) or secp256k1.key_pair(system_random)
        bus = parts.pop("bus", None) or Bus()
        counters: Counter[str] = Counter()
        store: ServerStore = parts.pop("store", None) or MemoryServerStore(random=os.urandom)

        def count(name: str, number: int) -> None:
            counters[name] += number

        transport: BusTransport = bus.connect()
        service = await ServerService.start(
            identity=identity,
            store=store,
            transport=transport,
            gateway=parts.pop("gateway", gateway),
            clock=parts.pop("clock", clock),
            random=system_random,
            count=count,
            **parts,
        )
        running = Running(service, identity, bus, counters)
        started.append(running)
        return running

    yield start
    for running in started:
        if not running.task.done():
            await running.stop()
