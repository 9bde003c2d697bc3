"""
A raw connection over TCP.

All sockets of a host read into one buffer: its bytes are decrypted before the next socket is read, so an idle
connection needs no buffer of its own.
"""

import asyncio
from collections.abc import Callable

from hushbell.waku.libp2p.limits import KIB
from hushbell.waku.libp2p.raw_connection import RawConnection
from hushbell.waku.libp2p.socket_connection import SocketConnection

MAX_READ = 256 * KIB


class TcpConnection(SocketConnection, asyncio.BufferedProtocol):
    """One socket that reads into a shared buffer."""

    __slots__ = ("_buffer",)

    def __init__(self, opened: Callable[[RawConnection], None], buffer: memoryview, socket_buffer: int) -> None:
        super().__init__(opened, socket_buffer)
        self._buffer = buffer

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Return the shared buffer for one read."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on the bytes that were read."""
        if self.handler is not None:
            self.handler.on_data(self._buffer[:nbytes])
