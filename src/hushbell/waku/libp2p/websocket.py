"""
A raw connection over WebSocket, both sides, on the core of the library websockets, which has no I/O.

libp2p ignores the boundaries of messages. TLS, if any, lies below: a dialler's is asyncio's, a listener's is our own.

Source: github.com/libp2p/specs, websockets/README.md.
"""

import asyncio
import ssl
from collections.abc import Callable

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from hushbell.errors import Undecodable
from hushbell.ports.metrics import Count
from hushbell.waku.libp2p.limits import KIB, MIB
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.raw_connection import RawConnection
from hushbell.waku.libp2p.socket_connection import SocketConnection
from hushbell.waku.libp2p.tls import TlsListener

MAX_MESSAGE = 1 * MIB  # bytes the other side may put in one message; others write one Noise record
MAX_FRAME = 128 * KIB  # bytes of ours in one
_MAX_UNREAD = 1 * MIB  # over the socket's bound, for a peer that pings and does not read
_MAX_WAITING = 64 * KIB  # written before the HTTP upgrade is through: a multistream line or two


def client(address: Multiaddr) -> Protocol:
    """Return the dialler's side for an address."""
    scheme = "wss" if address.is_tls else "ws"
    host = f"[{address.host}]" if address.host_kind == "ip6" else address.server_name
    return ClientProtocol(parse_uri(f"{scheme}://{host}:{address.port}/"), max_size=MAX_MESSAGE)


def server() -> Protocol:
    """Return the listener's side."""
    return ServerProtocol(max_size=MAX_MESSAGE)


class WebSocketConnection(SocketConnection, asyncio.Protocol):
    """One WebSocket. ``opened`` is called before the HTTP upgrade."""

    def __init__(
        self,
        opened: Callable[[RawConnection], None],
        core: Protocol,
        socket_buffer: int,
        count: Count,
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(opened, socket_buffer)
        self._core = core
        self._count = count
        self._tls = None if tls is None else TlsListener(tls)
        self._waiting: list[bytes] | None = []  # written before the HTTP upgrade

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the dialler's HTTP request behind what ``opened`` does."""
        super().connection_made(transport)
        if isinstance(self._core, ClientProtocol):
            self._core.send_request(self._core.connect())
            self._send()

    def data_received(self, data: bytes) -> None:
        """Pass on the data of the frames."""
        core = self._core
        if self._tls is not None:
            try:
                data = self._tls.receive(data)
            except Undecodable:
                self._send()
                self._transport.close()
                return
        if data:
            core.receive_data(data)
        chunks = self._read()
        if self._waiting is not None and core.state is State.OPEN:
            waiting, self._waiting = self._waiting, None
            for piece in waiting:
                self.write(piece)
        self._send()
        for chunk in chunks:
            if self.handler is not None:
                self.handler.on_data(chunk)
        if core.close_expected() or core.handshake_exc is not None:
            self.close()

    def _read(self) -> list[bytes]:
        """Answer a request and return what frames hold."""
        core, chunks = self._core, []
        for event in core.events_received():
            if isinstance(event, Request) and isinstance(core, ServerProtocol):
                core.send_response(core.accept(event))
            elif isinstance(event, Frame) and event.opcode in {Opcode.BINARY, Opcode.CONT} and event.data:
                chunks.append(bytes(event.data))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                core.fail(1003)
        return chunks

    def write(self, data: bytes) -> None:
        """Send bytes in frames of a bounded size; before the HTTP upgrade is done, buffer them."""
        if self._waiting is not None:
            self._waiting.append(data)
            if sum(map(len, self._waiting)) > _MAX_WAITING:
                self.abort()
            return
        try:
            for start in range(0, len(data), MAX_FRAME):
                self._core.send_binary(data[start : start + MAX_FRAME])
        except InvalidState:  # the closing handshake has begun
            return
        self._send()

    def close(self) -> None:
        """Close after the buffer has gone out."""
        if self._core.state is State.OPEN:
            self._core.send_close(1000)
            self._send()
            if self._tls is not None:
                self._tls.end()
                self._send()
        super().close()

    def _send(self) -> None:
        for data in self._core.data_to_send():
            if self._tls is None:
                self._put(data)
            elif data:
                self._tls.send(data)
        if self._tls is not None:
            self._put(self._tls.data_to_send())
        if self._transport.get_write_buffer_size() > self._socket_buffer + _MAX_UNREAD:
            self._count("libp2p_cut_websocket_unread", 1)
            self.abort()

    def _put(self, data: bytes) -> None:
        if data and not self._transport.is_closing():
            self._transport.write(data)
