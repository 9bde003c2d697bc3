"""The part of a raw connection that TCP and WebSocket share: one socket of asyncio and its handler."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from hushbell.waku.libp2p.raw_connection import RawConnection, RawConnectionHandler

_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


class SocketConnection(asyncio.BaseProtocol):
    """
    One socket. A :class:`hushbell.waku.libp2p.raw_connection.RawConnection`.

    Args:
        opened: called when the socket is connected, to set the handler.
        socket_buffer: bytes that asyncio may buffer before ``full`` is set.
    """

    __slots__ = ("_on_opened", "_socket_buffer", "_transport", "full", "handler", "port", "remote")

    def __init__(self, opened: Callable[[RawConnection], None], socket_buffer: int) -> None:
        self._on_opened = opened
        self._socket_buffer = socket_buffer
        self._transport: Any = None
        self.handler: RawConnectionHandler | None = None
        self.remote, self.port = "", 0
        self.full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the socket's options and call ``opened``."""
        self._transport = transport
        self._transport.set_write_buffer_limits(high=self._socket_buffer)
        self.remote, self.port = _prepare(transport)
        self._on_opened(self)

    def eof_received(self) -> None:
        """Close: libp2p does not use half-open sockets."""

    def pause_writing(self) -> None:
        """Note that the socket's buffer is over its bound."""
        self.full = True

    def resume_writing(self) -> None:
        """Continue to write."""
        self.full = False
        if self.handler is not None:
            self.handler.on_writable()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Report the end to the handler, once."""
        handler, self.handler = self.handler, None
        if handler is not None:
            handler.on_closed()

    def write(self, data: bytes) -> None:
        """Send bytes, or buffer them for the socket."""
        self._transport.write(data)

    def pause(self) -> None:
        """Stop reading from the socket."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def close(self) -> None:
        """Close after the written bytes were sent."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


def _prepare(transport: asyncio.BaseTransport) -> tuple[str, int]:
    """Set a socket's options and return the IP address and port of its other end; "" and 0 if it is closed already."""
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
