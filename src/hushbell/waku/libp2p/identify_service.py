"""identify on streams: asks each new peer, answers requests, and pushes changes to peers that accept them."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Protocol

from hushbell.errors import HushbellError, TooLarge
from hushbell.ports.metrics import Count
from hushbell.waku.libp2p import identify
from hushbell.waku.libp2p.connection import PeerConnection
from hushbell.waku.libp2p.limits import HostLimits
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.muxed_stream import MuxedStream


class IdentifyHost(Protocol):
    """The part of a host that identify uses."""

    addresses: list[Multiaddr]

    def protocols(self) -> Sequence[str]:
        """Return our protocols."""

    def announce(self, connection: PeerConnection, protocols: tuple[str, ...]) -> None:
        """Note a peer's protocols."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in a task that ends with the host."""


class IdentifyService:
    """Both sides of identify and identify-push."""

    def __init__(self, node: IdentifyHost, public_key: bytes, agent: str, limits: HostLimits, count: Count) -> None:
        self._node = node
        self._public_key = public_key
        self._agent = agent
        self._limits = limits
        self._count = count
        self._pushing: set[PeerConnection] = set()

    async def ask(self, connection: PeerConnection) -> None:
        """Ask a peer for its protocols and announce them. A peer that does not answer has none."""
        try:
            stream = await connection.open((identify.PROTOCOL,))
            stream.close_write()
            try:
                async with asyncio.timeout(self._limits.handshake_seconds):
                    about = await self._read(stream)
            finally:
                stream.reset()
        except (HushbellError, TimeoutError):
            self._count("libp2p_identify_failed", 1)
            about = identify.Identify()
        if not connection.closed:
            connection.about = about
            self._node.announce(connection, about.protocols)

    async def answer(self, connection: PeerConnection, stream: MuxedStream) -> None:
        """Answer with our identify message."""
        stream.write_frame(self._message(connection))
        stream.close_write()

    async def receive_push(self, connection: PeerConnection, stream: MuxedStream) -> None:
        """Read a peer's changed identify message."""
        async with asyncio.timeout(self._limits.handshake_seconds):
            about = await self._read(stream)
        connection.about = about
        if about.protocols:
            self._node.announce(connection, about.protocols)

    def push(self, connections: Iterable[PeerConnection]) -> None:
        """Push our identify message, once for all changes in one turn of the event loop."""
        for connection in connections:
            if identify.PUSH in (connection.protocols or ()) and connection not in self._pushing:
                self._pushing.add(connection)
                self._node.spawn(self._push(connection))

    async def _push(self, connection: PeerConnection) -> None:
        self._pushing.discard(connection)
        try:
            stream = await connection.open((identify.PUSH,))
            stream.write_frame(self._message(connection))
            stream.close_write()
        except HushbellError:
            self._count("libp2p_identify_failed", 1)

    async def _read(self, stream: MuxedStream) -> identify.Identify:
        """Read frames until the peer ends its side; together they are one message."""
        data = b""
        while True:
            piece = await stream.read(self._limits.identify_most)
            if not piece:
                return identify.decode(identify.unframed(data), stream.peer, self._limits.max_protocols)
            data += piece
            if len(data) > self._limits.identify_most:
                raise TooLarge("an identify message is too long")

    def _message(self, connection: PeerConnection) -> bytes:
        kind = "ip6" if ":" in connection.raw.remote else "ip4"
        observed = None
        if connection.raw.remote and "%" not in connection.raw.remote:
            observed = Multiaddr(((kind, connection.raw.remote), ("tcp", str(connection.raw.port))))
        about = identify.Identify(tuple(self._node.protocols()), tuple(self._node.addresses), observed, self._agent)
        return identify.encode(self._public_key, about)
