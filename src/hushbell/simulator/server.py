"""A push server in this process with a gateway that accepts everything, for tests and benchmarks of clients."""

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


class AcceptingGateway:
    """A gateway that accepts and keeps every push."""

    def __init__(self) -> None:
        self.pushes: list[Push] = []
        self.delivered = asyncio.Event()

    async def deliver(self, pushes: Sequence[Push]) -> Sequence[Outcome]:
        """Accept."""
        self.pushes.extend(pushes)
        self.delivered.set()
        return [ACCEPTED for _ in pushes]

    async def close(self) -> None:
        """Do nothing."""

    def data(self) -> list[dict[str, object]]:
        """Return the data of each push, as the phones get it."""
        return [
            {
                "publicKey": "0x" + push.device.owner.hex(),
                "chatId": "0x" + push.chat_id.hex(),
                "encryptedMessage": "0x" + push.message.hex(),
            }
            for push in self.pushes
        ]


@dataclass(frozen=True, slots=True)
class RunningServer:
    """The server's identity, and its gateway."""

    identity: KeyPair
    gateway: AcceptingGateway


@asynccontextmanager
async def run_server(transport: Transport) -> AsyncIterator[RunningServer]:
    """Run a server with a new identity and a store in memory. It closes the transport at the end."""
    server = RunningServer(secp256k1.key_pair(system_random), AcceptingGateway())
    service = await ServerService.start(
        identity=server.identity,
        store=MemoryServerStore(random=system_random),
        transport=transport,
        gateway=server.gateway,
        clock=SystemClock(),
        random=system_random,
        count=ignore_counts,
        derivations_per_second=1000.0,
    )
    running = asyncio.create_task(service.run())
    try:
        yield server
    finally:
        service.stop()
        await running
