"""The mesh and its gossip as a pure state machine: rules one by one, then laws over any history."""

from collections import Counter
from dataclasses import replace
from random import Random as Seeded
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.types import Millis
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.relay.cache import MessageCache, SeenIds
from hushbell.waku.relay.gossip import Gossip
from hushbell.waku.relay.mesh import Mesh
from hushbell.waku.relay.peers import Peers, choose
from hushbell.waku.relay.rpc import Control
from hushbell.waku.relay.score import Scores
from hushbell.waku.relay.settings import RelayLimits, RelaySettings

TOPIC = "/waku/2/rs/16/32"
START = Millis(1_700_000_000_000)
SETTINGS = RelaySettings()


class Overlay:
    """A mesh with everything that it decides by."""

    def __init__(self, settings: RelaySettings = SETTINGS) -> None:
        self.settings = settings
        self.now = START
        self.counts: Counter[str] = Counter()
        random = Seeded(1).randbytes
        self.peers = Peers(settings.limits, self._count)
        self.scores = Scores(settings.scoring, self._count)
        self.cache = MessageCache(settings, self._count)
        self.seen = SeenIds(settings, self._count)
        self.mesh = Mesh(settings, peers=self.peers, scores=self.scores, random=random, count=self._count)
        self.gossip = Gossip(
            settings,
            self.mesh,
            peers=self.peers,
            scores=self.scores,
            cache=self.cache,
            seen=self.seen,
            random=random,
            count=self._count,
        )

    def _count(self, name: str, number: int) -> None:
        self.counts[name] += number

    def add(self, number: int, *, outbound: bool = False, listens: bool = True) -> PeerId:
        peer = PeerId(b"peer %d" % number)
        self.scores.connected(peer, f"10.0.0.{number}")
        self.peers.add(peer, outbound=outbound)
        self.mesh.connected(peer)
        if listens:
            self.mesh.on_subscriptions(peer, [(True, TOPIC)], self.now)
        return peer

    def remove(self, peer: PeerId) -> None:
        self.mesh.disconnected(peer)
        self.gossip.forget(peer)
        self.peers.remove(peer)
        self.scores.disconnected(peer, self.now)

    def beat(self, seconds: int = 1) -> dict[PeerId, Control]:
        for _ in range(seconds):
            self.now = Millis(self.now + 1000)
            self.scores.heartbeat(self.now)
            self.peers.reset_counts()
            self.mesh.heartbeat(self.now)
            self.gossip.heartbeat(self.now)
        return self.peers.pop_control()

    @property
    def members(self) -> set[PeerId]:
        return set(self.mesh.members[TOPIC])

    def key(self, number: int, *, ours: bool = True) -> bytes:
        key = number.to_bytes(32, "big")
        if ours:
            self.seen.add(key, self.now)
            self.cache.put(key, TOPIC, b"frame %d" % number)
        return key


@pytest.fixture
def joined() -> Overlay:
    overlay = Overlay()
    overlay.mesh.join(TOPIC, overlay.now)
    return overlay


def test_who_listens_is_grafted_at_once_while_the_mesh_is_thin(joined: Overlay) -> None:
    peers = [joined.add(number) for number in range(10)]
    said = joined.peers.pop_control()

    assert joined.members == set(peers[:4])
    assert [said[peer].graft for peer in peers] == [[TOPIC]] * 4 + [[]] * 6


def test_a_heartbeat_fills_a_thin_mesh_to_the_degree(joined: Overlay) -> None:
    peers = [joined.add(number) for number in range(10)]
    for peer in list(joined.members)[:2]:
        joined.mesh.on_prune(peer, [(TOPIC, 60)], joined.now)

    joined.beat()

    assert len(joined.members) == 6
    assert len(peers) == 10


def test_a_fat_mesh_shrinks_to_the_degree_and_says_for_how_long(joined: Overlay) -> None:
    peers = [joined.add(number) for number in range(4)] + [joined.add(number, outbound=True) for number in range(4, 14)]
    joined.peers.pop_control()
    joined.mesh.on_graft(peers[4], [TOPIC], joined.now)
    for peer in peers[4:]:
        joined.mesh.on_graft(peer, [TOPIC], joined.now)
    assert len(joined.members) == 14

    said = joined.beat()

    assert len(joined.members) == 6
    pruned = [peer for peer in peers if said.get(peer, Control()).prune]
    assert len(pruned) == 8
    assert all(said[peer].prune == [(TOPIC, 60)] for peer in pruned)


