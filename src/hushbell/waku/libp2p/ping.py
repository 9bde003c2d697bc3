"""
ping: 32 random bytes come back.

Source: github.com/libp2p/specs, ping/ping.md.
"""

import hmac

from hushbell.errors import TransportError, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.types import Millis, Random
from hushbell.waku.libp2p.stream import Stream

PROTOCOL = "/ipfs/ping/1.0.0"
SIZE = 32


async def echo(stream: Stream, clock: Clock, count: Count, max_per_second: int) -> None:
    """Answer a peer's pings until it ends the stream, at most so many a second."""
    second, answered = 0, 0
    while True:
        data = b""
        while len(data) < SIZE:
            piece = await stream.read(SIZE - len(data))
            if not piece:
                return
            data += piece
        now = clock.now() // 1000
        answered = answered + 1 if now == second else 1
        second = now
        if answered > max_per_second:
            count("libp2p_refused_pings_per_second", 1)
            stream.reset()
            return
        stream.write(data)
        await stream.drain()


async def ping(stream: Stream, clock: Clock, random: Random) -> Millis:
    """
    Send one ping on a stream of this protocol and return how long the answer took.

    Raises:
        TransportError: the stream ended.
        WireError: other bytes came back.
    """
    sent, began = random(SIZE), clock.now()
    stream.write(sent)
    data = b""
    while len(data) < SIZE:
        piece = await stream.read(SIZE - len(data))
        if not piece:
            raise TransportError("the peer ended the ping")
        data += piece
    if not hmac.compare_digest(data, sent):
        raise WireError("a ping came back changed")
    return Millis(clock.now() - began)
