"""
An HTTP/2 server on the h2 library: a second opinion on what our client writes, and right or wrong responses.

``async with Http2Peer() as peer:`` answers everything with 200. ``peer.behave = lambda conversation, stream: …`` does
something else, with :meth:`Conversation.answer`, raw bytes, or the transport. The rules that the client broke are
in ``peer.faults``.
"""

import asyncio
import ssl
import struct
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from hushbell.testing.certificates import server_context

Headers = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class PeerRequest:
    """One request as it arrived."""

    headers: dict[str, str] = field(repr=False)  # with the pseudo-headers
    body: bytearray = field(default_factory=bytearray, repr=False)


class Conversation(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, peer: "Http2Peer") -> None:
        self.peer = peer
        self.requests = 0  # whole ones on this connection
        self.open: dict[int, PeerRequest] = {}
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.transport: asyncio.Transport | None = None
        self._held = 0  # bytes of bodies not yet returned to the window

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send SETTINGS, or what the test wants instead."""
        self.transport = cast("asyncio.Transport", transport)
        self.peer.conversations.append(self)
        self.peer.connections += 1
        values = {SettingCodes.MAX_CONCURRENT_STREAMS: 100} | self.peer.settings
        self.h2.local_settings = Settings(client=False, initial_values=values)
        if self.peer.greet is not None:
            self.peer.greet(self)
            return
        self.h2.initiate_connection()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """Forget the client."""
        self.transport = None
        if self in self.peer.conversations:
            self.peer.conversations.remove(self)

    def data_received(self, data: bytes) -> None:
        """Read frames; one that breaks a rule is recorded in ``faults``."""
        if self.peer.deaf:
            return
        try:
            for event in self.h2.receive_data(data):
                self._on(event)
        except ProtocolError as error:
            self.peer.faults.append(repr(error))
            self.abort()
            return
        self.flush()

    def answer(self, stream: int, status: int = 200, headers: Headers = (), body: bytes = b"") -> None:
        """Respond to a request, unless the client has reset its stream."""
        try:
            self.h2.send_headers(stream, [(":status", str(status)), *headers], end_stream=not body)
            while body:
                size = min(len(body), self.h2.local_flow_control_window(stream), 16_384)
                if size <= 0:
                    break
                piece, body = body[:size], body[size:]
                self.h2.send_data(stream, piece, end_stream=not body)
        except ProtocolError:
            return
        self.flush()

    def later(self, seconds: float, stream: int) -> None:
        """Respond with 200 after that many seconds."""
        asyncio.get_running_loop().call_later(seconds, self.answer, stream)

    def raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        if self.transport is not None:
            self.transport.write(data)

    def frame(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        """Write a frame after everything that is queued."""
        self.flush()
        self.raw(struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload)

    def reset(self, stream: int, code: int) -> None:
        """End a stream."""
        self.h2.reset_stream(stream, code)
        self.flush()

    def go_away(self, last: int, code: int = 0) -> None:
        """Accept no streams above the last one."""
        self.frame(7, 0, 0, struct.pack(">II", last, code))

    def abort(self) -> None:
        """Cut the connection."""
        if self.transport is not None:
            self.transport.abort()

    def flush(self) -> None:
        """Write what the h2 library has queued."""
        data = self.h2.data_to_send()
        if data:
            self.raw(data)

    def _on(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self.open[event.stream_id] = PeerRequest(dict(cast("list[tuple[str, str]]", event.headers)))
            self.peer.side_by_side = max(self.peer.side_by_side, len(self.h2.streams) and self.h2.open_inbound_streams)
        elif isinstance(event, DataReceived):
            asked = self.open.get(event.stream_id)
            if asked is not None:
                asked.body += event.data or b""
            self._give_back(event.flow_controlled_length or 0, event.stream_id)
        elif isinstance(event, StreamReset):
            self.open.pop(event.stream_id, None)
            self.peer.resets += 1
        elif isinstance(event, ConnectionTerminated):
            self.peer.farewells.append(int(event.error_code or 0))
        elif isinstance(event, StreamEnded):
            self._asked(event.stream_id)

    def _give_back(self, size: int, stream: int) -> None:
        """Open the window again by the size of each frame, so that updates are small."""
        try:
            self.h2.acknowledge_received_data(size, stream)
        except ProtocolError:
            return  # the stream has ended

    def _asked(self, stream: int) -> None:
        asked = self.open.pop(stream, None)
        if asked is None:
            return
        self.requests += 1
        self.peer.asked.append(asked)
        self.flush()
        self.peer.behave(self, stream)


class Http2Peer:
    """A server with TLS on a free port of this machine."""

    def __init__(
        self,
        *,
        settings: Mapping[SettingCodes, int] | None = None,
        alpn: tuple[str, ...] = ("h2",),
        wants_certificate: bool = False,
    ) -> None:
        self.settings = dict(settings or {})
        self.behave: Callable[[Conversation, int], None] = lambda conversation, stream: conversation.answer(stream)
        self.greet: Callable[[Conversation], None] | None = None  # instead of SETTINGS
        self.deaf = False  # reads and ignores all frames
        self.asked: list[PeerRequest] = []  # whole requests
        self.connections = 0
        self.conversations: list[Conversation] = []  # open ones
        self.side_by_side = 0  # most streams at once
        self.resets = 0  # streams that the client reset
        self.farewells: list[int] = []  # error codes of the client's GOAWAY frames
        self.faults: list[str] = []  # rules that the client broke
        self._folder = tempfile.TemporaryDirectory()
        self.directory = Path(self._folder.name)
        self._context, self.ca_file = server_context(self.directory, alpn=alpn)
        if wants_certificate:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(self.ca_file)
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def address(self) -> str:
        """HOST:PORT, as the setting ``connect`` takes it."""
        return f"127.0.0.1:{self.port}"

    @property
    def certificate_file(self) -> Path:
        """A certificate with its key, of an authority that this server trusts."""
        return self.directory / "server.pem"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.refuse()
        self._folder.cleanup()

    async def listen(self) -> None:
        """Accept connections, always on the same port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Conversation(self), "127.0.0.1", self.port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Cut every connection and accept none until :meth:`listen`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for conversation in list(self.conversations):
            conversation.abort()
        await asyncio.sleep(0)
