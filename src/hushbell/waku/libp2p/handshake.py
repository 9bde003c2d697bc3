"""A connection until both sides are authenticated: drives the upgrade over a raw connection."""

import asyncio
from collections.abc import Callable

from hushbell.errors import TransportError, WireError
from hushbell.ports.metrics import Count
from hushbell.types import Millis
from hushbell.waku.libp2p.connection_gater import source_of
from hushbell.waku.libp2p.raw_connection import RawConnection
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.libp2p.upgrade import Upgrade, UpgradeResult


class Handshake:
    """One handshake. At its end it calls either ``arrived`` or ``failed``, once."""

    def __init__(
        self,
        raw: RawConnection,
        upgrade: Upgrade,
        *,
        outbound: bool,
        began: Millis,
        count: Count,
        arrived: Callable[["Handshake", UpgradeResult], None],
        failed: Callable[["Handshake"], None],
    ) -> None:
        self.raw = raw
        self.outbound = outbound
        self.started_at = began
        self.source = source_of(raw.remote)
        self.future: asyncio.Future[PeerId] = asyncio.get_running_loop().create_future()
        """For the dialler: the peer that answered, when the connection is authenticated."""
        self._upgrade = upgrade
        self._count = count
        self._arrived = arrived
        self._failed = failed
        self._on_finished = False

    def start(self) -> None:
        """Send this side's first message."""
        first = self._upgrade.start()
        if first:
            self.raw.write(first)

    def on_data(self, data: bytes | memoryview) -> None:
        """Process bytes of the socket."""
        if self._on_finished:
            return
        try:
            answer = self._upgrade.receive(bytes(data))
        except (WireError, TransportError) as error:
            self._count("libp2p_handshakes_failed", 1)
            self._fail(error)
            return
        if answer:
            self.raw.write(answer)
        if self._upgrade.upgraded is not None:
            self._on_finished = True
            self._arrived(self, self._upgrade.upgraded)

    def on_writable(self) -> None:
        """Nothing waits: handshake messages are small."""

    def on_closed(self) -> None:
        """Fail: the socket is closed."""
        self._fail(TransportError("the peer closed the connection during the handshake"))

    def abort(self, reason: str) -> None:
        """Close at once and count the bound that was broken."""
        if not self._on_finished:
            self._count("libp2p_cut_" + reason, 1)
            self._fail(TransportError("the handshake was aborted"))

    def _fail(self, error: Exception) -> None:
        if self._on_finished:
            return
        self._on_finished = True
        if self.outbound and not self.future.done():
            self.future.set_exception(TransportError(f"no connection: {error}"))
        self.raw.abort()
        self._failed(self)
