"""What the messages of a content topic are to the server: a look-up before any decryption."""

from array import array
from collections.abc import Iterable, Iterator

from hushbell.crypto import topics
from hushbell.ports.transport import Route
from hushbell.types import KeyHash, PublicKey

KEY_HASH = 64  # bytes
MIN_SLOTS = 1024  # of the hash table
MAX_LOAD = 0.6  # share of the slots in use; above it the table is rebuilt
_BEFORE = "/waku/1/0x"
_FROM, _TO = len(_BEFORE), len(_BEFORE) + 8  # where a content topic has its four bytes, in hexadecimal digits
_LENGTH = len(topics.content_topic(bytes(4)))
OWN = Route()
_EMPTY, _REMOVED = 0, 1  # what a slot holds, or the row of a key hash plus two


class TopicIndex:
    """
    The server's own two topics, and the query topic of every key hash with a live registration.

    Key hashes are rows of one block of memory. A hash table with open addressing finds the rows by the four bytes of
    their topic. A row costs about 80 bytes, a dictionary of texts 400. Key hashes can share a topic; nearly always
    there is one.

    Args:
        server: the server's key.
        key_hashes: those with a live registration, each once.
    """

    def __init__(self, server: PublicKey, key_hashes: Iterable[KeyHash] = ()) -> None:
        self._own = {topics.personal_topic(server), topics.partitioned_topic(server)}
        self._hashes = bytearray()
        self._topics = array("I")  # of each row
        self._free: list[int] = []  # rows not in use
        self._slots = array("I", bytes(4 * MIN_SLOTS))
        self._mask = MIN_SLOTS - 1
        self._used = 0  # slots that are not empty
        for key_hash in key_hashes:
            self._hashes += key_hash
            self._topics.append(_topic(key_hash))
        self._rebuild()

    def __len__(self) -> int:
        return len(self._topics) - len(self._free)

    def add(self, key_hash: KeyHash) -> None:
        """Route the queries for a key hash."""
        topic = _topic(key_hash)
        if any(self._key_hash(row) == key_hash for _, row in self._matches(topic)):
            return
        if self._free:
            row = self._free.pop()
            self._hashes[row * KEY_HASH : (row + 1) * KEY_HASH] = key_hash
            self._topics[row] = topic
        else:
            row = len(self._topics)
            self._hashes += key_hash
            self._topics.append(topic)
        if self._used + 1 > MAX_LOAD * len(self._slots):
            self._rebuild()
        else:
            self._put(topic, row)

    def remove(self, key_hash: KeyHash) -> None:
        """Route the queries for a key hash no more."""
        for slot, row in self._matches(_topic(key_hash)):
            if self._key_hash(row) == key_hash:
                self._slots[slot] = _REMOVED
                self._free.append(row)
                return

    def route(self, topic: str) -> Route | None:
        """Return what messages on the content topic are to the server, or None if they do not concern it."""
        if topic in self._own:
            return OWN
        # Most messages on a shard do not concern us and meet an empty slot.
        if not self._slots[hash(topic[_FROM:_TO]) & self._mask]:
            return None
        if len(topic) != _LENGTH or not topic.startswith(_BEFORE):
            return None
        try:
            topic4 = int(topic[_FROM:_TO], 16)
        except ValueError:
            return None
        found = tuple([self._key_hash(row) for _, row in self._matches(topic4)])
        # The exact form of the topic is compared last: it costs most, and few topics come so far.
        return Route(found) if found and topic == topics.content_topic(topic4.to_bytes(4)) else None

    def _key_hash(self, row: int) -> KeyHash:
        return KeyHash(bytes(self._hashes[row * KEY_HASH : (row + 1) * KEY_HASH]))

    def _matches(self, topic: int) -> Iterator[tuple[int, int]]:
        """Yield the slot and the row of each key hash with this topic."""
        slots, known = self._slots, self._topics
        mask = self._mask
        slot = _hash(topic) & mask
        while (entry := slots[slot]) != _EMPTY:
            if entry != _REMOVED and known[entry - 2] == topic:
                yield slot, entry - 2
            slot = (slot + 1) & mask

    def _put(self, topic: int, row: int) -> None:
        mask = self._mask
        slot = _hash(topic) & mask
        while self._slots[slot] != _EMPTY:
            slot = (slot + 1) & mask
        self._slots[slot] = row + 2
        self._used += 1

    def _rebuild(self) -> None:
        """Make a table with room, without removed slots."""
        size = MIN_SLOTS
        while size * MAX_LOAD < 2 * len(self):
            size *= 2
        self._slots = array("I", bytes(4 * size))
        self._mask = size - 1
        self._used = 0
        gone = set(self._free)
        slots, mask = self._slots, self._mask
        for row, topic in enumerate(self._topics):
            if row in gone:
                continue
            slot = _hash(topic) & mask
            while slots[slot]:
                slot = (slot + 1) & mask
            slots[slot] = row + 2
        self._used = len(self)


def _topic(key_hash: KeyHash) -> int:
    return int.from_bytes(topics.topic4(topics.query_topic_name(key_hash)))


def _hash(topic: int) -> int:
    """Return the hash of a topic. Python seeds it for each process, so that no sender can choose keys that collide."""
    return hash(f"{topic:08x}")
