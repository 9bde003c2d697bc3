"""Budgets of peers."""

from hypothesis import given
from hypothesis import strategies as st

from hushbell.types import Millis
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.protocols.rate_limit import RateLimit, RateLimiter

BOB, MALLORY = PeerId(b"bob"), PeerId(b"mallory")


def test_a_spent_budget_refills_with_time_and_is_nobody_elses() -> None:
    rates = RateLimiter(RateLimit(per_minute=60, burst=2))

    assert [rates.allows(BOB, Millis(0)) for _ in range(3)] == [True, True, False]
    assert rates.allows(MALLORY, Millis(0))
    assert not rates.allows(BOB, Millis(999))
    assert rates.allows(BOB, Millis(1_000))


def test_a_cost_above_the_burst_takes_the_whole_budget_and_more() -> None:
    rates = RateLimiter(RateLimit(per_minute=60, burst=2))

    assert rates.allows(BOB, Millis(0), 10)
    assert not rates.allows(BOB, Millis(8_500))
    assert rates.allows(BOB, Millis(9_000))


def test_only_so_many_peers_are_remembered() -> None:
    rates = RateLimiter(RateLimit(per_minute=1, burst=1), peers=2)

    assert all(rates.allows(PeerId(bytes([number])), Millis(0)) for number in range(3))
    assert not rates.allows(PeerId(b"\2"), Millis(0))
    assert rates.allows(PeerId(b"\0"), Millis(0))


@given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(1, 4))))
def test_nobody_gets_more_than_the_rate_and_one_burst(asked: list[tuple[int, int]]) -> None:
    rates, now, taken = RateLimiter(RateLimit(per_minute=120, burst=4)), 0, 0

    for wait, cost in asked:
        now += wait
        taken += cost if rates.allows(BOB, Millis(now), cost) else 0
        assert taken <= 4 + now * 120 / 60_000 + 1e-6
