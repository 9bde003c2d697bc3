"""
Keeps connections: to every peer of the settings for ever, and to a few of the nodes that finders return.

After each failure the next attempt waits longer, up to a minute, with jitter.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from hushbell.errors import HushbellError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.types import Millis, Random
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.random_choice import fraction, shuffled

FIRST_WAIT = 1.0  # seconds after a first failure; doubled up to
MAX_WAIT = 60.0
STEADY_MILLIS = 60_000  # a connection that lasted so many ms was no failure
CHECK_INTERVAL = 10.0  # seconds between two checks of the connections
SEARCH_INTERVAL = 1800.0  # seconds between two searches
MIN_SEARCH_INTERVAL = 60.0  # seconds between two searches while there are too few nodes
MAX_CANDIDATES = 1000  # found nodes that are remembered

Finder = Callable[[], Awaitable[Sequence[Multiaddr]]]
"""Returns addresses of further nodes, each with its peer id. Raises HushbellError."""

log = logging.getLogger(__name__)


class DialHost(Protocol):
    """The part of a libp2p host that is needed here."""

    peer_id: PeerId

    async def dial(self, address: Multiaddr) -> PeerId:
        """Connect, unless the peer is connected, and return the peer that answered. Raises TransportError."""

    @property
    def peers(self) -> Collection[PeerId]:
        """The connected peers."""

    def watch(self, connected: Callable[[PeerId, Sequence[str]], None], disconnected: Callable[[PeerId], None]) -> None:
        """Call when a peer's protocols are known, and when its last connection ended."""


class PeerManager:
    """
    Keeps the connections of a node.

    Args:
        host: dials, and reports peers.
        peers: addresses of nodes that it is always connected to.
        finders: find further nodes.
        target: how many of those are kept connected.
        clock: the time.
        random: jitter and choice.
        count: ``waku_dials`` and ``waku_dials_failed``.
    """

    def __init__(
        self,
        *,
        host: DialHost,
        peers: Sequence[Multiaddr],
        finders: Sequence[Finder],
        target: int,
        clock: Clock,
        random: Random,
        count: Count,
    ) -> None:
        self._host = host
        self._peers = tuple(peers)
        self._finders = tuple(finders)
        self._target = target
        self._clock = clock
        self._random = random
        self._count = count
        self._changed = asyncio.Event()
        self._candidates: dict[PeerId, Multiaddr] = {}
        self._not_before: dict[PeerId, Millis] = {}
        self._failures: dict[PeerId, int] = {}
        self._found: set[PeerId] = set()
        host.watch(lambda *_: None, lambda _: self._changed.set())

    async def run(self) -> None:
        """Connect and reconnect, until cancelled."""
        tasks = [self._keep(address) for address in self._peers]
        if self._finders and self._target:
            tasks.append(self._fill())
        await asyncio.gather(*tasks)

    async def _keep(self, address: Multiaddr) -> None:
        failures = 0
        while True:
            peer = await self._dial(address)
            if peer == self._host.peer_id:
                log.warning("%s is this node itself", address)
                return
            began = self._clock.now()
            if peer is not None:
                await self._wait_until_disconnected(peer)
            failures = 0 if peer is not None and self._clock.now() - began >= STEADY_MILLIS else failures + 1
            await self._clock.sleep(self._wait(failures))

    async def _dial(self, address: Multiaddr) -> PeerId | None:
        self._count("waku_dials", 1)
        try:
            return await self._host.dial(address)
        except HushbellError as error:
            self._count("waku_dials_failed", 1)
            log.info("%s cannot be reached: %s", address, error)
        except Exception:
            # A bug in this program that one peer triggers must not end the connections to others.
            self._count("waku_dials_failed", 1)
            log.exception("%s could not be dialled", address)
        return None

    async def _wait_until_disconnected(self, peer: PeerId) -> None:
        while peer in self._host.peers:
            await self._pause(CHECK_INTERVAL)

    def _wait(self, failures: int) -> float:
        """Return the seconds until the next attempt, with a jitter of one half."""
        due = min(FIRST_WAIT * 2.0 ** min(max(failures, 1) - 1, 16), MAX_WAIT)
        return due * (0.5 + fraction(self._random))

    async def _fill(self) -> None:
        searched: Millis | None = None
        while True:
            self._found &= set(self._host.peers)
            is_filled = bool(self._candidates_ready()) or len(self._found) >= self._target
            pause = SEARCH_INTERVAL if is_filled else MIN_SEARCH_INTERVAL
            if searched is None or self._clock.now() - searched >= pause * 1000:
                await self._search()
                searched = self._clock.now()
            ready = shuffled(self._candidates_ready(), self._random)
            ready.sort(key=lambda peer: self._failures.get(peer, 0))
            for peer in ready[: self._target - len(self._found)]:
                await self._dial_found(peer)
            await self._pause(CHECK_INTERVAL)

    def _candidates_ready(self) -> Sequence[PeerId]:
        """Return the found nodes that may be dialled now."""
        connected, now = set(self._host.peers), self._clock.now()
        return [
            peer
            for peer in self._candidates
            if peer not in connected and peer != self._host.peer_id and self._not_before.get(peer, 0) <= now
        ]

    async def _dial_found(self, peer: PeerId) -> None:
        failures = self._failures.get(peer, 0) + 1
        # Also after a success: a node that drops us at once is not dialled again and again.
        self._failures[peer] = failures
        self._not_before[peer] = Millis(self._clock.now() + round(self._wait(failures) * 1000))
        if await self._dial(self._candidates[peer]) == peer:
            self._found.add(peer)

    async def _search(self) -> None:
        for finder in self._finders:
            try:
                addresses = await finder()
            except HushbellError as error:
                self._count("waku_lists_failed", 1)
                log.warning("a list of nodes cannot be read: %s", error)
                continue
            except Exception:
                self._count("waku_lists_failed", 1)
                log.exception("a list of nodes could not be read")
                continue
            for address in addresses:
                if address.peer is not None:
                    self._candidates.setdefault(address.peer, address)
        for peer in list(self._candidates)[: max(0, len(self._candidates) - MAX_CANDIDATES)]:
            del self._candidates[peer]
            self._not_before.pop(peer, None)
            self._failures.pop(peer, None)

    async def _pause(self, seconds: float) -> None:
        self._changed.clear()
        changing = asyncio.ensure_future(self._changed.wait())
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((changing, sleeping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            changing.cancel()
            sleeping.cancel()
