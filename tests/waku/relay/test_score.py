"""What peers earn: each of P1 to P7, decay, and memory of those who left."""

from collections import Counter
from dataclasses import replace

import pytest

from hushbell.types import Millis
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.relay.score import DeliveryWindows, Scores
from hushbell.waku.relay.settings import ScoreSettings, TopicScoreSettings

TOPIC = "/waku/2/rs/16/32"
NOW = Millis(1_700_000_000_000)
ALICE, BOB = PeerId(b"alice"), PeerId(b"bob")


def after(seconds: float) -> Millis:
    return Millis(NOW + int(seconds * 1000))


@pytest.fixture
def scores() -> Scores:
    return made(ScoreSettings())


def made(scoring: ScoreSettings) -> Scores:
    counts: Counter[str] = Counter()

    def count(name: str, number: int) -> None:
        counts[name] += number

    scores = Scores(scoring, count)
    scores.heartbeat(NOW)
    scores.connected(ALICE, "192.0.2.1")
    return scores


def test_a_stranger_has_no_score(scores: Scores) -> None:
    assert (scores.of(BOB), scores.refresh(BOB, NOW)) == (0, 0)
    scores.penalise(BOB, 1, NOW)
    scores.on_prune(BOB, TOPIC, NOW)
    scores.disconnected(BOB, NOW)
    assert len(scores) == 1


@pytest.mark.parametrize("seconds,score", [(0, 0), (1.5, 0.01), (9, 0.09), (10, 0.1), (500, 0.1)])
def test_p1_grows_with_the_time_in_the_mesh_to_its_cap(scores: Scores, seconds: float, score: float) -> None:
    scores.on_graft(ALICE, TOPIC, NOW)

    assert scores.refresh(ALICE, after(seconds)) == pytest.approx(score)
    scores.on_prune(ALICE, TOPIC, after(seconds))
    assert scores.refresh(ALICE, after(seconds)) == 0


@pytest.mark.parametrize("messages,score", [(1, 1), (10, 10), (100, 10)])
def test_p2_grows_with_first_messages_to_its_cap(scores: Scores, messages: int, score: float) -> None:
    for _ in range(messages):
        scores.on_delivery(ALICE, TOPIC)

    assert scores.refresh(ALICE, NOW) == score


def test_p3_counts_what_is_missing_in_the_mesh_after_its_activation() -> None:
    scores = made(ScoreSettings(topic=TopicScoreSettings(mesh=-1.0, mesh_threshold=10.0, first=0.0, time_in_mesh=0.0)))
    scores.on_graft(ALICE, TOPIC, NOW)
    scores.on_delivery(ALICE, TOPIC)

    assert scores.refresh(ALICE, after(29)) == 0
    assert scores.refresh(ALICE, after(30)) == -81
    for _ in range(9):
        scores.on_duplicate(ALICE, TOPIC)
    assert scores.refresh(ALICE, after(30)) == 0


def test_p3b_stays_when_a_peer_was_pruned_for_too_few_messages() -> None:
    scores = made(ScoreSettings(topic=TopicScoreSettings(mesh=-1.0, mesh_threshold=5.0, failure=-2.0)))
    scores.on_graft(ALICE, TOPIC, NOW)

    scores.on_prune(ALICE, TOPIC, after(60))

    assert scores.refresh(ALICE, after(60)) == -50


def test_p3_is_off_as_in_waku(scores: Scores) -> None:
    scores.on_graft(ALICE, TOPIC, NOW)
    scores.on_prune(ALICE, TOPIC, after(600))

    assert not scores.counts_duplicates
    assert scores.refresh(ALICE, after(600)) == 0


@pytest.mark.parametrize("messages,score", [(1, -100), (2, -400), (10, -10_000), (11, -12_100)])
def test_p4_grows_with_the_square_of_invalid_messages(scores: Scores, messages: int, score: float) -> None:
    for _ in range(messages):
        scores.invalid(ALICE, TOPIC, NOW)

    assert scores.of(ALICE) == score


@pytest.mark.parametrize("peers,score", [(5, 0), (6, -50), (8, -450)])
def test_p6_grows_with_the_square_of_peers_above_five_at_an_address(scores: Scores, peers: int, score: float) -> None:
    for number in range(1, peers):
        scores.connected(PeerId(b"%d" % number), "192.0.2.1")

    assert scores.refresh(ALICE, NOW) == score
    for number in range(1, peers):
        scores.disconnected(PeerId(b"%d" % number), NOW)
    assert scores.refresh(ALICE, NOW) == 0


