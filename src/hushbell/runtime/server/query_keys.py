"""
The symmetric keys of query topics, derived when first needed.

One derivation costs 11 to 20 ms of CPU (65,356 rounds of PBKDF2). It happens in a thread, one at a time, for key
hashes that are really queried, and its result is kept.
"""

import asyncio
from collections import OrderedDict

from hushbell.crypto import topics
from hushbell.ports.clock import Clock
from hushbell.ports.server_store import ServerStore
from hushbell.types import KeyHash, Millis, SymmetricKey

MAX_CACHED = 10_000  # keys in memory: about 2 MB


class QueryKeys:
    """Looks up or derives the key of the query topic of a key hash."""

    def __init__(self, store: ServerStore, clock: Clock, *, per_second: float) -> None:
        self._store = store
        self._clock = clock
        self._interval = int(1000 / per_second)
        self._not_before = Millis(0)
        self._cached: OrderedDict[KeyHash, SymmetricKey] = OrderedDict()
        self._derivation = asyncio.Lock()

    async def known(self, key_hash: KeyHash) -> SymmetricKey | None:
        """Return the key if it was derived before, without waiting for a derivation."""
        key = self._cached.get(key_hash)
        if key is None:
            key = await self._store.query_key(key_hash)
            if key is not None:
                self._cache(key_hash, key)
        return key

    async def derive(self, key_hash: KeyHash) -> SymmetricKey:
        """Return the key, deriving and keeping it if need be; at most ``per_second`` derivations."""
        async with self._derivation:
            key = await self.known(key_hash)
            if key is not None:
                return key
            await self._clock.sleep(max(0, self._not_before - self._clock.now()) / 1000)
            self._not_before = Millis(self._clock.now() + self._interval)
            key = await asyncio.to_thread(topics.topic_key, topics.query_topic_name(key_hash))
            await self._store.keep_query_key(key_hash, key)
            self._cache(key_hash, key)
            return key

    def _cache(self, key_hash: KeyHash, key: SymmetricKey) -> None:
        self._cached[key_hash] = key
        self._cached.move_to_end(key_hash)
        if len(self._cached) > MAX_CACHED:
            self._cached.popitem(last=False)
