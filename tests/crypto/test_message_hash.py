"""The vectors of RFC 14."""

import pytest

from hushbell.crypto.message_hash import message_hash

PAYLOAD = "010203045445535405060708"
META = "73757065722d736563726574"


@pytest.mark.parametrize(
    "payload,meta,expected",
    [
        (PAYLOAD, META, "64cce733fed134e83da02b02c6f689814872b1a0ac97ea56b76095c3c72bfe05"),
        (PAYLOAD, bytes(range(64)).hex(), "7158b6498753313368b9af8f6e0a0a05104f68f972981da42a43bc53fb0c1b27"),
        (PAYLOAD, None, "a2554498b31f5bcdfcbf7fa58ad1c2d45f0254f3f8110a85588ec3cf10720fd8"),
        ("", META, "483ea950cb63f9b9d6926b262bb36194d3f40a0463ce8446228350bd44e96de4"),
    ],
)
def test_a_message_has_the_hash_of_the_specification(payload: str, meta: str | None, expected: str) -> None:
    found = message_hash(
        "/waku/2/default-waku/proto",
        bytes.fromhex(payload),
        "/waku/2/default-content/proto",
        None if meta is None else bytes.fromhex(meta),
        0x175789BFA23F8400,
    )

    assert found.hex() == expected
