"""Opening sockets: listeners and dials, TCP or WebSocket, with or without TLS."""

import asyncio
import socket
import ssl
from collections.abc import Callable

from websockets.protocol import Protocol

from hushbell.errors import TransportError
from hushbell.ports.metrics import Count
from hushbell.waku.libp2p import websocket
from hushbell.waku.libp2p.limits import HostLimits
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.raw_connection import RawConnection
from hushbell.waku.libp2p.tcp import MAX_READ, TcpConnection
from hushbell.waku.libp2p.websocket import WebSocketConnection

Opened = Callable[[RawConnection], None]
_FAMILIES = {"ip4": socket.AF_INET, "dns4": socket.AF_INET, "ip6": socket.AF_INET6, "dns6": socket.AF_INET6}
_BACKLOG = 256


class Sockets:
    """All sockets of one host."""

    def __init__(
        self, limits: HostLimits, server_tls: ssl.SSLContext | None, client_tls: ssl.SSLContext | None, count: Count
    ) -> None:
        self._limits = limits
        self._server_tls = server_tls
        self._client_tls = client_tls
        self._count = count
        self._servers: list[asyncio.Server] = []
        self._buffer = memoryview(bytearray(MAX_READ))

    async def connect(self, address: Multiaddr, opened: Opened) -> None:
        """
        Connect a socket and call ``opened`` with it.

        Raises:
            TransportError: no answer in time.
        """
        tls: ssl.SSLContext | None = None
        if address.is_tls:
            tls = self._client_tls = self._client_tls or ssl.create_default_context()
        try:
            async with asyncio.timeout(self._limits.dial_seconds):
                await asyncio.get_running_loop().create_connection(
                    lambda: self._protocol(address, opened, lambda: websocket.client(address)),
                    address.host,
                    address.port,
                    ssl=tls,
                    server_hostname=address.server_name if tls else None,
                    family=_FAMILIES.get(address.host_kind, 0),
                )
        except (OSError, TimeoutError) as error:
            raise TransportError(f"no connection to {address}: {type(error).__name__}") from None

    async def listen(self, address: Multiaddr, opened: Opened) -> Multiaddr:
        """
        Listen and return the address with the port that was bound.

        Raises:
            TransportError: it cannot be listened on.
        """
        if address.is_tls and self._server_tls is None:
            raise TransportError(f"{address} needs a certificate")
        tls = self._server_tls if address.is_tls else None
        try:
            server = await asyncio.get_running_loop().create_server(
                lambda: self._protocol(address, opened, websocket.server, tls),
                address.host,
                address.port,
                family=_FAMILIES.get(address.host_kind, socket.AF_UNSPEC),
                backlog=_BACKLOG,
            )
        except OSError as error:
            raise TransportError(f"cannot listen on {address}: {error.strerror}") from None
        self._servers.append(server)
        return address.with_port(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening."""
        for server in self._servers:
            server.close()

    def _protocol(
        self, address: Multiaddr, opened: Opened, core: Callable[[], Protocol], tls: ssl.SSLContext | None = None
    ) -> TcpConnection | WebSocketConnection:
        if address.is_websocket:
            return WebSocketConnection(opened, core(), self._limits.socket_buffer, self._count, tls)
        return TcpConnection(opened, self._buffer, self._limits.socket_buffer)
