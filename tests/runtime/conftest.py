"""A whole service on the in-memory bus, with a fake clock and a provider that answers as scripted."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from hushbell.config.gateway import Texts
from hushbell.crypto import secp256k1
from hushbell.ports.server_store import ServerStore
from hushbell.runtime.clock import system_random
from hushbell.runtime.server.app import delivery_app
from hushbell.runtime.server.service import ServerService
from hushbell.stores.memory.server import MemoryServerStore
from hushbell.testing.clock import FakeClock
from hushbell.testing.scripted_provider import ScriptedProvider
from hushbell.transports.bus import Bus, BusTransport
from hushbell.types import SECONDS_PER_DAY, KeyPair

TURNS = 100_000  # looks at an idle service before a test gives up


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
            if self.counters["envelopes_received"] >= received and self.service.is_idle:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"never settled: {dict(self.counters)}")

    async def stop(self) -> None:
        self.service.stop()
        await self.task


StartService = Callable[..., Awaitable[Running]]


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(manual=True)


@pytest.fixture
async def start_service(provider: ScriptedProvider, clock: FakeClock) -> AsyncIterator[StartService]:
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
            app=delivery_app(parts.pop("providers", {"apns": provider, "fcm": provider}), Texts(), ttl=SECONDS_PER_DAY),
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
