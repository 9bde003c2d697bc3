"""The limits of peers before and after authentication. Each counts what it refuses."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class HostLimits:
    """
    The bounds of one host.

    The most memory all peers together can hold is ``unread_in_all + unsent_in_all`` plus, per connection, the idle cost
    (10 KiB over TCP, 15 over WebSocket, measured) and ``socket_buffer + flush_most``, plus a few KiB for each of
    ``streams_in_all`` streams. A receiver bounds what it keeps of its stream itself.
    """

    connections: int = 2_000
    """Inbound connections, handshakes included; one more is closed before any cryptography. Own dials do not count."""
    connections_per_address: int = 128
    """Inbound connections of one IPv4 address or IPv6 /64."""
    connections_per_peer: int = 2
    """Of one peer, both directions; one more closes the oldest, because a peer that restarted cannot close it."""
    handshakes: int = 128
    """Inbound connections that are not authenticated yet; one more evicts the oldest of the address with the most."""
    handshake_seconds: int = 10
    """From the first byte to the agreed muxer; also how long identify and the negotiation of a stream may take."""

    streams_per_connection: int = 1_000
    """Streams a peer may have open."""
    streams_in_all: int = 20_000
    """Inbound streams of all peers; above it, the connection that has the most is cut."""
    streams_unagreed: int = 512
    """Inbound streams of one connection that have not named their protocol yet."""
    handlers_per_peer: int = 256
    """Inbound streams of one connection in each protocol's handler."""
    overhead_per_second: int = 20_000
    """
    Frames of one connection without data: opens, pings, ends, refusals. More is a flood and ends the connection.

    A burst of 5,000 pushes, each on its own stream as go-waku sends them, has 15,000.
    """

    wide_window: int = 2 * MIB
    """yamux's window of streams with a receiver; their bytes are consumed as they come."""
    unread_per_connection: int = 1 * MIB
    """Received and not read; above it, the connection's socket is not read any more."""
    unfinished_per_connection: int = 8 * MIB
    """Of frames whose end has not come; above it, the stream that got more is reset."""
    unread_in_all: int = 128 * MIB
    """Of all connections; above it, the one that holds the most is cut."""
    unread_seconds: int = 15
    """How long a connection may be paused because a stream is not read; then that stream is reset."""
    unsent_per_stream: int = 8 * MIB
    """Written and not sent, because the peer gives no window; above it, the stream is reset."""
    unsent_per_connection: int = 16 * MIB
    """Of all streams of a connection; above it, the stream that got more is reset."""
    unsent_in_all: int = 256 * MIB
    """Of all connections; above it, the one that holds the most is cut."""
    unsent_seconds: int = 60
    """How long a socket may accept nothing while bytes wait; then the connection is cut."""
    low_water: int = 128 * KIB
    """``drain`` returns below it, bytes of one stream."""
    socket_buffer: int = 256 * KIB
    """Bytes that asyncio may buffer for a socket before streams wait."""
    flush_most: int = 512 * KIB
    """Bytes that one turn of the event loop sends on one connection."""
    control_most: int = 64 * KIB
    """Unread answers to a peer's pings and opens; above it, the connection is cut."""

    idle_seconds: int = 30
    """Silence after which a ping is sent."""
    dead_seconds: int = 75
    """Silence after which a connection is cut."""
    linger_seconds: int = 30
    """How long a stream whose handler is done waits for the peer's end, before it is reset."""
    dial_seconds: int = 15
    """Name look-up, TCP and TLS together."""
    identify_most: int = 16 * KIB
    """Bytes of a peer's identify message, all parts together."""
    max_protocols: int = 256
    """Protocols that a peer may announce."""
    pings_per_second: int = 20
    """Pings of one peer that are answered."""
