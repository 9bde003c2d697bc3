"""Which topics concern the server, also with a million key_hashes."""

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from hushbell.crypto import secp256k1, topics
from hushbell.runtime.server.topic_index import OWN, TopicIndex
from hushbell.types import KeyHash

SERVER = secp256k1.key_pair_from((1).to_bytes(32)).public
BYTES_PER_KEY_HASH = 120  # bytes at most, measured 76 to 100


def key_hash(number: int) -> KeyHash:
    return KeyHash(number.to_bytes(64))


def queried(index: TopicIndex, topic: str) -> tuple[KeyHash, ...]:
    """Return whose queries come on a topic."""
    route = index.route(topic)
    return route.key_hashes if route is not None else ()


def test_the_servers_own_topics_and_those_of_its_key_hashes_are_wanted_and_no_others() -> None:
    index = TopicIndex(SERVER, [key_hash(1)])

    assert index.route(topics.personal_topic(SERVER)) == OWN
    assert index.route(topics.partitioned_topic(SERVER)) == OWN
    assert queried(index, topics.query_topic(key_hash(1))) == (key_hash(1),)
    assert index.route(topics.query_topic(key_hash(2))) is None
    assert index.route(topics.query_topic(key_hash(1))) != OWN


def test_a_topic_in_another_spelling_is_another_topic() -> None:
    index = TopicIndex(SERVER, [key_hash(number) for number in range(100)])
    known = [topics.query_topic(key_hash(number)) for number in range(100)]
    topic = next(each for each in known if set(each[10:18]) & set("abcdef"))

    for other in (topic.upper(), topic[:10] + topic[10:18].upper() + topic[18:], topic + "/", topic[:-1], "", "/" * 24):
        assert index.route(other) is None
    for strange in ("+1234567", "1_234567", " 1234567", "".join(map(chr, range(0xFF11, 0xFF19)))):
        assert index.route(f"/waku/1/0x{strange}/rfc26") is None


def test_strangers_with_the_same_topic_are_kept_apart() -> None:
    index = TopicIndex(SERVER)
    index.add(key_hash(1))
    topic = index._topics[0]
    index._hashes += key_hash(2)
    index._topics.append(topic)
    index._put(topic, 1)

    assert set(queried(index, topics.query_topic(key_hash(1)))) == {key_hash(1), key_hash(2)}
    index.remove(key_hash(1))
    assert queried(index, topics.query_topic(key_hash(1))) == (key_hash(2),)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=300))
@settings(max_examples=50)
def test_it_knows_exactly_who_was_added_and_not_removed(changes: list[tuple[bool, int]]) -> None:
    index, expected = TopicIndex(SERVER), set[int]()

    for add, number in changes:
        (index.add if add else index.remove)(key_hash(number))
        (expected.add if add else expected.discard)(number)

    assert len(index) == len(expected)
    for number in range(31):
        assert queried(index, topics.query_topic(key_hash(number))) == (
            (key_hash(number),) if number in expected else ()
        )


def test_who_comes_and_goes_leaves_no_room_taken() -> None:
    index = TopicIndex(SERVER, [key_hash(number) for number in range(50)])
    before = len(index._slots), len(index._hashes)

    for number in range(1000, 6000):
        index.add(key_hash(number))
        index.remove(key_hash(number))

    assert (len(index._slots), len(index._hashes)) == (before[0], before[1] + 64)
    assert len(index) == 50


def test_an_key_hash_costs_little() -> None:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    index = TopicIndex(SERVER, (key_hash(number) for number in range(20_000)))

    cost = (tracemalloc.get_traced_memory()[0] - before) / len(index)
    tracemalloc.stop()
    assert cost < BYTES_PER_KEY_HASH
