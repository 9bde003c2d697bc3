"""A bus transport that reconnects when the server restarts."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hushbell.errors import TransportError
from hushbell.ports.transport import ReceivedMessage
from hushbell.transports.socket import SocketBusTransport
from hushbell.types import Envelope

FIRST_DELAY = 0.02  # seconds; doubled after each failed attempt
MAX_DELAY = 1.0  # seconds


class ReconnectingBus:
    """
    Connects to the bus on a socket, and again when the connection ends. A ``Transport``.

    Envelopes that are under way when a connection ends are lost, and so are those published before the next one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: SocketBusTransport | None = None
        self._lock = asyncio.Lock()
        self._closed = asyncio.Event()

    async def receive(self, limit: int) -> Sequence[ReceivedMessage]:
        """Wait for at least one envelope, over any number of connections; return none once closed."""
        wait = FIRST_DELAY
        while not self._closed.is_set():
            with suppress(TransportError):
                bus = await self._connect()
                if envelopes := await bus.receive(limit):
                    return envelopes
                await self._drop(bus)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), wait)
            wait = min(2 * wait, MAX_DELAY)
        return []

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Write the envelopes. Raises TransportError while there is no server."""
        bus = await self._connect()
        try:
            await bus.publish(envelopes)
        except TransportError:
            await self._drop(bus)
            raise

    async def close(self) -> None:
        """Finish writing, close the connection, and do not connect again."""
        self._closed.set()
        async with self._lock:
            if self._connection:
                await self._connection.close()

    async def _connect(self) -> SocketBusTransport:
        async with self._lock:
            if self._closed.is_set():
                raise TransportError("this end of the bus is closed")
            if self._connection is None:
                self._connection = await SocketBusTransport.connect(self._path)
            return self._connection

    async def _drop(self, bus: SocketBusTransport) -> None:
        """Drop a connection that has ended, unless it was replaced already."""
        if self._connection is bus:
            self._connection = None
        await bus.close()
