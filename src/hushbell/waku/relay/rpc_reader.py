"""
Reads the RPCs of one peer from chunks of its stream, a bounded number in a turn of the event loop.

An RPC in the usual form, one ``publish`` with data and topic, is read without parsing.
"""

from collections.abc import Callable
from typing import Protocol

from hushbell.errors import TooLarge, Undecodable, WireError
from hushbell.waku.byte_total import ByteTotal
from hushbell.waku.libp2p.stream import PeerId, Stream
from hushbell.waku.relay.rpc import RelayRpc, TopicFrames, decode
from hushbell.waku.relay.settings import RelayLimits

_EMPTY = b""


class RpcHandler(Protocol):
    """Receives what was read."""

    topic_frames: TopicFrames  # of the messages in the topics that we joined

    def message(self, peer: PeerId, topic: str, data: bytes, frame: bytes) -> None:
        """Process a message. ``frame`` is the RPC with its length, ready to be forwarded."""

    def rpc(self, peer: PeerId, rpc: RelayRpc) -> None:
        """Process any other RPC."""

    def malformed(self, peer: PeerId) -> None:
        """Note that the peer's bytes are no RPC or over a bound. Its stream is reset."""


class RpcReader:
    """
    The reader of one stream.

    Args:
        stream: its receiver is set here, and removed while the peer has used up its share of a turn.
        sink: takes messages and RPCs.
        limits: sizes, and how much is read in a turn.
        partial: shared by all readers.
        later: calls back in the next turn of the loop.
        on_close: called once when nothing more will be read.
    """

    def __init__(
        self,
        stream: Stream,
        sink: RpcHandler,
        *,
        limits: RelayLimits,
        partial: ByteTotal,
        call_soon: Callable[[Callable[[], None]], object],
        on_close: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._peer = stream.peer
        self._sink = sink
        self._frame_shapes = sink.topic_frames
        self._limits = limits
        self._partial = partial
        self._call_soon = call_soon
        self._on_close = on_close
        self._held = bytearray()  # the beginning of an RPC
        self._kept = 0  # bytes
        self._incomplete = False
        self._missing = 0  # bytes, at least, before looking at it again is of use
        self._backlog = _EMPTY  # what this turn had no room for
        self._bytes_left = limits.tick_bytes
        self._messages_left = limits.tick_messages
        self._renewing = False
        self._closed = False

    def start(self) -> None:
        """Start to read."""
        self._stream.receiver = self.feed

    def close(self) -> None:
        """Read nothing more, and call ``on_close`` once."""
        if self._closed:
            return
        self._closed = True
        self._stream.receiver = None
        self._keep(-self._kept)
        self._held.clear()
        self._backlog = _EMPTY
        self._on_close()

    def feed(self, chunk: bytes) -> None:
        """
        Read the next bytes of the stream.

        Raises:
            Undecodable: no RPC, or a length that is not the shortest varint.
            TooLarge: an RPC over a bound, or too many unfinished ones of all peers.
        """
        if self._closed:
            return
        if not self._renewing:
            self._renewing = True
            self._call_soon(self._renew)
        try:
            if self._backlog:
                self._keep(len(chunk))
                self._backlog += chunk
            else:
                self._read(chunk)
        except WireError:
            self.close()
            self._sink.malformed(self._peer)
            raise

    def _read(self, chunk: bytes) -> None:
        if self._held:
            chunk = self._joined(chunk)
        self._incomplete = False
        place = self._scan(chunk)
        self._bytes_left -= place
        if place == len(chunk) or self._closed:
            return
        if self._incomplete:
            self._hold(chunk, place)
        else:
            self._keep(len(chunk) - place)
            self._backlog = chunk[place:]
            self._stream.receiver = None

    def _joined(self, chunk: bytes) -> bytes:
        """Return the held beginning with the chunk behind it, or nothing while that makes no whole RPC."""
        self._missing -= len(chunk)
        if self._missing > 0:
            self._keep(len(chunk))
            self._held += chunk
            return _EMPTY
        chunk = b"".join((self._held, chunk))
        self._keep(-len(self._held))
        self._held.clear()
        return chunk

    def _hold(self, chunk: bytes, place: int) -> None:
        self._keep(len(chunk) - place)
        self._held += memoryview(chunk)[place:]

    def _keep(self, size: int) -> None:
        """Count bytes that are kept. A peer's share is always allowed, so that others cannot use up the total."""
        self._kept += size
        self._partial.size += size
        if size > 0 and self._kept > self._limits.share and self._partial.size > self._limits.partial:
            raise TooLarge("too many bytes of unfinished RPCs")

    def _renew(self) -> None:
        self._renewing = False
        self._bytes_left = self._limits.tick_bytes
        self._messages_left = self._limits.tick_messages
        if self._backlog and not self._closed:
            backlog, self._backlog = self._backlog, _EMPTY
            self._keep(-len(backlog))
            self._resume(backlog)

    def _resume(self, backlog: bytes) -> None:
        try:
            self.feed(backlog)
            if not self._backlog and not self._closed:
                self._stream.receiver = self.feed
        except WireError:
            self._stream.reset()

    def _scan(self, chunk: bytes) -> int:
        """Read whole RPCs from the chunk and return the place behind the last."""
        place, end = 0, len(chunk)
        last_start, left = min(end, self._bytes_left), self._messages_left
        heads, tails, message = self._frame_shapes.heads, self._frame_shapes.tails, self._sink.message
        while place < last_start and left > 0 and not self._closed:
            size, start = chunk[place], place + 1
            if size >= 0x80:
                found = self._length(chunk, place)
                if found is None:
                    break
                size, start = found
            stop = start + size
            if stop > end:
                self._missing, self._incomplete = stop - end, True
                break
            left -= 1
            for head, inner, tail in heads.get(size) or self._frame_shapes.shapes_of(size):
                if chunk.startswith(head, start):
                    topic = tails.get(chunk[stop - tail : stop])
                    if topic is not None:
                        message(self._peer, topic, chunk[start + inner : stop - tail], chunk[place:stop])
                        break
            else:
                left -= self._general(chunk, start, stop)
            place = stop
        self._messages_left = left
        return place

    def _length(self, chunk: bytes, place: int) -> tuple[int, int] | None:
        """Return the length of an RPC and the place behind it, or None if the chunk ends before."""
        if place + 1 < len(chunk) and 0 < (byte := chunk[place + 1]) < 0x80:
            return chunk[place] & 0x7F | byte << 7, place + 2
        size = shift = 0
        for position in range(place, min(place + 5, len(chunk))):
            byte = chunk[position]
            size |= (byte & 0x7F) << shift
            if byte < 0x80:
                if not byte:
                    # Forwarded as it is, it would make go-libp2p close our stream.
                    raise Undecodable("a length is not written in the shortest way")
                if size > self._limits.rpc:
                    raise TooLarge("an RPC is over the bound")
                return size, position + 1
            shift += 7
        if shift >= 35:
            raise TooLarge("an RPC is over the bound")
        self._missing, self._incomplete = 1, True
        return None

    def _general(self, chunk: bytes, start: int, stop: int) -> int:
        """Parse an RPC and return how many messages it had."""
        rpc = decode(chunk, start, stop, self._limits)
        self._sink.rpc(self._peer, rpc)
        return len(rpc.messages)
