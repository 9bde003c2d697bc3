"""
A raw connection over TCP.

All sockets of a host read into one buffer: its bytes are decrypted before the next socket is read, so an idle
connection needs no buffer of its own.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from hushbell.waku.libp2p.limits import KIB
from hushbell.waku.libp2p.raw_connection import RawConnectionHandler

MAX_READ = 256 * KIB
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


class TcpConnection(asyncio.BufferedProtocol):
    """One socket. ``opened`` is called when it is connected, to set its handler."""

    __slots__ = ("_buffer", "_on_opened", "_socket_buffer", "_transport", "full", "handler", "port", "remote")

    def __init__(self, opened: Callable[["TcpConnection"], None], buffer: memoryview, socket_buffer: int) -> None:
        self._on_opened = opened
        self._buffer = buffer
        self._socket_buffer = socket_buffer
        self._transport: Any = None
        self.handler: RawConnectionHandler | None = None
        self.remote, self.port = "", 0
        self.full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        self._transport = transport
        self._transport.set_write_buffer_limits(high=self._socket_buffer)
        self.remote, self.port = prepared(transport)
        self._on_opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Return the shared buffer for one read."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on what was read."""
        if self.handler is not None:
            self.handler.on_data(self._buffer[:nbytes])

    def eof_received(self) -> None:
        """Close: libp2p has no use for half-open sockets."""

    def pause_writing(self) -> None:
        """Note that the socket is behind."""
        self.full = True

    def resume_writing(self) -> None:
        """Go on writing."""
        self.full = False
        if self.handler is not None:
            self.handler.on_writable()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Tell the sink."""
        handler, self.handler = self.handler, None
        if handler is not None:
            handler.on_closed()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._transport.write(data)

    def pause(self) -> None:
        """Read no more."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def close(self) -> None:
        """Close after the buffer has gone out."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


def prepared(transport: asyncio.BaseTransport) -> tuple[str, int]:
    """Set a socket up and return the IP address and port of its other end ("" and 0 if it is gone already)."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            option = getattr(socket, name, None)
            if option is not None:
                raw.setsockopt(socket.IPPROTO_TCP, option, value)
    peer = transport.get_extra_info("peername")
    return (str(peer[0]), int(peer[1])) if peer else ("", 0)
