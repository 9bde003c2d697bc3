"""Many simulated phones in one process, for load: each registers, then notifies the next one."""

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

MAX_CONCURRENT = 16  # phones that wait for a response at the same time
TIMEOUT = 600.0  # seconds for the registration of one phone, and for one notification

Progress = Callable[[str, int, int], None]
"""Gets the part of the run, how many phones have finished it, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFigures:
    """Results of one run."""

    phones: int
    registered: int
    notified: int
    register_seconds: float
    ring_seconds: float
    cpu_seconds: float
    memory: int  # peak bytes of the process
    bytes_sent: int
    bytes_received: int


class Fleet:
    """
    Phones on one transport.

    Args:
        transport: of all phones; closed with the fleet.
        count: the number of phones.
        clock: the time.
        random: unpredictable bytes.
        progress: is called after each phone.
        pubsub_topic: the shard of all envelopes.
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
        self._phones = [self._new_phone() for _ in range(count)]

    def wants(self, content_topic: str) -> bool:
        """Say whether a phone listens to this topic."""
        return self._exchange.wants(content_topic)

    async def run(self, servers: Sequence[PublicKey]) -> FleetFigures:
        """Register every phone, have each notify the next, and return the figures."""
        cpu, started = time.process_time(), time.monotonic()
        reading = asyncio.create_task(self._exchange.run())
        try:
            registered = await self._run_each("registered", lambda index: self._register(index, servers))
            between = time.monotonic()
            notified = await self._run_each("rung", self._notify)
        finally:
            await asyncio.gather(*(phone.close() for phone in self._phones))
            await self._transport.close()
            await reading
        return FleetFigures(
            phones=len(self._phones),
            registered=registered,
            notified=notified,
            register_seconds=between - started,
            ring_seconds=time.monotonic() - between,
            cpu_seconds=time.process_time() - cpu,
            memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            bytes_sent=self._counted.get("client_bytes_sent", 0),
            bytes_received=self._counted.get("client_bytes_received", 0),
        )

    async def _run_each(self, what: str, work: Callable[[int], Awaitable[bool]]) -> int:
        """Run the work of every phone, MAX_CONCURRENT at a time; return how many succeeded."""
        slots, indexes = asyncio.Semaphore(MAX_CONCURRENT), range(len(self._phones))
        done = succeeded = 0

        async def run_one(index: int) -> None:
            nonlocal done, succeeded
            async with slots:
                with suppress(TimeoutError):
                    async with asyncio.timeout(TIMEOUT):
                        is_success = await work(index)
                        succeeded += is_success
            done += 1
            self._progress(what, done, len(indexes))

        await asyncio.gather(*map(run_one, indexes))
        return succeeded

    async def _register(self, index: int, servers: Sequence[PublicKey]) -> bool:
        phone = self._phones[index]
        await phone.start()
        await phone.enable(self._random(32).hex(), servers=servers, apn_topic="org.example.phone")
        answers = [await phone.registered(server) for server in servers]
        return all(answers)

    async def _notify(self, index: int) -> bool:
        phone, other = self._phones[index], self._phones[(index + 1) % len(self._phones)]
        results = await phone.notify_and_wait(self._random(32), "chat", [Target(other.identity.public)])
        return bool(results) and all(one.result is Result.ACCEPTED for one in results)

    def _new_phone(self) -> Account:
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
