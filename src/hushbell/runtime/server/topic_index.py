"""Which content topics concern the server: a look-up before any decryption."""

from array import array
from collections.abc import Iterable, Iterator

from hushbell.crypto import topics
from hushbell.types import KeyHash, PublicKey

OWNER = 64  # bytes of a key hash
SMALLEST = 1024  # places of the table at first
FULLEST = 0.6  # share of the places that are taken at most; then the table grows
_BEFORE = "/waku/1/0x"
_FROM, _TO = len(_BEFORE), len(_BEFORE) + 8  # where a content topic has its four bytes, in hexadecimal digits
_LENGTH = len(topics.content_topic(bytes(4)))
_EMPTY, _GONE = 0, 1  # what a place holds besides the number of an owner


class TopicIndex:
    """
    The server's own two topics, and one query topic for every owner with a live registration.

    Owners lie side by side in one block of memory, found through a table by the four bytes of their topic: about 80
    bytes for each, where a dictionary of texts takes 400. Strangers can share a topic; nearly always there is a single
    owner.

    Args:
        server: whose topics come first.
        owners: each once.
    """

    def __init__(self, server: PublicKey, owners: Iterable[KeyHash] = ()) -> None:
        self._own = {topics.personal_topic(server), topics.partitioned_topic(server)}
        self._hashes = bytearray()
        self._topics = array("I")  # of each owner
        self._free: list[int] = []  # numbers of owners that left
        self._places = array("I", bytes(4 * SMALLEST))
        self._mask = SMALLEST - 1
        self._taken = 0  # places that are not empty
        for owner in owners:
            self._hashes += owner
            self._topics.append(_topic(owner))
        self._rebuild()

    def __len__(self) -> int:
        return len(self._topics) - len(self._free)

    def add(self, owner: KeyHash) -> None:
        """Listen to the queries for an owner."""
        topic = _topic(owner)
        if any(self._owner(number) == owner for _, number in self._matches(topic)):
            return
        if self._free:
            number = self._free.pop()
            self._hashes[number * OWNER : (number + 1) * OWNER] = owner
            self._topics[number] = topic
        else:
            number = len(self._topics)
            self._hashes += owner
            self._topics.append(topic)
        if self._taken + 1 > FULLEST * len(self._places):
            self._rebuild()
        else:
            self._put(topic, number)

    def remove(self, owner: KeyHash) -> None:
        """Stop listening to the queries for an owner."""
        for place, number in self._matches(_topic(owner)):
            if self._owner(number) == owner:
                self._places[place] = _GONE
                self._free.append(number)
                return

    def wants(self, topic: str) -> bool:
        """Whether anything on the topic concerns the server."""
        # Most messages on a shard are nobody's here and meet an empty place.
        if not self._places[hash(topic[_FROM:_TO]) & self._mask]:
            return topic in self._own
        return topic in self._own or bool(self.owners(topic))

    def is_own(self, topic: str) -> bool:
        """Whether registrations and requests for this server come on the topic."""
        return topic in self._own

    def owners(self, topic: str) -> tuple[KeyHash, ...]:
        """Return the owners whose queries come on the topic; none if it is no business of ours."""
        if len(topic) != _LENGTH or not topic.startswith(_BEFORE):
            return ()
        try:
            number = int(topic[_FROM:_TO], 16)
        except ValueError:
            return ()
        found = tuple(self._owner(owner) for _, owner in self._matches(number))
        # Only now, which is rarely, is the topic's exact form worth a look.
        return found if found and topic == topics.content_topic(number.to_bytes(4)) else ()

    def _owner(self, number: int) -> KeyHash:
        return KeyHash(bytes(self._hashes[number * OWNER : (number + 1) * OWNER]))

    def _matches(self, topic: int) -> Iterator[tuple[int, int]]:
        """Yield the places, and the numbers, of the owners with this topic."""
        places, known = self._places, self._topics
        mask = self._mask
        place = _first(topic) & mask
        while (held := places[place]) != _EMPTY:
            if held != _GONE and known[held - 2] == topic:
                yield place, held - 2
            place = (place + 1) & mask

    def _put(self, topic: int, number: int) -> None:
        mask = self._mask
        place = _first(topic) & mask
        while self._places[place] != _EMPTY:
            place = (place + 1) & mask
        self._places[place] = number + 2
        self._taken += 1

    def _rebuild(self) -> None:
        """Make the table anew, with room, and without the places of those who left."""
        size = SMALLEST
        while size * FULLEST < 2 * len(self):
            size *= 2
        self._places = array("I", bytes(4 * size))
        self._mask = size - 1
        self._taken = 0
        gone = set(self._free)
        places, mask = self._places, self._mask
        for number, topic in enumerate(self._topics):
            if number in gone:
                continue
            place = _first(topic) & mask
            while places[place]:
                place = (place + 1) & mask
            places[place] = number + 2
        self._taken = len(self)


def _topic(owner: KeyHash) -> int:
    return int.from_bytes(topics.topic4(topics.query_topic_name(owner)))


def _first(topic: int) -> int:
    """Return where to look first. Seeded with the process, so that nobody can choose keys that meet in one place."""
    return hash(f"{topic:08x}")
