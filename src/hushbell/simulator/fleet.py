"""Many simulated phones in one process, for load: they register, then ring one another in a ring."""

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from hushbell.core.client.events import Result, Target
from hushbell.crypto import secp256k1
from hushbell.ports.clock import Clock
from hushbell.ports.transport import Transport
from hushbell.runtime.client.account import Account
from hushbell.runtime.client.exchange import EnvelopeExchange
from hushbell.stores.memory.client import MemoryClientStore
from hushbell.types import DEFAULT_PUBSUB_TOPIC, InstallationId, PublicKey, PubsubTopic, Random

AT_ONCE = 16  # phones that wait for an answer at the same time
PATIENCE = 600.0  # seconds for one phone's registration, and for one ring

Progress = Callable[[str, int, int], None]
"""Gets what is being done, how many have done it, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one run took, on the phones' side."""

    phones: int
    registered: int
    rung: int
    register_seconds: float
    ring_seconds: float
    cpu_seconds: float
    memory: int  # bytes at most
    bytes_sent: int
    bytes_received: int


class Fleet:
    """
    Phones on one transport.

    Args:
        transport: where all of them send and listen; closed with the fleet.
        count: how many phones.
        clock: the time.
        random: unpredictable bytes.
        progress: is told how far the run is.
        pubsub_topic: the shard everything travels on.
    """

    def __init__(
        self,
        transport: Transport,
        count: int,
        *,
        clock: Clock,
        random: Random,
        progress: Progress,
        pubsub_topic: PubsubTopic = DEFAULT_PUBSUB_TOPIC,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._random = random
        self._progress = progress
        self._counted: dict[str, int] = {}
        self._exchange = EnvelopeExchange(
            transport, clock=clock, random=random, count=self._count, pubsub_topic=pubsub_topic
        )
        self._store = MemoryClientStore()
        self._phones = [self._phone() for _ in range(count)]

    def wants(self, content_topic: str) -> bool:
        """Say whether a phone listens there."""
        return self._exchange.wants(content_topic)

    async def run(self, servers: Sequence[PublicKey]) -> Figures:
        """Register every phone, have each ring the next, and return the figures."""
        cpu, started = time.process_time(), time.monotonic()
        reading = asyncio.create_task(self._exchange.run())
        try:
            registered = await self._each("registered", lambda place: self._register(place, servers))
            between = time.monotonic()
            rung = await self._each("rung", self._ring)
        finally:
            await asyncio.gather(*(phone.close() for phone in self._phones))
            await self._transport.close()
            await reading
        return Figures(
            phones=len(self._phones),
            registered=registered,
            rung=rung,
            register_seconds=between - started,
            ring_seconds=time.monotonic() - between,
            cpu_seconds=time.process_time() - cpu,
            memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            bytes_sent=self._counted.get("client_bytes_sent", 0),
            bytes_received=self._counted.get("client_bytes_received", 0),
        )

    async def _each(self, what: str, work: Callable[[int], Awaitable[bool]]) -> int:
        """Do it for every phone, some at a time; return for how many it went well."""
        turns, places = asyncio.Semaphore(AT_ONCE), range(len(self._phones))
        done = good = 0

        async def one(place: int) -> None:
            nonlocal done, good
            async with turns:
                with suppress(TimeoutError):
                    async with asyncio.timeout(PATIENCE):
                        well = await work(place)
                        good += well
            done += 1
            self._progress(what, done, len(places))

        await asyncio.gather(*map(one, places))
        return good

    async def _register(self, place: int, servers: Sequence[PublicKey]) -> bool:
        phone = self._phones[place]
        await phone.start()
        await phone.enable(self._random(32).hex(), servers=servers, apn_topic="org.example.phone")
        answers = [await phone.registered(server) for server in servers]
        return all(answers)

    async def _ring(self, place: int) -> bool:
        phone, other = self._phones[place], self._phones[(place + 1) % len(self._phones)]
        ended = await phone.notify_and_wait(self._random(32), "chat", [Target(other.identity.public)])
        return bool(ended) and all(one.result is Result.ACCEPTED for one in ended)

    def _phone(self) -> Account:
        return Account(
            identity=secp256k1.key_pair(self._random),
            installation_id=InstallationId(str(UUID(bytes=self._random(16), version=4))),
            exchange=self._exchange,
            store=self._store,
            clock=self._clock,
            random=self._random,
            count=self._count,
            advertises=False,
        )

    def _count(self, name: str, times: int) -> None:
        self._counted[name] = self._counted.get(name, 0) + times