def test_p6_counts_all_of_an_ipv6_network_as_one(scores: Scores) -> None:
    for number in range(1, 7):
        scores.connected(PeerId(b"%d" % number), f"2001:db8::{number}")

    assert scores.refresh(PeerId(b"1"), NOW) == -50


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", ""])
def test_p6_spares_this_machine_and_unknown_addresses(scores: Scores, address: str) -> None:
    for number in range(20):
        scores.connected(PeerId(b"%d" % number), address)

    assert scores.refresh(PeerId(b"1"), NOW) == 0


def test_p6_follows_a_peer_that_connects_again_from_elsewhere(scores: Scores) -> None:
    for number in range(5):
        scores.connected(PeerId(b"%d" % number), "192.0.2.1")
    scores.connected(PeerId(b"1"), "192.0.2.2")

    assert scores.refresh(ALICE, NOW) == 0


@pytest.mark.parametrize("threshold,points,score", [(0, 1, -10), (0, 3, -90), (2, 2, 0), (2, 5, -90)])
def test_p7_grows_with_the_square_above_its_threshold(threshold: float, points: float, score: float) -> None:
    scores = made(ScoreSettings(behaviour_threshold=threshold))

    scores.penalise(ALICE, points, NOW)

    assert scores.of(ALICE) == score


def test_topics_together_are_capped_from_above_only() -> None:
    scores = made(ScoreSettings(topics_cap=12.0))
    for topic in ("a", "b"):
        for _ in range(10):
            scores.on_delivery(ALICE, topic)

    assert scores.refresh(ALICE, NOW) == 12
    scores.invalid(ALICE, "a", NOW)
    assert scores.of(ALICE) == -80


def test_counters_decay_every_twelve_seconds_and_end(scores: Scores) -> None:
    for _ in range(8):
        scores.on_delivery(ALICE, TOPIC)
    scores.invalid(ALICE, TOPIC, NOW)
    scores.penalise(ALICE, 1, NOW)

    scores.heartbeat(after(11))
    assert scores.of(ALICE) == 8 - 100 - 10
    scores.heartbeat(after(12))
    assert scores.of(ALICE) == pytest.approx(4 - 25 - 10 * 0.986**2)
    for step in range(2, 1000):
        scores.heartbeat(after(12 * step))
    assert scores.of(ALICE) == 0


def test_who_left_with_a_bad_score_is_remembered_for_ten_minutes(scores: Scores) -> None:
    for _ in range(12):
        scores.invalid(ALICE, TOPIC, NOW)
    scores.disconnected(ALICE, NOW)
    scores.disconnected(ALICE, NOW)

    assert scores.of(ALICE) < -10_000
    scores.connected(ALICE, "192.0.2.9")
    assert scores.of(ALICE) < -10_000
    scores.disconnected(ALICE, NOW)
    scores.heartbeat(after(599))
    assert len(scores) == 1
    scores.heartbeat(after(600))
    assert len(scores) == 0


def test_praise_is_not_remembered(scores: Scores) -> None:
    scores.on_delivery(ALICE, TOPIC)

    scores.disconnected(ALICE, NOW)

    assert len(scores) == 0


def test_memory_of_those_who_left_is_bounded() -> None:
    scores = made(replace(ScoreSettings(), retained=10))
    for number in range(100):
        peer = PeerId(b"%d" % number)
        scores.connected(peer, "192.0.2.7")
        scores.penalise(peer, 1, NOW)
        scores.disconnected(peer, NOW)

    assert len(scores) == 11


def test_deliveries_within_the_window_count_once_for_each_peer() -> None:
    rules = TopicScoreSettings(mesh=-1.0, mesh_threshold=3.0)
    scores = made(ScoreSettings(topic=rules))
    scores.connected(BOB, "192.0.2.2")
    deliveries = DeliveryWindows(scores, rules)
    for peer in (ALICE, BOB):
        scores.on_graft(peer, TOPIC, NOW)

    deliveries.on_first(b"1", ALICE, NOW)
    for _ in range(3):
        deliveries.on_duplicate(b"1", BOB, TOPIC, Millis(NOW + 10))
    deliveries.on_duplicate(b"1", ALICE, TOPIC, Millis(NOW + 10))
    deliveries.on_first(b"2", ALICE, Millis(NOW + 5))
    deliveries.on_duplicate(b"2", BOB, TOPIC, Millis(NOW + 16))
    deliveries.on_duplicate(b"unknown", BOB, TOPIC, NOW)
    deliveries.expire(Millis(NOW + 12))

    assert scores.counts(BOB, TOPIC).mesh == 1
    assert scores.counts(ALICE, TOPIC).mesh == 0
    assert list(deliveries._brought) == [b"2"]