def test_the_best_and_the_dialled_stay_when_the_mesh_shrinks(joined: Overlay) -> None:
    strangers = [joined.add(number) for number in range(8)]
    for peer in strangers:
        joined.mesh.on_graft(peer, [TOPIC], joined.now)
    best = strangers[:4]
    for peer in best:
        joined.scores.on_delivery(peer, TOPIC)
    dialled = [joined.add(number, outbound=True) for number in range(20, 23)]
    for peer in dialled:
        joined.mesh.on_graft(peer, [TOPIC], joined.now)

    joined.beat()

    assert len(joined.members) == 6
    assert set(dialled) <= joined.members
    assert len(joined.members & set(best)) == 3


def test_a_mesh_without_enough_that_we_dialled_gets_some(joined: Overlay) -> None:
    for number in range(6):
        joined.mesh.on_graft(joined.add(number), [TOPIC], joined.now)
    dialled = {joined.add(number, outbound=True) for number in range(20, 25)}

    joined.beat()

    assert len(joined.members & dialled) == 2  # as many as degree_high leaves room for
    assert len(joined.members) == 8


def test_a_graft_to_a_full_mesh_is_refused_unless_we_dialled(joined: Overlay) -> None:
    for number in range(8):
        joined.mesh.on_graft(joined.add(number), [TOPIC], joined.now)
    late, dialled = joined.add(50), joined.add(51, outbound=True)
    joined.peers.pop_control()

    joined.mesh.on_graft(late, [TOPIC], joined.now)
    joined.mesh.on_graft(dialled, [TOPIC], joined.now)

    assert late not in joined.members
    assert dialled in joined.members
    assert joined.peers.pop_control()[late].prune == [(TOPIC, 60)]


def test_an_unknown_topic_is_not_answered(joined: Overlay) -> None:
    peer = joined.add(1)
    joined.peers.pop_control()

    joined.mesh.on_graft(peer, ["/other"], joined.now)
    joined.mesh.on_prune(peer, [("/other", 60)], joined.now)

    assert not joined.peers.pop_control()
    assert list(joined.mesh.members) == [TOPIC]


def test_a_peer_that_pruned_us_is_left_alone_as_long_as_it_asked(joined: Overlay) -> None:
    peer = joined.add(1)

    joined.mesh.on_prune(peer, [(TOPIC, 90)], joined.now)
    joined.beat(91)
    early = joined.members
    joined.beat(2)

    assert early == set()
    assert joined.members == {peer}


@pytest.mark.parametrize("asked,lasts", [(0, 60), (10_000_000, 3600)])
def test_a_back_off_without_a_time_or_with_an_absurd_one_gets_ours(joined: Overlay, asked: int, lasts: int) -> None:
    peer = joined.add(1)

    joined.mesh.on_prune(peer, [(TOPIC, asked)], joined.now)

    assert joined.mesh._backoffs.until(TOPIC, peer) == joined.now + lasts * 1000


def test_a_back_off_never_gets_shorter(joined: Overlay) -> None:
    peer = joined.add(1)
    joined.mesh.on_prune(peer, [(TOPIC, 90)], joined.now)

    joined.mesh.on_prune(peer, [(TOPIC, 1)], joined.now)
    joined.mesh.on_graft(peer, [TOPIC], joined.now)

    assert joined.mesh._backoffs.until(TOPIC, peer) == joined.now + 90_000


def test_leaving_and_coming_again_does_not_end_a_back_off(joined: Overlay) -> None:
    peer = joined.add(1)
    joined.mesh.on_prune(peer, [(TOPIC, 60)], joined.now)

    joined.remove(peer)
    joined.add(1)

    assert joined.members == set()


@pytest.mark.parametrize("wait,penalty", [(1000, 2.0), (20_000, 1.0)])
def test_a_graft_during_the_back_off_costs(joined: Overlay, wait: int, penalty: float) -> None:
    peer = joined.add(1)
    joined.mesh.on_prune(peer, [(TOPIC, 60)], joined.now)
    joined.peers.pop_control()

    joined.mesh.on_graft(peer, [TOPIC], Millis(joined.now + wait))

    assert peer not in joined.members
    assert joined.peers.pop_control()[peer].prune == [(TOPIC, 60)]
    assert joined.scores.of(peer) == -10 * penalty**2
    assert joined.mesh._backoffs.until(TOPIC, peer) == joined.now + wait + 60_000


def test_a_peer_with_a_bad_score_is_pruned_and_not_grafted(joined: Overlay) -> None:
    good, bad = joined.add(1), joined.add(2)
    joined.scores.invalid(bad, TOPIC, joined.now)

    joined.beat()
    joined.mesh.on_graft(bad, [TOPIC], Millis(joined.now + 61_000))

    assert joined.members == {good}


