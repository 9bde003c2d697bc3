"""Which messages may be relayed, and for which the peer is blamed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.types import Millis
from hushbell.waku.relay.settings import RelaySettings
from hushbell.waku.relay.validation import MessageValidator, ValidationResult

NOW = Millis(1_700_000_000_000)
JUDGE = MessageValidator(RelaySettings()).validate


@pytest.mark.parametrize(
    "changes,result",
    [
        ({}, ValidationResult.ACCEPT),
        ({"timestamp": None, "version": None}, ValidationResult.ACCEPT),
        ({"timestamp": 0}, ValidationResult.ACCEPT),
        ({"timestamp": -(2**63)}, ValidationResult.ACCEPT),
        ({"timestamp": 1}, ValidationResult.ACCEPT),  # old ones are relayed: stores and gossip bring them
        ({"timestamp": (NOW + 20_000) * 1_000_000}, ValidationResult.ACCEPT),
        ({"timestamp": (NOW + 20_000) * 1_000_000 + 1}, ValidationResult.FUTURE),
        ({"timestamp": 2**63 - 1}, ValidationResult.FUTURE),
        ({"payload": b""}, ValidationResult.EMPTY),
        ({"content_topic": ""}, ValidationResult.EMPTY),
        ({"content_topic": "/" * 256}, ValidationResult.ACCEPT),
        ({"content_topic": "/" * 257}, ValidationResult.LONG_TOPIC),
        ({"content_topic": "ä" * 128}, ValidationResult.ACCEPT),
        ({"content_topic": "ä" * 129}, ValidationResult.LONG_TOPIC),
        ({"meta": bytes(64)}, ValidationResult.ACCEPT),
        ({"meta": bytes(65)}, ValidationResult.INVALID),
        ({"ephemeral": True, "rate_limit_proof": bytes(300)}, ValidationResult.ACCEPT),
        ({"payload": bytes(1024 * 1024)}, ValidationResult.LARGE),
    ],
)
def test_a_message_is_judged(world: Any, changes: dict[str, Any], result: ValidationResult) -> None:
    assert JUDGE(world.message(**changes), NOW) is result


def test_the_largest_message_makes_an_rpc_of_at_most_one_mebibyte(world: Any) -> None:
    largest = 1024 * 1024 - 512
    fits = world.message(payload=bytes(largest - 43))
    fits = world.message(payload=bytes(largest - 43 - (len(fits) - largest)))

    assert len(fits) == largest
    assert len(world.frame(fits, "/" * 256)) <= 1024 * 1024
    assert JUDGE(fits, NOW) is ValidationResult.ACCEPT
    assert JUDGE(fits + b"\x18\x01", NOW) is ValidationResult.LARGE


@pytest.mark.parametrize("data", [b"", b"\x0a", b"\x0a\x05abc", b"\x12\x01\xff", b"\xff" * 20])
def test_what_is_no_message_is_never_accepted(data: bytes) -> None:
    assert JUDGE(data, NOW) in (ValidationResult.INVALID, ValidationResult.EMPTY)


@given(st.binary(max_size=300))
def test_any_bytes_get_a_verdict(data: bytes) -> None:
    assert JUDGE(data, NOW) in ValidationResult
