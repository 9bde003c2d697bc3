"""When a connection is asked for a sign of life, and when it is given up."""

from hushbell.types import Millis
from hushbell.waku.libp2p.keepalive import PING_DUE, KeepAlive
from hushbell.waku.libp2p.limits import HostLimits

LIMITS = HostLimits(idle_seconds=30, dead_seconds=75, unsent_seconds=60)


def verdicts(liveness: KeepAlive, seconds: range, *, full: bool = False, paused: bool = False) -> dict[int, str]:
    found = {second: liveness.check(Millis(second * 1000), full=full, paused=paused) for second in seconds}
    return {second: verdict for second, verdict in found.items() if verdict}


def test_silence_is_asked_about_once_and_then_ends_the_connection() -> None:
    assert verdicts(KeepAlive(LIMITS, Millis(0)), range(1, 77)) == {31: PING_DUE, 76: "dead_seconds"}


def test_a_sign_of_life_begins_the_count_again() -> None:
    liveness = KeepAlive(LIMITS, Millis(0))
    verdicts(liveness, range(1, 60))
    liveness.has_received = True

    assert verdicts(liveness, range(60, 100)) == {91: PING_DUE}


def test_a_full_socket_has_its_time_from_when_it_became_full() -> None:
    liveness = KeepAlive(LIMITS, Millis(0))
    for second in range(1, 200):
        liveness.has_received = True
        assert not liveness.check(Millis(second * 1000), full=False, paused=False)

    liveness.has_received = True
    assert verdicts(liveness, range(200, 230), full=True) == {}
    liveness.has_received = liveness.has_sent = True
    assert verdicts(liveness, range(230, 291), full=True) == {261: PING_DUE}
    assert verdicts(liveness, range(291, 292), full=True) == {291: "unsent_seconds"}


def test_whom_we_do_not_read_is_not_silent() -> None:
    assert verdicts(KeepAlive(LIMITS, Millis(0)), range(1, 200), paused=True) == {}
