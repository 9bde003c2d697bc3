"""The transport port on a Waku node of our own."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from hushbell.errors import TransportError, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.transports.waku.queue_transport import QueueTransport
from hushbell.types import Envelope, PubsubTopic
from hushbell.waku.inbox.message_queue import MessageQueue
from hushbell.waku.inbox.missing_messages import MissingMessages

BURST = 32  # messages published without a pause; the queues of go-waku hold so many


class RelayNode(Protocol):
    """The node as the transport uses it. Messages that arrive are added to the queue."""

    async def start(self) -> None:
        """Connect. Raises TransportError, ConfigError."""

    def publish(self, pubsub_topic: PubsubTopic, data: bytes) -> int:
        """
        Send a serialised WakuMessage and return how many peers it went to.

        Raises:
            WireError: other nodes would not relay the message.
            TransportError: it cannot be published.
        """

    async def wait_for_room(self) -> None:
        """Wait, within a bound, until no peer has messages waiting."""

    async def close(self) -> None:
        """Wait, within a bound, until published messages have left, and close every connection."""


class WakuTransport(QueueTransport):
    """
    A ``Transport``. Its tasks begin with ``start``.

    A slow reader slows no peer down: messages beyond the queue's bound are dropped, counted, and fetched from a store
    afterwards.

    Args:
        node: sends messages and adds those that arrive to the queue.
        queue: the messages that arrived.
        missing: queries stores for messages that did not arrive.
        clock: the time.
        count: ``waku_unpublishable``.
        pace: messages a second that are published at most; deployed nodes lose faster bursts.
    """

    def __init__(
        self,
        *,
        node: RelayNode,
        queue: MessageQueue,
        missing: MissingMessages,
        clock: Clock,
        count: Count,
        pace: float,
    ) -> None:
        super().__init__(queue, node.close)
        self._node = node
        self._missing = missing
        self._clock = clock
        self._count = count
        self._pace = pace
        self._free_at = 0.0  # ms; when the next messages may leave
        self._publishing = asyncio.Lock()
        queue.on_room = missing.request_round

    async def start(self) -> None:
        """
        Connect, query stores, and save the window.

        Raises:
            TransportError, ConfigError: the network cannot be joined.
        """
        self._run(self._queue.save_regularly(), self._missing.run())
        await self._node.start()

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """
        Publish the envelopes, in order, no faster than the pace.

        Raises:
            TransportError: no peer is connected that relays the shard, or the transport is closed.
        """
        async with self._publishing:
            for start in range(0, len(envelopes), BURST):
                await self._pause(len(envelopes))
                self._publish(envelopes[start : start + BURST])
                await self._node.wait_for_room()

    async def _pause(self, number: int) -> None:
        """Wait until the pace allows the next burst."""
        now = self._clock.now()
        if self._free_at > now:
            await self._clock.sleep((self._free_at - now) / 1000)
        self._free_at = max(self._free_at, now) + min(number, BURST) * 1000 / self._pace

    def _publish(self, envelopes: Sequence[Envelope]) -> None:
        if self._queue.is_closed:
            raise TransportError("the transport is closed")
        self._queue.mark_published(envelopes)
        for envelope in envelopes:
            try:
                peers = self._node.publish(envelope.pubsub_topic, envelope.waku_message)
            except WireError:
                self._count("waku_unpublishable", 1)
                continue
            if not peers:
                raise TransportError("no peer is connected that relays this shard")
