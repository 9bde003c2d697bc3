"""A phone's end of a bus that outlives the server at the other end."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hushbell.errors import TransportError
from hushbell.ports.transport import ReceivedMessage
from hushbell.transports.socket import SocketBusTransport
from hushbell.types import Envelope

FIRST_WAIT = 0.02  # seconds; doubled after each attempt in vain
LONGEST_WAIT = 1.0  # seconds


class ReconnectingBus:
    """
    Joins the bus on a socket, and joins again when the server went away. A ``Transport``.

    What was under way when a connection ended is lost, and so is what was published meanwhile: whoever needs an answer
    sends again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._joined: SocketBusTransport | None = None
        self._joining = asyncio.Lock()
        self._closed = asyncio.Event()

    async def receive(self, limit: int) -> Sequence[ReceivedMessage]:
        """Wait for at least one envelope, through as many connections as it takes; nothing once closed."""
        wait = FIRST_WAIT
        while not self._closed.is_set():
            with suppress(TransportError):
                bus = await self._join()
                if came := await bus.receive(limit):
                    return came
                await self._leave(bus)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), wait)
            wait = min(2 * wait, LONGEST_WAIT)
        return []

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Write the envelopes. Raises TransportError while nobody listens."""
        bus = await self._join()
        try:
            await bus.publish(envelopes)
        except TransportError:
            await self._leave(bus)
            raise

    async def close(self) -> None:
        """Let what was written leave, and join no more."""
        self._closed.set()
        async with self._joining:
            if self._joined:
                await self._joined.close()

    async def _join(self) -> SocketBusTransport:
        async with self._joining:
            if self._closed.is_set():
                raise TransportError("this end of the bus is closed")
            if self._joined is None:
                self._joined = await SocketBusTransport.connect(self._path)
            return self._joined

    async def _leave(self, bus: SocketBusTransport) -> None:
        """Forget a connection that has ended, unless it was replaced already."""
        if self._joined is bus:
            self._joined = None
        await bus.close()
