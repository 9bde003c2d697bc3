"""A whole server within this process, in front of a gateway that takes everything: for whatever talks to a server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hushbell.core.push import Push
from hushbell.crypto import secp256k1
from hushbell.ports.gateway import ACCEPTED, Outcome
from hushbell.ports.transport import Transport
from hushbell.runtime.client.client import ignore_counts
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.runtime.server.service import ServerService
from hushbell.stores.memory.server import MemoryServerStore
from hushbell.types import KeyPair


class Accepting:
    """A gateway that takes everything, and keeps it."""

    def __init__(self) -> None:
        self.pushes: list[Push] = []
        self.delivered = asyncio.Event()

    async def deliver(self, pushes: Sequence[Push]) -> Sequence[Outcome]:
        """Accept."""
        self.pushes.extend(pushes)
        self.delivered.set()
        return [ACCEPTED for _ in pushes]

    async def close(self) -> None:
        """Nothing is held."""

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


@dataclass(frozen=True, slots=True)
class Served:
    """What runs, and who it rings."""

    identity: KeyPair
    gateway: Accepting


@asynccontextmanager
async def serving(transport: Transport) -> AsyncIterator[Served]:
    """Run a server with a new identity and a store in memory; it closes the transport at the end."""
    served = Served(secp256k1.key_pair(system_random), Accepting())
    service = await ServerService.start(
        identity=served.identity,
        store=MemoryServerStore(random=system_random),
        transport=transport,
        gateway=served.gateway,
        clock=SystemClock(),
        random=system_random,
        count=ignore_counts,
        derivations_per_second=1000.0,
    )
    running = asyncio.create_task(service.run())
    try:
        yield served
    finally:
        service.stop()
        await running