def test_unsubscribing_leaves_the_mesh_for_a_short_while(joined: Overlay) -> None:
    peer = joined.add(1)
    joined.peers.pop_control()

    joined.mesh.leave(TOPIC, joined.now)
    said = joined.peers.pop_control()[peer]

    assert (said.prune, said.subscriptions) == ([(TOPIC, 5)], [(False, TOPIC)])
    joined.mesh.leave(TOPIC, joined.now)
    assert not joined.peers.pop_control()
    joined.mesh.join(TOPIC, joined.now)
    joined.mesh.join(TOPIC, joined.now)
    assert joined.members == set()
    joined.beat(8)
    assert joined.members == {peer}


def test_who_stops_listening_leaves_the_mesh(joined: Overlay) -> None:
    peer = joined.add(1)

    joined.mesh.on_subscriptions(peer, [(False, TOPIC)], joined.now)

    assert joined.members == set()
    assert not joined.mesh.gossip_receivers(TOPIC)


def test_a_bad_mesh_looks_for_better_peers() -> None:
    settings = replace(SETTINGS, scoring=replace(SETTINGS.scoring, opportunistic_threshold=1.0))
    overlay = Overlay(settings)
    overlay.mesh.join(TOPIC, overlay.now)
    for number in range(5):
        overlay.mesh.on_graft(overlay.add(number, outbound=True), [TOPIC], overlay.now)
    better = [overlay.add(number) for number in range(20, 25)]
    for _ in range(5):
        for peer in better:
            overlay.scores.on_delivery(peer, TOPIC)

    overlay.beat(59)
    before = overlay.members
    for peer in better:
        overlay.scores.on_delivery(peer, TOPIC)
    overlay.beat()

    assert not before & set(better)
    assert len(overlay.members & set(better)) == 2


def test_a_fan_out_is_kept_filled_and_forgotten() -> None:
    overlay = Overlay(replace(SETTINGS, flood_publish=False))
    peers = [overlay.add(number) for number in range(10)]

    first = overlay.mesh.receivers(TOPIC, overlay.now)
    overlay.remove(first[0])
    overlay.beat()
    second = overlay.mesh.receivers(TOPIC, overlay.now)
    overlay.beat(62)

    assert len(first) == len(second) == 6
    assert set(first[1:]) < set(second) < set(peers)
    assert TOPIC not in overlay.peers.listening
    assert not overlay.mesh.gossip_topics


def test_a_fan_out_becomes_the_mesh_on_joining() -> None:
    overlay = Overlay(replace(SETTINGS, flood_publish=False))
    for number in range(10):
        overlay.add(number)
    fanout = overlay.mesh.receivers(TOPIC, overlay.now)

    overlay.mesh.join(TOPIC, overlay.now)

    assert overlay.members == set(fanout)
    assert overlay.mesh.receivers(TOPIC, overlay.now) == list(overlay.mesh.members[TOPIC])


def test_own_messages_are_not_sent_to_those_below_the_threshold(joined: Overlay) -> None:
    good, bad = joined.add(1), joined.add(2)
    for _ in range(4):
        joined.scores.invalid(bad, TOPIC, joined.now)

    assert joined.mesh.receivers(TOPIC, joined.now) == [good]


def test_subscriptions_of_a_peer_are_bounded(joined: Overlay) -> None:
    peer = joined.add(1)
    joined.mesh.on_subscriptions(peer, [(True, f"/{number}") for number in range(200)], joined.now)
    joined.mesh.on_subscriptions(peer, [(True, f"/x{number}") for number in range(2000)], joined.now)

    assert len(joined.peers.known[peer].topics) == 128
    assert joined.counts["relay_subscriptions_refused"] > 0
    assert joined.counts["relay_subscription_floods"] == 1
    assert joined.scores.of(peer) < 0
    joined.beat()
    assert joined.peers.known[peer].changes == 0


def test_back_offs_are_bounded() -> None:
    overlay = Overlay(replace(SETTINGS, limits=RelayLimits(backoffs=10)))
    overlay.mesh.join(TOPIC, overlay.now)

    for number in range(100):
        peer = overlay.add(number)
        overlay.mesh.on_prune(peer, [(TOPIC, 60)], overlay.now)
        overlay.remove(peer)

    assert len(overlay.mesh._backoffs._until[TOPIC]) == 10


