"""A push server in this process with a provider that accepts everything, for tests and benchmarks of clients."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson

from hushbell.config.gateway import Texts
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import ACCEPTED
from hushbell.crypto import secp256k1
from hushbell.ports.provider import Attempt
from hushbell.ports.transport import Transport
from hushbell.runtime.client.client import ignore_counts
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.runtime.server.app import delivery_app
from hushbell.runtime.server.service import ServerService
from hushbell.stores.memory.server import MemoryServerStore
from hushbell.types import SECONDS_PER_DAY, KeyPair, Millis


class AcceptingProvider:
    """A provider that accepts and keeps every push."""

    name = "apns"
    credential_expires_at: Millis | None = None

    def __init__(self) -> None:
        self.pushes: list[Notification] = []
        self.delivered = asyncio.Event()

    def check(self, message: Message) -> None:
        """Accept."""

    def send(self, attempts: Sequence[Attempt]) -> None:
        """Accept."""
        for attempt in attempts:
            self.pushes.append(attempt.notification)
            attempt.report(ACCEPTED)
        self.delivered.set()

    def reload(self) -> None:
        """There is no credential."""

    async def close(self) -> None:
        """There is no connection."""

    def data(self) -> list[dict[str, object]]:
        """Return the payload of each push, as the phones get it."""
        return [orjson.loads(push.message.body) for push in self.pushes]


@dataclass(frozen=True, slots=True)
class RunningServer:
    """The server's identity, and its provider."""

    identity: KeyPair
    provider: AcceptingProvider


@asynccontextmanager
async def run_server(transport: Transport) -> AsyncIterator[RunningServer]:
    """Run a server with a new identity and a store in memory. It closes the transport at the end."""
    server = RunningServer(secp256k1.key_pair(system_random), AcceptingProvider())
    service = await ServerService.start(
        identity=server.identity,
        store=MemoryServerStore(random=system_random),
        transport=transport,
        app=delivery_app({"apns": server.provider, "fcm": server.provider}, Texts(), ttl=SECONDS_PER_DAY),
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
