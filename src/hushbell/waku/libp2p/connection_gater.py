"""Bounds of inbound connections, checked before any cryptography. No I/O."""

import ipaddress
from collections import Counter
from typing import Protocol

from hushbell.waku.libp2p.limits import HostLimits


class PendingConnection(Protocol):
    """An inbound connection that is not authenticated yet."""

    @property
    def source(self) -> str:
        """The address that it counts for: see :func:`source_of`."""


class ConnectionGater:
    """Counts inbound connections by address, and those that are not authenticated yet."""

    def __init__(self, limits: HostLimits) -> None:
        self._limits = limits
        self._by_source: Counter[str] = Counter()
        self._pending: dict[PendingConnection, None] = {}
        self.total = 0

    def refusal(self, source: str) -> str:
        """Return the bound that one more connection would break, or ""."""
        if self.total >= self._limits.connections:
            return "connections"
        if self._by_source[source] >= self._limits.connections_per_address:
            return "connections_per_address"
        return ""

    def add(self, pending: PendingConnection) -> PendingConnection | None:
        """Add a connection and return the one to evict for it: the oldest pending one of the address with the most."""
        self.total += 1
        self._by_source[pending.source] += 1
        self._pending[pending] = None
        if len(self._pending) <= self._limits.handshakes:
            return None
        crowds = Counter(stranger.source for stranger in self._pending)
        crowded = crowds.most_common(1)[0][0]
        return next(stranger for stranger in self._pending if stranger.source == crowded)

    def known(self, pending: PendingConnection) -> None:
        """Note that a pending connection is authenticated, or closed."""
        self._pending.pop(pending, None)

    def leave(self, source: str) -> None:
        """Note that an inbound connection has ended."""
        self.total -= 1
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]


def source_of(remote: str) -> str:
    """Return what an address counts as: an IPv4 address itself, an IPv6 address its /64, which one machine may own."""
    try:
        address = ipaddress.ip_address(remote.partition("%")[0])
    except ValueError:
        return remote
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped is not None else str(ipaddress.ip_network((address, 64), strict=False))
    return remote
