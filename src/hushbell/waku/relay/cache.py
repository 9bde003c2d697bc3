"""The ids of accepted messages, and for some heartbeats the messages themselves."""

from collections import deque
from collections.abc import Collection
from itertools import chain, islice

from hushbell.ports.metrics import Count
from hushbell.types import Millis
from hushbell.waku.relay.settings import RelaySettings

_SPAN = 1000  # ms; ids that came within it expire together
_EXPIRED_BY_ADD = 2  # ids; the expiry is spread, so that no call takes long
_EXPIRED_BY_SWEEP = 2000  # ids; half a millisecond
_REMOVED_BY_PUT = 2  # messages; likewise
_SPARE = 9  # the cache is reduced to 511/512 of its bytes; of 64 MiB that takes a tenth of a millisecond
_REMOVED_BY_SHIFT = 1000  # messages; half a millisecond


class SeenIds:
    """
    Ids of accepted messages, for a time and up to a number. Each call costs the same however many there are.

    Beyond the number the oldest are removed early and counted as ``relay_seen_forgotten``.
    """

    def __init__(self, settings: RelaySettings, count: Count) -> None:
        self.ids: set[bytes] = set()
        self._groups: deque[tuple[Millis, deque[bytes]]] = deque()  # ids of one span and when they expire, oldest first
        self._newest: deque[bytes] = deque()
        self._until = Millis(0)
        self._duration = settings.seen_for
        self._limit = settings.seen
        self._count = count

    def __contains__(self, key: bytes) -> bool:
        return key in self.ids

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, key: bytes, now: Millis) -> None:
        """Add a new id."""
        if now >= self._until or not self._groups:
            self._newest = deque()
            self._until = Millis(now + _SPAN)
            self._groups.append((Millis(now + _SPAN + self._duration), self._newest))
        self.ids.add(key)
        self._newest.append(key)
        if self._groups[0][0] <= now:
            self._expire(now, _EXPIRED_BY_ADD)
        if len(self.ids) > self._limit:
            self._drop()
            self._count("relay_seen_forgotten", 1)

    def sweep(self, now: Millis) -> None:
        """Remove some expired ids. Called at each heartbeat."""
        self._expire(now, _EXPIRED_BY_SWEEP)

    def _expire(self, now: Millis, limit: int) -> None:
        for _ in range(limit):
            if not self._groups or self._groups[0][0] > now:
                return
            self._drop()

    def _drop(self) -> None:
        group = self._groups[0][1]
        if group:
            self.ids.discard(group.popleft())
        if not group:
            self._groups.popleft()


_Window = dict[str, deque[bytes]]  # ids by topic


class MessageCache:
    """
    Messages by id for some heartbeats, within a number of bytes, for peers that request them.

    Beyond it the oldest are removed early; ``relay_cache_evicted`` counts them.
    """

    def __init__(self, settings: RelaySettings, count: Count) -> None:
        self._frames: dict[bytes, bytes] = {}
        self._served: dict[bytes, dict[bytes, int]] = {}
        self._windows: deque[_Window] = deque([{}])  # newest last
        self._newest = self._windows[0]
        self._expired_windows: deque[deque[bytes]] = deque()  # ids of windows that are over
        self._size = 0
        self._limit = settings.cached
        self._history = settings.history
        self._gossip = settings.history_gossip
        self._served_limit = settings.limits.iwant_served
        self._count = count

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def size(self) -> int:
        """Bytes of all messages."""
        return self._size

    def put(self, key: bytes, topic: str, frame: bytes) -> None:
        """Add a new message, as the RPC that carries it."""
        self._frames[key] = frame
        ids = self._newest.get(topic)
        if ids is None:
            ids = self._newest[topic] = deque()
        ids.append(key)
        self._size += len(frame)
        if self._expired_windows:
            self._remove_old(_REMOVED_BY_PUT)
        if self._size > self._limit:
            self._evict()

    def serve(self, key: bytes, peer: bytes) -> bytes | None:
        """Return the RPC with a requested message; None if it is not cached or was sent to the peer too often."""
        frame = self._frames.get(key)
        if frame is None:
            return None
        served = self._served.setdefault(key, {})
        times = served.get(peer, 0)
        if times >= self._served_limit:
            self._count("relay_iwant_refused", 1)
            return None
        served[peer] = times + 1
        return frame

    def recent(self, topics: Collection[str], limit: int) -> dict[str, list[bytes]]:
        """Return the newest ids to offer, by topic, newest first and at most ``limit`` of each."""
        windows = list(self._windows)[: -self._gossip - 1 : -1]
        found: dict[str, list[bytes]] = {}
        for topic in topics:
            ids = chain.from_iterable(reversed(window.get(topic, ())) for window in windows)
            found[topic] = [key for key in islice(ids, limit) if key in self._frames]
        return found

    def shift(self) -> None:
        """Start a new heartbeat and remove the messages of the oldest, a few at a time."""
        if len(self._windows) >= self._history:
            self._expired_windows.extend(self._windows.popleft().values())
        self._newest = {}
        self._windows.append(self._newest)
        self._remove_old(_REMOVED_BY_SHIFT)

    def _remove_old(self, limit: int) -> None:
        leaving = self._expired_windows
        for _ in range(limit):
            while leaving and not leaving[0]:
                leaving.popleft()
            if not leaving:
                return
            self._forget(leaving[0].popleft())

    def _evict(self) -> None:
        """Remove a little more than is needed, so that not every message does it."""
        target_size = self._limit - (self._limit >> _SPARE)
        evicted = 0
        for ids in chain(self._expired_windows, chain.from_iterable(window.values() for window in self._windows)):
            while ids and self._size > target_size:
                self._forget(ids.popleft())
                evicted += 1
        self._count("relay_cache_evicted", evicted)

    def _forget(self, key: bytes) -> None:
        frame = self._frames.pop(key, None)
        if frame is not None:
            self._size -= len(frame)
            if self._served:
                self._served.pop(key, None)
