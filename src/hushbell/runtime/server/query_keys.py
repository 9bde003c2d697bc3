"""
The symmetric keys of query topics, derived when first needed.

One derivation costs 11 to 20 ms of CPU (65,356 rounds of PBKDF2), so it happens in a thread, one at a time, for the
owners that somebody really asks for, and its result is kept.
"""

import asyncio
from collections import OrderedDict

from hushbell.crypto import topics
from hushbell.ports.clock import Clock
from hushbell.ports.server_store import ServerStore
from hushbell.types import KeyHash, Millis, SymmetricKey

CACHED = 10_000  # keys in memory: about 2 MB


class QueryKeys:
    """Knows or derives the key of an owner's query topic."""

    def __init__(self, store: ServerStore, clock: Clock, *, per_second: float) -> None:
        self._store = store
        self._clock = clock
        self._spacing = int(1000 / per_second)
        self._next_at = Millis(0)
        self._cached: OrderedDict[KeyHash, SymmetricKey] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    async def known(self, owner: KeyHash) -> SymmetricKey | None:
        """Return the key if it was derived before, without waiting for a derivation."""
        key = self._cached.get(owner)
        if key is None:
            key = await self._store.query_key(owner)
            if key is not None:
                self._cache(owner, key)
        return key

    async def derive(self, owner: KeyHash) -> SymmetricKey:
        """Return the key, deriving and keeping it if need be; at most ``per_second`` derivations."""
        async with self._one_at_a_time:
            key = await self.known(owner)
            if key is not None:
                return key
            await self._clock.sleep(max(0, self._next_at - self._clock.now()) / 1000)
            self._next_at = Millis(self._clock.now() + self._spacing)
            key = await asyncio.to_thread(topics.topic_key, topics.query_topic_name(owner))
            await self._store.keep_query_key(owner, key)
            self._cache(owner, key)
            return key

    def _cache(self, owner: KeyHash, key: SymmetricKey) -> None:
        self._cached[owner] = key
        self._cached.move_to_end(owner)
        if len(self._cached) > CACHED:
            self._cached.popitem(last=False)
