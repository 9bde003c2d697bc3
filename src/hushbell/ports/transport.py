"""How envelopes come and go. Nothing above this port knows what carries them."""

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from hushbell.types import ContentTopic, Envelope


class Transport(Protocol):
    """Every adapter passes every test in tests/transports/test_contract.py."""

    async def receive(self, limit: int) -> Sequence[Envelope]:
        """
        Wait for at least one envelope and return up to ``limit``, oldest first.

        An empty answer means the transport was closed and nothing more will come.
        What is not taken yet waits in a bounded place; a full one slows the writer down. Where the writers are
        strangers nobody may slow them down: there what finds no room is counted and comes again from a store.
        """
        ...

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """
        Hand the envelopes to everybody else, in order. Never delivered back to this end.

        Raises:
            TransportError: not all were taken; publishing all of them again is safe.
        """
        ...

    async def close(self) -> None:
        """Stop receiving; a waiting ``receive`` returns what it has, or nothing."""
        ...


@runtime_checkable
class SelectiveTransport(Transport, Protocol):
    """A transport that brings only what is asked for: a light client of somebody's node."""

    def listen_to(self, topics: Collection[ContentTopic]) -> None:
        """Receive messages of these content topics too. What is published afterwards waits until they are heard."""
        ...

    def ignore(self, topics: Collection[ContentTopic]) -> None:
        """Receive no more of them."""
        ...
