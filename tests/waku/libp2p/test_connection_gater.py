"""Who is let in, and who makes room."""

from dataclasses import dataclass

import pytest

from hushbell.waku.libp2p.connection_gater import ConnectionGater, source_of
from hushbell.waku.libp2p.limits import HostLimits


@dataclass(frozen=True)
class PendingConnection:
    source: str
    number: int = 0


def test_the_oldest_stranger_of_the_most_crowded_address_makes_room() -> None:
    admission = ConnectionGater(HostLimits(handshakes=4))
    crowd = [PendingConnection("66", number) for number in range(3)]
    for pending in (PendingConnection("1"), *crowd):
        assert admission.add(pending) is None

    assert admission.add(PendingConnection("2")) == crowd[0]
    admission.known(crowd[0])
    assert admission.add(PendingConnection("66", 9)) == crowd[1]


def test_the_known_make_room_for_nobody_and_count_until_they_leave() -> None:
    admission = ConnectionGater(HostLimits(handshakes=1, connections=2, connections_per_address=1))
    first = PendingConnection("1")
    admission.add(first)
    admission.known(first)

    assert admission.add(PendingConnection("2")) is None
    assert admission.refusal("3") == "connections"
    admission.leave("2")
    assert admission.refusal("1") == "connections_per_address"
    admission.leave("1")
    assert admission.refusal("1") == ""


@pytest.mark.parametrize(
    "remote,source",
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_one_machine_counts_once(remote: str, source: str) -> None:
    assert source_of(remote) == source
