"""Which messages may be relayed, and for which the peer is blamed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.types import Millis
from hushbell.waku.relay.settings import RelaySettings
from hushbell.waku.relay.validation import Validation, Verdict

NOW = Millis(1_700_000_000_000)
JUDGE = Validation(RelaySettings()).judge


@pytest.mark.parametrize(
    "changes,verdict",
    [
        ({}, Verdict.ACCEPT),
        ({"timestamp": None, "version": None}, Verdict.ACCEPT),
        ({"timestamp": 0}, Verdict.ACCEPT),
        ({"timestamp": -(2**63)}, Verdict.ACCEPT),
        ({"timestamp": 1}, Verdict.ACCEPT),  # old ones are relayed: stores and gossip bring them
        ({"timestamp": (NOW + 20_000) * 1_000_000}, Verdict.ACCEPT),
        ({"timestamp": (NOW + 20_000) * 1_000_000 + 1}, Verdict.FUTURE),
        ({"timestamp": 2**63 - 1}, Verdict.FUTURE),
        ({"payload": b""}, Verdict.EMPTY),
        ({"content_topic": ""}, Verdict.EMPTY),
        ({"content_topic": "/" * 256}, Verdict.ACCEPT),
        ({"content_topic": "/" * 257}, Verdict.LONG_TOPIC),
        ({"content_topic": "ä" * 128}, Verdict.ACCEPT),
        ({"content_topic": "ä" * 129}, Verdict.LONG_TOPIC),
        ({"meta": bytes(64)}, Verdict.ACCEPT),
        ({"meta": bytes(65)}, Verdict.INVALID),
        ({"ephemeral": True, "rate_limit_proof": bytes(300)}, Verdict.ACCEPT),
        ({"payload": bytes(1024 * 1024)}, Verdict.LARGE),
    ],
)
def test_a_message_is_judged(world: Any, changes: dict[str, Any], verdict: Verdict) -> None:
    assert JUDGE(world.message(**changes), NOW) is verdict


def test_the_largest_message_makes_an_rpc_of_at_most_one_mebibyte(world: Any) -> None:
    largest = 1024 * 1024 - 512
    fits = world.message(payload=bytes(largest - 43))
    fits = world.message(payload=bytes(largest - 43 - (len(fits) - largest)))

    assert len(fits) == largest
    assert len(world.frame(fits, "/" * 256)) <= 1024 * 1024
    assert JUDGE(fits, NOW) is Verdict.ACCEPT
    assert JUDGE(fits + b"\x18\x01", NOW) is Verdict.LARGE


@pytest.mark.parametrize("data", [b"", b"\x0a", b"\x0a\x05abc", b"\x12\x01\xff", b"\xff" * 20])
def test_what_is_no_message_is_never_accepted(data: bytes) -> None:
    assert JUDGE(data, NOW) in (Verdict.INVALID, Verdict.EMPTY)


@given(st.binary(max_size=300))
def test_any_bytes_get_a_verdict(data: bytes) -> None:
    assert JUDGE(data, NOW) in Verdict
