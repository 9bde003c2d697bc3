"""Sending and receiving envelopes. Nothing above this port knows the network behind it."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from hushbell.types import ContentTopic, Envelope, KeyHash, PubsubTopic
from hushbell.wire.messages import WakuMessage


class Route(NamedTuple):
    """What the messages of one content topic are for. Topics without a route do not concern the reader."""

    key_hashes: tuple[KeyHash, ...] = ()  # queries for these keys; empty: messages for the reader itself


class ReceivedMessage(NamedTuple):
    """An envelope that arrived, with what its transport found out on the way."""

    pubsub_topic: PubsubTopic
    waku_message: bytes  # serialised
    decoded: WakuMessage | None = None  # the same, where the transport decoded it; the reader need not do it again
    route: Route | None = None  # where the transport asked for it; None: not asked

    def __repr__(self) -> str:
        """Return what is no secret."""
        return f"ReceivedMessage(pubsub_topic={self.pubsub_topic!r}, {len(self.waku_message)} bytes)"


class Transport(Protocol):
    """Every adapter passes every test in tests/contracts/test_transport.py."""

    async def receive(self, limit: int) -> Sequence[ReceivedMessage]:
        """
        Wait for at least one message and return up to ``limit``, oldest first.

        An empty answer means the transport was closed and nothing more will come.
        What is not taken yet waits in a bounded place; a full one slows the writer down. Where the writers are
        strangers no reader may slow them down: there what finds no room is counted and is read from a store later.
        """

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """
        Hand the envelopes to all other participants, in order. Never delivered back to this end.

        Raises:
            TransportError: not all were taken; publishing all of them again is safe.
        """

    async def close(self) -> None:
        """Stop receiving; a waiting ``receive`` returns what it has, or nothing."""


@runtime_checkable
class SelectiveTransport(Transport, Protocol):
    """A transport that receives subscribed topics only: a light client of a node."""

    def listen_to(self, topics: Collection[ContentTopic]) -> None:
        """Subscribe to content topics. What is published afterwards waits until the subscription is confirmed."""

    def ignore(self, topics: Collection[ContentTopic]) -> None:
        """Unsubscribe from content topics."""