def test_gossip_goes_to_some_outside_the_mesh_for_three_heartbeats(joined: Overlay) -> None:
    peers = [joined.add(number) for number in range(20)]
    key = joined.key(1)
    offered = []

    for _ in range(4):
        said = joined.beat()
        offered.append({peer for peer in peers if said.get(peer, Control()).ihave == [(TOPIC, [key])]})

    assert [len(who) for who in offered] == [6, 6, 6, 0]
    assert not any(who & joined.members for who in offered)


def test_a_quarter_hears_gossip_when_that_is_more(joined: Overlay) -> None:
    peers = [joined.add(number) for number in range(44)]
    joined.key(1)

    said = joined.beat()

    assert sum(bool(said.get(peer, Control()).ihave) for peer in peers) == 10


def test_gossip_offers_at_most_the_bound_and_the_newest(joined: Overlay) -> None:
    for number in range(5):
        joined.add(number)
    keys = [joined.key(number) for number in range(6000)]

    said = joined.beat()
    ids = next(control.ihave[0][1] for control in said.values() if control.ihave)

    assert len(ids) == 5000
    assert set(ids) == set(keys[1000:])


def test_only_what_is_missing_is_asked_for_and_once(joined: Overlay) -> None:
    peer = joined.add(1)
    joined.peers.pop_control()
    have, miss = joined.key(1), joined.key(2, ours=False)

    joined.gossip.on_ihave(peer, TOPIC, [have, miss, miss], joined.now)

    assert joined.peers.pop_control()[peer].iwant == [miss]
    assert list(joined.gossip.promises) == [miss]


def test_a_broken_promise_costs_and_a_kept_one_does_not(joined: Overlay) -> None:
    liar, honest = joined.add(1), joined.add(2)
    joined.gossip.on_ihave(liar, TOPIC, [joined.key(1, ours=False)], joined.now)
    joined.gossip.on_ihave(honest, TOPIC, [joined.key(2, ours=False)], joined.now)
    joined.gossip.promises.pop(joined.key(2, ours=False))

    joined.beat(4)

    assert joined.counts["relay_broken_promises"] == 1
    assert joined.scores.of(liar) < 0 <= joined.scores.of(honest)
    assert not joined.gossip.promises


def test_offers_are_bounded_in_a_heartbeat(joined: Overlay) -> None:
    peer = joined.add(1)
    joined.peers.pop_control()
    many = [joined.key(number, ours=False) for number in range(4000)]

    joined.gossip.on_ihave(peer, TOPIC, many, joined.now)
    joined.gossip.on_ihave(peer, TOPIC, [joined.key(number, ours=False) for number in range(4000, 8000)], joined.now)
    for _ in range(20):
        joined.gossip.on_ihave(peer, TOPIC, [joined.key(9000, ours=False)], joined.now)

    assert len(joined.peers.pop_control()[peer].iwant) == 5000
    assert joined.counts["relay_ihave_refused"] == 20
    assert len(joined.gossip.promises) <= 10


def test_offers_for_other_topics_and_of_bad_peers_are_ignored(joined: Overlay) -> None:
    peer = joined.add(1)
    joined.peers.pop_control()

    joined.gossip.on_ihave(peer, "/other", [joined.key(1, ours=False)], joined.now)
    joined.scores.invalid(peer, TOPIC, joined.now)
    joined.scores.invalid(peer, TOPIC, joined.now)
    joined.gossip.on_ihave(peer, TOPIC, [joined.key(1, ours=False)], joined.now)

    assert not joined.peers.pop_control()
    assert joined.gossip.on_iwant(peer, [joined.key(2)]) == []
    assert peer not in joined.mesh.gossip_receivers(TOPIC)


def test_a_message_is_sent_on_demand_three_times_and_no_more(joined: Overlay) -> None:
    peer, other = joined.add(1), joined.add(2)
    key = joined.key(1)

    sent = [len(joined.gossip.on_iwant(peer, [key])) for _ in range(5)]

    assert sent == [1, 1, 1, 0, 0]
    assert joined.counts["relay_iwant_refused"] == 2
    assert joined.gossip.on_iwant(other, [key]) == [b"frame 1"]


def test_demands_are_bounded_in_a_heartbeat(joined: Overlay) -> None:
    peer = joined.add(1)
    keys = [joined.key(number) for number in range(10)]
    for _ in range(50):
        joined.gossip.on_iwant(peer, [b"x" * 32] * 100)

    assert joined.gossip.on_iwant(peer, keys) == []
    joined.beat()
    assert len(joined.gossip.on_iwant(peer, keys)) == 10


def test_nothing_is_expected_of_who_left(joined: Overlay) -> None:
    peer = joined.add(1)
    joined.gossip.on_ihave(peer, TOPIC, [joined.key(1, ours=False)], joined.now)

    joined.remove(peer)

    assert not joined.gossip.promises


