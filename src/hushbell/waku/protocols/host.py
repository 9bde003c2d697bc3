"""What a service sees of the node: the part of libp2p's host that it uses, and what it reports."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from hushbell.waku.libp2p.stream import PeerId, Stream

Count = Callable[[str, int], None]
"""Counts something under a name that this program chose."""


class OutboundStream(Stream, Protocol):
    """A stream that we opened. What is written goes out before the peer has agreed to its protocol."""

    async def agreed(self) -> None:
        """
        Wait until it has.

        Raises:
            TransportError: it did not, or the stream was reset.
        """
        ...


class Host(Protocol):
    """Peers we are connected to, by the protocols they speak."""

    def handle(self, protocol: str, handler: Callable[[Stream], Awaitable[None]]) -> None:
        """Give each stream that a peer opens for ``protocol`` to ``handler``, in a task of its own."""
        ...

    async def open(self, peer: PeerId, protocols: Sequence[str]) -> OutboundStream:
        """
        Open a stream for the first of the protocols that the peer speaks.

        Raises:
            TransportError: it speaks none, or we are not connected.
        """
        ...

    def watch(self, connected: Callable[[PeerId, Sequence[str]], None], disconnected: Callable[[PeerId], None]) -> None:
        """Call when a peer has told its protocols, and when its last connection is gone."""
        ...

    def disconnect(self, peer: PeerId) -> None:
        """End every connection to the peer."""
        ...
