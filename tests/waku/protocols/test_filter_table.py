"""The rules of filter subscriptions (RFC 12)."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from hushbell.types import Millis
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.protocols.filter_table import FilterLimits, FilterTable
from hushbell.waku.wire.services import FilterKind, FilterRequest, Status

SHARD, OTHER = "/waku/2/rs/16/32", "/waku/2/rs/16/64"
ALICE, BOB = PeerId(b"alice"), PeerId(b"bob")
LIMITS = FilterLimits(peers=2, criteria=4, topics=3, ttl=1_000, away=400, topic=8)
MAX_PEERS = [PeerId(bytes([number])) for number in range(4)]
MAX_TOPICS = ["a", "b", "c", "d", "e"]


def ask(table: FilterTable, peer: PeerId, kind: int, *topics: str, shard: str | None = SHARD, now: int = 0) -> Status:
    request = FilterRequest("id", kind, shard if topics else None, topics)
    return table.answer(peer, request, Millis(now), (SHARD, OTHER))[0]


def test_a_message_goes_to_whoever_subscribed_to_its_shard_and_topic() -> None:
    table = FilterTable(LIMITS)

    ask(table, ALICE, FilterKind.SUBSCRIBE, "a", "b")
    ask(table, BOB, FilterKind.SUBSCRIBE, "b", shard=OTHER)

    assert table.matching(SHARD, "b") == (ALICE,)
    assert table.matching(OTHER, "b") == (BOB,)
    assert table.matching(OTHER, "a") == ()


@pytest.mark.parametrize(
    "request_,status",
    [
        (FilterRequest("", FilterKind.SUBSCRIBE, SHARD, ("a",)), 400),
        (FilterRequest("id", FilterKind.SUBSCRIBE, None, ("a",)), 400),
        (FilterRequest("id", FilterKind.SUBSCRIBE, SHARD, ()), 400),
        (FilterRequest("id", FilterKind.SUBSCRIBE, "/waku/2/rs/1/0", ("a",)), 400),
        (FilterRequest("id", FilterKind.SUBSCRIBE, SHARD, ("a", "b", "c", "d")), 400),
        (FilterRequest("id", FilterKind.SUBSCRIBE, SHARD, ("",)), 400),
        (FilterRequest("id", FilterKind.SUBSCRIBE, SHARD, ("a" * 9,)), 400),
        (FilterRequest("id", 7, SHARD, ("a",)), 400),
        (FilterRequest("id", FilterKind.UNSUBSCRIBE, SHARD, ()), 400),
        (FilterRequest("id", FilterKind.UNSUBSCRIBE, SHARD, ("a",)), 404),
        (FilterRequest("id", FilterKind.UNSUBSCRIBE_ALL), 404),
        (FilterRequest("id", FilterKind.PING), 404),
        (FilterRequest("id", FilterKind.SUBSCRIBE, SHARD, ("a",)), 200),
    ],
)
def test_a_request_is_answered_with_the_status_of_its_first_fault(request_: FilterRequest, status: int) -> None:
    table = FilterTable(LIMITS)

    assert table.answer(ALICE, request_, Millis(0), (SHARD,))[0] == status
    assert len(table) == (status == 200)


def test_too_many_criteria_change_nothing() -> None:
    table = FilterTable(LIMITS)
    ask(table, ALICE, FilterKind.SUBSCRIBE, "a", "b", "c")

    assert ask(table, ALICE, FilterKind.SUBSCRIBE, "d", "e") == 503
    assert table.criteria(ALICE) == {(SHARD, "a"), (SHARD, "b"), (SHARD, "c")}
    assert ask(table, ALICE, FilterKind.SUBSCRIBE, "c", "d") == 200


def test_a_subscription_lives_as_long_as_its_peer_asks_for_anything() -> None:
    table = FilterTable(LIMITS)
    ask(table, ALICE, FilterKind.SUBSCRIBE, "a")

    assert ask(table, ALICE, FilterKind.PING, now=999) == 200
    assert ask(table, ALICE, FilterKind.PING, now=1_998) == 200
    assert ask(table, ALICE, FilterKind.PING, now=2_998) == 404


def test_one_who_pings_keeps_only_its_own_subscription_alive() -> None:
    table = FilterTable(LIMITS)
    ask(table, ALICE, FilterKind.SUBSCRIBE, "a")
    ask(table, BOB, FilterKind.SUBSCRIBE, "a", now=100)
    ask(table, ALICE, FilterKind.PING, now=500)

    table.expire(Millis(1_200))

    assert table.matching(SHARD, "a") == (ALICE,)


def test_who_is_gone_makes_room_and_nobody_else_does() -> None:
    table = FilterTable(LIMITS)
    ask(table, ALICE, FilterKind.SUBSCRIBE, "a")
    ask(table, BOB, FilterKind.SUBSCRIBE, "a")

    refused = ask(table, PeerId(b"carol"), FilterKind.SUBSCRIBE, "a")
    table.on_disconnected(BOB, Millis(0))
    taken = ask(table, PeerId(b"carol"), FilterKind.SUBSCRIBE, "a")

    assert (refused, taken) == (503, 200)
    assert set(table.matching(SHARD, "a")) == {ALICE, b"carol"}


def test_who_is_gone_is_pushed_nothing_and_kept_for_a_while() -> None:
    table = FilterTable(LIMITS)
    ask(table, ALICE, FilterKind.SUBSCRIBE, "a")

    table.on_disconnected(ALICE, Millis(0))
    assert table.matching(SHARD, "a") == ()
    table.expire(Millis(399))
    table.on_connected(ALICE)
    assert table.matching(SHARD, "a") == (ALICE,)
    table.on_disconnected(ALICE, Millis(399))
    table.expire(Millis(799))

    assert len(table) == 0


class Subscribers(RuleBasedStateMachine):
    """Whatever peers ask for, the table says the same as the naive model beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.table = FilterTable(LIMITS)
        self.now = 0
        self.model: dict[PeerId, tuple[int, set[str]]] = {}  # until, topics
        self.away: dict[PeerId, int] = {}

    def asked(self, peer: PeerId, kind: int, *topics: str) -> Status:
        status = ask(self.table, peer, kind, *topics, now=self.now)
        self.forget()
        return status

    def forget(self) -> None:
        self.model = {
            name: known
            for name, known in self.model.items()
            if known[0] > self.now and self.now - self.away.get(name, self.now) < LIMITS.away
        }
        self.away = {name: since for name, since in self.away.items() if name in self.model}

    @rule(wait=st.integers(1, 1_500))
    def time_passes(self, wait: int) -> None:
        self.now += wait
        self.table.expire(Millis(self.now))
        self.forget()

    @rule(peer=st.sampled_from(MAX_PEERS), topics=st.lists(st.sampled_from(MAX_TOPICS), min_size=1, max_size=3))
    def subscribes(self, peer: PeerId, topics: list[str]) -> None:
        status = self.asked(peer, FilterKind.SUBSCRIBE, *topics)

        wanted = self.model.get(peer, (0, set[str]()))[1] | set(topics)
        if len(wanted) > LIMITS.criteria:
            assert status == 503
            return
        if peer not in self.model and len(self.model) >= LIMITS.peers:
            if not self.away:
                assert status == 503
                return
            del self.model[min(self.away, key=lambda name: self.away[name])]
        assert status == 200
        self.away.pop(peer, None)
        self.model[peer] = self.now + LIMITS.ttl, wanted

    @rule(peer=st.sampled_from(MAX_PEERS), topics=st.lists(st.sampled_from(MAX_TOPICS), min_size=1, max_size=3))
    def unsubscribes(self, peer: PeerId, topics: list[str]) -> None:
        status = self.asked(peer, FilterKind.UNSUBSCRIBE, *topics)

        assert status == (200 if peer in self.model else 404)
        left = self.model.pop(peer, (0, set[str]()))[1] - set(topics)
        if left:
            self.model[peer] = self.now + LIMITS.ttl, left

    @rule(peer=st.sampled_from(MAX_PEERS))
    def unsubscribes_from_all(self, peer: PeerId) -> None:
        status = self.asked(peer, FilterKind.UNSUBSCRIBE_ALL)

        assert status == (200 if self.model.pop(peer, None) else 404)

    @rule(peer=st.sampled_from(MAX_PEERS))
    def pings(self, peer: PeerId) -> None:
        status = self.asked(peer, FilterKind.PING)

        assert status == (200 if peer in self.model else 404)
        if peer in self.model:
            self.model[peer] = self.now + LIMITS.ttl, self.model[peer][1]

    @rule(peer=st.sampled_from(MAX_PEERS))
    def leaves(self, peer: PeerId) -> None:
        self.table.on_disconnected(peer, Millis(self.now))
        if peer in self.model:
            self.away.setdefault(peer, self.now)

    @rule(peer=st.sampled_from(MAX_PEERS))
    def comes_back(self, peer: PeerId) -> None:
        self.table.on_connected(peer)
        self.away.pop(peer, None)

    @invariant()
    def matches_are_those_of_the_model(self) -> None:
        self.away = {name: since for name, since in self.away.items() if name in self.model}
        assert len(self.table) == len(self.model) <= LIMITS.peers
        for topic in MAX_TOPICS:
            wanting = {peer for peer, (_, topics) in self.model.items() if topic in topics}
            assert set(self.table.matching(SHARD, topic)) == wanting - set(self.away)
            assert self.table.wants(SHARD, topic) == bool(wanting)


def test_the_table_says_the_same_as_a_naive_model() -> None:
    run_state_machine_as_test(Subscribers, settings=settings(max_examples=60, stateful_step_count=30))
