"""Which topics concern the server, also with a million owners."""

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from hushbell.crypto import secp256k1, topics
from hushbell.runtime.server.topic_index import TopicIndex
from hushbell.types import KeyHash

SERVER = secp256k1.key_pair_from((1).to_bytes(32)).public
PER_OWNER = 120  # bytes at most, measured 76 to 100


def owner(number: int) -> KeyHash:
    return KeyHash(number.to_bytes(64))


def test_the_servers_own_topics_and_those_of_its_owners_are_wanted_and_no_others() -> None:
    interest = TopicIndex(SERVER, [owner(1)])

    assert interest.wants(topics.personal_topic(SERVER))
    assert interest.is_own(topics.partitioned_topic(SERVER))
    assert interest.owners(topics.query_topic(owner(1))) == (owner(1),)
    assert not interest.wants(topics.query_topic(owner(2)))
    assert not interest.is_own(topics.query_topic(owner(1)))


def test_a_topic_in_another_spelling_is_another_topic() -> None:
    interest = TopicIndex(SERVER, [owner(number) for number in range(100)])
    known = [topics.query_topic(owner(number)) for number in range(100)]
    topic = next(each for each in known if set(each[10:18]) & set("abcdef"))

    for other in (topic.upper(), topic[:10] + topic[10:18].upper() + topic[18:], topic + "/", topic[:-1], "", "/" * 24):
        assert not interest.wants(other)
    for strange in ("+1234567", "1_234567", " 1234567", "".join(map(chr, range(0xFF11, 0xFF19)))):
        assert not interest.wants(f"/waku/1/0x{strange}/rfc26")


def test_strangers_with_the_same_topic_are_kept_apart() -> None:
    interest = TopicIndex(SERVER)
    interest.add(owner(1))
    topic = interest._topics[0]
    interest._hashes += owner(2)
    interest._topics.append(topic)
    interest._put(topic, 1)

    assert set(interest.owners(topics.query_topic(owner(1)))) == {owner(1), owner(2)}
    interest.remove(owner(1))
    assert interest.owners(topics.query_topic(owner(1))) == (owner(2),)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=300))
@settings(max_examples=50)
def test_it_knows_exactly_who_was_added_and_not_removed(changes: list[tuple[bool, int]]) -> None:
    interest, expected = TopicIndex(SERVER), set[int]()

    for add, number in changes:
        (interest.add if add else interest.remove)(owner(number))
        (expected.add if add else expected.discard)(number)

    assert len(interest) == len(expected)
    for number in range(31):
        assert interest.owners(topics.query_topic(owner(number))) == ((owner(number),) if number in expected else ())


def test_who_comes_and_goes_leaves_no_room_taken() -> None:
    interest = TopicIndex(SERVER, [owner(number) for number in range(50)])
    before = len(interest._places), len(interest._hashes)

    for number in range(1000, 6000):
        interest.add(owner(number))
        interest.remove(owner(number))

    assert (len(interest._places), len(interest._hashes)) == (before[0], before[1] + 64)
    assert len(interest) == 50


def test_an_owner_costs_little() -> None:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    interest = TopicIndex(SERVER, (owner(number) for number in range(20_000)))

    cost = (tracemalloc.get_traced_memory()[0] - before) / len(interest)
    tracemalloc.stop()
    assert cost < PER_OWNER
