"""The totals of all connections of a host, and which connection is cut when they are too high."""

from collections.abc import Callable
from typing import Protocol

from hushbell.ports.metrics import Count
from hushbell.waku.libp2p.limits import HostLimits


class ConnectionUsage(Protocol):
    """The resources of one connection."""

    held: int
    """Bytes received and not read."""

    @property
    def inbound(self) -> int:
        """Streams that the peer has open."""

    @property
    def unsent(self) -> int:
        """Bytes written and not accepted by the socket."""

    def cut(self, reason: str) -> None:
        """End the connection at once."""


class ResourceManager:
    """Totals over all connections, checked where they grow."""

    def __init__(self, limits: HostLimits, count: Count) -> None:
        self._limits = limits
        self._count = count
        self.connections: set[ConnectionUsage] = set()
        self.held = 0
        self.unsent = 0
        self.streams = 0

    def hold(self, change: int) -> None:
        """Count received bytes."""
        self.held += change
        if self.held > self._limits.unread_in_all:
            self._cut_largest(lambda holder: holder.held, "unread_in_all")

    def write(self, size: int) -> None:
        """Count bytes that wait for a socket."""
        self.unsent += size
        if self.unsent > self._limits.unsent_in_all:
            self._cut_largest(lambda holder: holder.unsent, "unsent_in_all")

    def open(self) -> None:
        """Count one more inbound stream."""
        self.streams += 1
        if self.streams > self._limits.streams_in_all:
            self._cut_largest(lambda holder: holder.inbound, "streams_in_all")

    def _cut_largest(self, cost: Callable[[ConnectionUsage], int], bound: str) -> None:
        # The connection with the most is cut, so that a flood does not shut out the others.
        if self.connections:
            self._count("libp2p_over_" + bound, 1)
            max(self.connections, key=cost).cut(bound)
