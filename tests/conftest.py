"""
What tests share.

Generated examples are the same on every run, so that a red test stays red. A real service on the in-memory bus rings
into a gateway that keeps what it got.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings

from hushbell.core.push import Push
from hushbell.crypto import secp256k1
from hushbell.ports.gateway import ACCEPTED, Outcome
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.runtime.service import Service
from hushbell.stores.memory import MemoryStore
from hushbell.transports.bus import Bus
from hushbell.types import KeyPair

settings.register_profile(
    "hushbell",
    derandomize=True,
    deadline=None,  # a busy machine is no bug
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("hushbell")


class Accepting:
    """A gateway that takes everything, and keeps it."""

    def __init__(self) -> None:
        self.pushes: list[Push] = []
        self.delivered = asyncio.Event()

    async def deliver(self, pushes: Sequence[Push]) -> Sequence[Outcome]:
        self.pushes.extend(pushes)
        self.delivered.set()
        return [ACCEPTED for _ in pushes]

    async def close(self) -> None:
        pass

    def data(self) -> list[dict[str, object]]:
        """Return what the phones got, as the server's gateways write it."""
        return [
            {
                "publicKey": "0x" + push.device.owner.hex(),
                "chatId": "0x" + push.chat_id.hex(),
                "encryptedMessage": "0x" + push.message.hex(),
            }
            for push in self.pushes
        ]


@dataclass(frozen=True)
class Served:
    """What runs, and who it rings."""

    identity: KeyPair
    gateway: Accepting


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
async def served(bus: Bus) -> AsyncIterator[Served]:
    identity = secp256k1.key_pair(system_random)
    gateway = Accepting()
    service = await Service.start(
        identity=identity,
        store=MemoryStore(),
        transport=bus.connect(),
        gateway=gateway,
        clock=SystemClock(),
        random=system_random,
        count=lambda _name, _number: None,
        derivations_per_second=1000.0,
    )
    running = asyncio.create_task(service.run())
    yield Served(identity, gateway)
    service.stop()
    await running
