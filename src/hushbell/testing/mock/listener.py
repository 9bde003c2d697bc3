"""One port of a mock: accepts connections, speaks HTTP/2 or HTTP/1.1 on each, and can be away for a while."""

import asyncio
import ssl
from typing import cast

from hushbell.testing.mock.h2 import MockHttp2
from hushbell.testing.mock.http import Handler
from hushbell.testing.mock.http1 import MockHttp1

MAX_STREAMS = 1000  # side by side on one connection, as Apple allows


class MockListener:
    """Listens from :meth:`listen` to :meth:`refuse`, always on the same port."""

    def __init__(
        self,
        handle: Handler,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        context: ssl.SSLContext | None = None,
        streams: int = MAX_STREAMS,
    ) -> None:
        """
        Prepare; nothing listens yet.

        Args:
            handle: called for each request.
            host: address to listen on.
            port: 0 picks a free one.
            context: of TLS; without it plain HTTP/1.1 is spoken.
            streams: side by side on one HTTP/2 connection.
        """
        self.handle = handle
        self.host, self.port = host, port
        self.streams = streams
        self.connections: set[_Connection] = set()
        self.connections_made = 0
        self.closed_max_streams = 0  # side by side on a connection that has ended
        self._context = context
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{self.host}:{self.port}"

    @property
    def max_streams(self) -> int:
        """How many streams there were side by side on one connection."""
        return max(self.closed_max_streams, *(connection.max_streams for connection in self.connections), 0)

    async def listen(self) -> None:
        """Accept connections. Raises OSError if the port is taken."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: _Connection(self), self.host, self.port, ssl=self._context, backlog=1024
            )
            self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Cut every connection and accept none until :meth:`listen`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self.connections):
            connection.abort()

    def go_away(self) -> None:
        """Accept no more requests on the open connections."""
        for connection in list(self.connections):
            connection.go_away()


class _Connection(asyncio.Protocol):
    """One connection, of the protocol that TLS agreed upon; without TLS: HTTP/1.1."""

    def __init__(self, listener: MockListener) -> None:
        self._listener = listener
        self._http: MockHttp1 | MockHttp2 | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def max_streams(self) -> int:
        """How many streams there were side by side."""
        return self._http.max_streams if self._http is not None else 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the protocol."""
        listener = self._listener
        listener.connections.add(self)
        listener.connections_made += 1
        number, handle = listener.connections_made, listener.handle
        self._transport = made = cast("asyncio.Transport", transport)
        tls = transport.get_extra_info("ssl_object")
        is_certified = bool(transport.get_extra_info("peercert"))
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            self._http = MockHttp2(made, handle, number=number, streams=listener.streams, is_certified=is_certified)
        else:
            self._http = MockHttp1(made, handle, number=number, is_certified=is_certified)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """Forget the connection."""
        self._listener.connections.discard(self)
        self._listener.closed_max_streams = max(self._listener.closed_max_streams, self.max_streams)

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the protocol."""
        if self._http is not None:
            self._http.feed(data)

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def go_away(self) -> None:
        """Accept no more requests."""
        if self._http is not None:
            self._http.go_away()
