"""Memory of messages: what was seen, and what can still be asked for."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hushbell.types import Millis
from hushbell.waku.relay.cache import MessageCache, SeenIds
from hushbell.waku.relay.settings import RelaySettings

NOW = Millis(1_700_000_000_000)
TOPIC = "/waku/2/rs/16/32"
SETTINGS = RelaySettings()


def counter() -> tuple[Counter[str], Callable[[str, int], None]]:
    counts: Counter[str] = Counter()

    def count(name: str, number: int) -> None:
        counts[name] += number

    return counts, count


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_an_id_is_known_for_two_minutes() -> None:
    seen = SeenIds(SETTINGS, counter()[1])
    seen.add(key(1), NOW)

    seen.sweep(Millis(NOW + 120_000))
    assert key(1) in seen
    seen.sweep(Millis(NOW + 121_000))
    assert len(seen) == 0


def test_ids_leave_while_others_come() -> None:
    seen = SeenIds(SETTINGS, counter()[1])
    for number in range(1000):
        seen.add(key(number), NOW)

    for number in range(1000, 1500):
        seen.add(key(number), Millis(NOW + 200_000))

    assert len(seen) == 500


def test_beyond_the_number_the_oldest_id_goes_and_is_counted() -> None:
    counts, count = counter()
    seen = SeenIds(replace(SETTINGS, seen=10), count)

    for number in range(25):
        seen.add(key(number), Millis(NOW + number * 400))

    assert set(seen.ids) == {key(number) for number in range(15, 25)}
    assert counts["relay_seen_forgotten"] == 15


@given(st.lists(st.tuples(st.integers(0, 50_000), st.booleans()), max_size=60))
def test_whatever_the_times_an_id_is_known_at_least_its_time_and_nothing_leaks(steps: list[tuple[int, bool]]) -> None:
    seen = SeenIds(SETTINGS, counter()[1])
    now, added = NOW, {}

    for number, (wait, sweep) in enumerate(steps):
        now = Millis(now + wait)
        seen.add(key(number), now)
        added[key(number)] = now
        if sweep:
            seen.sweep(now)
        assert all(one in seen for one, at in added.items() if now - at < SETTINGS.seen_for)
    seen.sweep(Millis(now + 200_000))

    assert (len(seen), len(seen._groups)) == (0, 0)


def test_a_message_can_be_asked_for_during_six_heartbeats() -> None:
    cache = MessageCache(SETTINGS, counter()[1])
    cache.put(key(1), TOPIC, b"frame")

    for _ in range(5):
        cache.shift()
    assert cache.serve(key(1), b"bob") == b"frame"
    cache.shift()
    assert cache.serve(key(1), b"bob") is None
    assert (len(cache), cache.size, cache._served) == (0, 0, {})


def test_messages_leave_a_few_at_a_time() -> None:
    cache = MessageCache(SETTINGS, counter()[1])
    for number in range(5000):
        cache.put(key(number), TOPIC, b"frame")

    for _ in range(6):
        cache.shift()
    left = len(cache)
    for number in range(5000, 5100):
        cache.put(key(number), TOPIC, b"frame")

    assert left == 4000
    assert len(cache) == 3900


def test_beyond_the_bytes_the_oldest_message_goes_and_is_counted() -> None:
    counts, count = counter()
    cache = MessageCache(replace(SETTINGS, cached=1000), count)

    for number in range(20):
        cache.put(key(number), TOPIC, bytes(100))
        if number % 3 == 0:
            cache.shift()

    assert cache.size == 1000
    assert counts["relay_cache_evicted"] == 10
    assert cache.serve(key(9), b"bob") is None
    assert cache.serve(key(10), b"bob") is not None


def test_the_newest_of_each_topic_are_offered() -> None:
    cache = MessageCache(SETTINGS, counter()[1])
    for number in range(10):
        cache.put(key(number), "ab"[number % 2], b"frame")
        if number == 4:
            cache.shift()

    assert cache.recent(["a"], 3) == {"a": [key(8), key(6), key(4)]}
    assert cache.recent(["a", "b", "c"], 100) == {
        "a": [key(number) for number in (8, 6, 4, 2, 0)],
        "b": [key(number) for number in (9, 7, 5, 3, 1)],
        "c": [],
    }
    for _ in range(2):
        cache.shift()
    assert cache.recent(["a"], 3) == {"a": [key(8), key(6)]}
