"""The network of Waku behind the transport port: a node of our own carries the envelopes."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from hushbell.errors import TransportError, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.ports.transport import ReceivedMessage
from hushbell.types import Envelope, PubsubTopic
from hushbell.waku.inbox.message_queue import MessageQueue
from hushbell.waku.inbox.missing_messages import MissingMessages

AT_ONCE = 32  # messages published without a pause: so many fit into a queue of go-waku's


class RelayNode(Protocol):
    """What carries messages. It calls ``MessageQueue.arrived`` with each that comes."""

    async def start(self) -> None:
        """Connect. Raises TransportError, ConfigError."""
        ...

    def publish(self, pubsub_topic: PubsubTopic, data: bytes) -> int:
        """
        Hand the message to everybody connected; return how many took it.

        Raises:
            WireError: no message that others would take.
            TransportError: it cannot be published.
        """
        ...

    async def room(self) -> None:
        """Wait, within a bound, for those who are behind."""
        ...

    async def close(self) -> None:
        """Let what was published leave, within a bound, and end every connection."""
        ...


class WakuTransport:
    """
    A ``Transport``. Made whole; tasks begin with ``start``.

    Its writers are strangers: when the reader is slow, messages beyond the bound are dropped, counted, and fetched
    from a store afterwards; nobody is slowed down by it.

    Args:
        network: carries messages.
        receiving: where they arrive.
        catching_up: asks stores for what did not arrive.
        clock: the time.
        count: counts what cannot be published.
        pace: messages a second that are published at most; deployed nodes lose faster bursts.
    """

    def __init__(
        self,
        *,
        network: RelayNode,
        receiving: MessageQueue,
        catching_up: MissingMessages,
        clock: Clock,
        count: Count,
        pace: float,
    ) -> None:
        self._network = network
        self._receiving = receiving
        self._catching_up = catching_up
        self._clock = clock
        self._count = count
        self._pace = pace
        self._free_at = 0.0  # ms; when the next messages may leave
        self._publishing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        receiving.on_gap = catching_up.soon

    async def start(self) -> None:
        """
        Connect, begin to ask stores, and to keep the window.

        Raises:
            TransportError, ConfigError: the network cannot be joined.
        """
        self._tasks += [asyncio.create_task(work) for work in (self._receiving.flush(), self._catching_up.run())]
        await self._network.start()

    def listen_only(self, wanted: Callable[[str], bool]) -> None:
        """Receive nothing but messages on content topics for which ``wanted`` says so. A look-up, before all else."""
        self._receiving.wanted = wanted

    async def receive(self, limit: int) -> Sequence[ReceivedMessage]:
        """Wait for at least one envelope and return up to ``limit``; nothing once closed."""
        return [ReceivedMessage(one.pubsub_topic, one.waku_message) for one in await self._receiving.take(limit)]

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """
        Publish the envelopes, in order, no faster than the pace.

        Raises:
            TransportError: nobody was there to take one, or this end is closed.
        """
        async with self._publishing:
            for start in range(0, len(envelopes), AT_ONCE):
                await self._turn(len(envelopes))
                self._publish(envelopes[start : start + AT_ONCE])
                await self._network.room()

    async def _turn(self, number: int) -> None:
        """Wait until messages may leave, unless few did of late."""
        now = self._clock.now()
        if self._free_at > now:
            await self._clock.sleep((self._free_at - now) / 1000)
        self._free_at = max(self._free_at, now) + min(number, AT_ONCE) * 1000 / self._pace

    def _publish(self, envelopes: Sequence[Envelope]) -> None:
        if self._receiving.closed:
            raise TransportError("this end is closed")
        self._receiving.sent(envelopes)
        for envelope in envelopes:
            try:
                peers = self._network.publish(envelope.pubsub_topic, envelope.waku_message)
            except WireError:
                self._count("waku_unpublishable", 1)
                continue
            if not peers:
                raise TransportError("no peer is connected that relays this shard")

    async def close(self) -> None:
        """Leave the network. Nothing more is received."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._receiving.close()
        await self._network.close()
