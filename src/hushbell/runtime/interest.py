"""Which content topics concern the server: a set look-up before any decryption."""

from collections.abc import Iterable

from hushbell.crypto import topics
from hushbell.types import ContentTopic, KeyHash, PublicKey


class Interest:
    """The server's own two topics, and one query topic for every owner with a live registration."""

    def __init__(self, server: PublicKey, owners: Iterable[KeyHash] = ()) -> None:
        self._own = {topics.personal_topic(server), topics.partitioned_topic(server)}
        # Four bytes name a topic, so strangers can share one; nearly always there is a single owner.
        self._owners: dict[ContentTopic, tuple[KeyHash, ...]] = {}
        for owner in owners:
            self.add(owner)

    def __len__(self) -> int:
        return len(self._owners)

    def add(self, owner: KeyHash) -> None:
        """Listen to the queries for an owner."""
        topic = topics.query_topic(owner)
        known = self._owners.get(topic, ())
        if owner not in known:
            self._owners[topic] = (*known, owner)

    def remove(self, owner: KeyHash) -> None:
        """Stop listening to the queries for an owner."""
        topic = topics.query_topic(owner)
        left = tuple(known for known in self._owners.get(topic, ()) if known != owner)
        if left:
            self._owners[topic] = left
        else:
            self._owners.pop(topic, None)

    def wants(self, topic: str) -> bool:
        """Whether anything on the topic concerns the server."""
        return topic in self._own or topic in self._owners

    def is_own(self, topic: str) -> bool:
        """Whether registrations and requests for this server come on the topic."""
        return topic in self._own

    def owners(self, topic: str) -> tuple[KeyHash, ...]:
        """Return the owners whose queries come on the topic; none if it is no business of ours."""
        return self._owners.get(ContentTopic(topic), ())