@given(st.lists(st.integers(), max_size=30, unique=True), st.integers(0, 40), st.integers())
def test_choosing_takes_that_many_different_ones(items: list[int], number: int, seed: int) -> None:
    found = choose(items, number, Seeded(seed).randbytes)

    assert len(found) == len(set(found)) == min(number, len(items))
    assert set(found) <= set(items)


numbers = st.integers(0, 30)
seconds = st.integers(0, 100)
events = st.lists(
    st.one_of(
        st.tuples(st.just("add"), numbers, st.booleans(), st.booleans()),
        st.tuples(st.just("remove"), numbers),
        st.tuples(st.just("graft"), numbers),
        st.tuples(st.just("prune"), numbers, seconds),
        st.tuples(st.just("listen"), numbers, st.booleans()),
        st.tuples(st.just("invalid"), numbers),
        st.tuples(st.just("deliver"), numbers),
        st.tuples(st.just("leave")),
        st.tuples(st.just("join")),
        st.tuples(st.just("publish")),
        st.tuples(st.just("beat"), st.integers(1, 3)),
    ),
    max_size=80,
)


def happen(overlay: Overlay, kind: str, *more: Any) -> None:
    peer = PeerId(b"peer %d" % more[0]) if more and kind != "beat" else PeerId(b"")
    known = peer in overlay.peers.known
    if kind == "add" and not known:
        overlay.add(more[0], outbound=more[1], listens=more[2])
    elif kind == "beat":
        overlay.beat(more[0])
    elif kind == "leave":
        overlay.mesh.leave(TOPIC, overlay.now)
    elif kind == "join":
        overlay.mesh.join(TOPIC, overlay.now)
    elif kind == "publish":
        overlay.mesh.receivers(TOPIC, overlay.now)
    elif known:
        acts: dict[str, Any] = {
            "remove": lambda: overlay.remove(peer),
            "graft": lambda: overlay.mesh.on_graft(peer, [TOPIC], overlay.now),
            "prune": lambda: overlay.mesh.on_prune(peer, [(TOPIC, more[1])], overlay.now),
            "listen": lambda: overlay.mesh.on_subscriptions(peer, [(more[1], TOPIC)], overlay.now),
            "invalid": lambda: overlay.scores.invalid(peer, TOPIC, overlay.now),
            "deliver": lambda: overlay.scores.on_delivery(peer, TOPIC),
        }
        acts.get(kind, lambda: None)()


@given(st.booleans(), events)
def test_after_any_history_a_heartbeat_leaves_a_sound_mesh(flood: bool, history: list[tuple[Any, ...]]) -> None:
    overlay = Overlay(replace(SETTINGS, flood_publish=flood))
    overlay.mesh.join(TOPIC, overlay.now)

    for event in history:
        happen(overlay, *event)
    overlay.mesh.join(TOPIC, overlay.now)
    overlay.peers.pop_control()
    before = overlay.members
    said = overlay.beat()

    members = overlay.members
    assert len(members) <= SETTINGS.degree_high
    assert members <= set(overlay.peers.known)
    assert all(overlay.scores.of(peer) >= 0 for peer in members)
    fit = [p for p in overlay.peers.listening[TOPIC] if overlay.mesh._may_graft(TOPIC, p, overlay.now)]
    assert len(members) >= SETTINGS.degree_low or not fit
    for peer, control in said.items():
        assert control.graft == ([TOPIC] if peer in members - before else [])
        assert len(control.prune) == (peer in before - members)


@given(events)
def test_both_ends_agree_on_the_mesh_once_they_were_told(history: list[tuple[Any, ...]]) -> None:
    overlay = Overlay()
    overlay.mesh.join(TOPIC, overlay.now)
    theirs: set[PeerId] = set()

    for event in history:
        peer = PeerId(b"peer %d" % event[1]) if len(event) > 1 else PeerId(b"")
        is_new = peer not in overlay.peers.known
        happen(overlay, *event)
        began_anew = event[0] == "add" and is_new  # a peer that is known is not added again
        if began_anew or event[0] in ("remove", "prune") or (event[0] == "listen" and not event[2]):
            theirs.discard(peer)
        elif event[0] == "graft" and TOPIC in overlay.mesh.members and peer in overlay.peers.known:
            theirs.add(peer)
        for other, control in overlay.peers.pop_control().items():
            if control.graft:
                theirs.add(other)
            if control.prune:
                theirs.discard(other)
        theirs &= set(overlay.peers.known)
        if TOPIC in overlay.mesh.members:
            assert overlay.members <= theirs
