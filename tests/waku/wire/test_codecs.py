"""Requests and answers of Waku's services: any value survives, and the bytes are those other nodes write."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.errors import TooLarge, Undecodable, WireError
from hushbell.waku.wire import codecs, services
from hushbell.waku.wire.services import (
    FilterKind,
    FilterPush,
    FilterRequest,
    FilterResponse,
    LightpushRequest,
    LightpushResponse,
    Metadata,
    PeersRequest,
    PushRequest,
    PushRpc,
    StoreEntry,
    StoreRequest,
    StoreResponse,
)

UINT32 = st.integers(0, 2**32 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
FIELDS: dict[Any, dict[str, st.SearchStrategy[Any]]] = {
    FilterRequest: {"kind": st.integers(-(2**31), 2**31 - 1)},
    FilterResponse: {"status_code": UINT32},
    LightpushResponse: {"status_code": UINT32, "relay_peer_count": st.none() | UINT32},
    StoreRequest: {
        "time_start": st.none() | INT64,
        "time_end": st.none() | INT64,
        "limit": st.none() | st.integers(0, 2**64 - 1),
    },
    StoreResponse: {"status_code": st.none() | UINT32},
    Metadata: {"cluster_id": st.none() | UINT32, "shards": st.lists(UINT32).map(tuple)},
    PeersRequest: {"num_peers": st.integers(0, 2**64 - 1)},
    services.PeersResponse: {"status_code": UINT32},
}


def values(kind: type) -> st.SearchStrategy[Any]:
    return st.builds(kind, **FIELDS.get(kind, {}))


@pytest.mark.parametrize("kind", codecs.KINDS)
@given(data=st.data())
def test_any_value_survives(kind: type, data: st.DataObject) -> None:
    value = data.draw(values(kind))

    assert codecs.decode(kind, codecs.encode(value), limit=1 << 20) == value


@pytest.mark.parametrize("kind", codecs.KINDS)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_value_or_an_error_of_ours(kind: type, data: bytes) -> None:
    try:
        value: object = codecs.decode(kind, data, limit=200)
    except WireError:
        return
    codecs.encode(value)


@pytest.mark.parametrize(
    "value,written",
    [
        # Numbers of the fields, one by one, from RFCs 12, 13, 19, 66 and 34.
        (FilterRequest("a", FilterKind.SUBSCRIBE, "p", ("c", "d")), "0a0161 1001 520170 5a0163 5a0164"),
        (FilterRequest("a"), "0a0161"),
        (FilterResponse("a", 404, "no"), "0a0161 509403 5a026e6f"),
        (FilterPush(b"\x0a\x00", "p"), "0a020a00 120170"),
        (PushRpc("a", PushRequest("p", b"\x0a\x00")), "0a0161 1207 0a0170 12020a00"),
        (PushRpc("a", None, services.PushResponse(True, "OK")), "0a0161 1a06 0801 12024f4b"),
        (LightpushRequest("a", "p", b"\x0a\x00"), "0a0161 a2010170 aa01020a00"),
        (LightpushResponse("a", 200, None, 3), "0a0161 50c801 6003"),
        (
            StoreRequest("a", True, "p", ("c",), 1, -1, (), b"\x07", True, 20),
            "0a0161 1001 520170 5a0163 6002 6801 9a030107 a00301 a80314",
        ),
        (StoreRequest("a", message_hashes=(b"\x07", b"\x08")), "0a0161 a2010107 a2010108"),
        (
            StoreResponse("a", 200, "OK", (StoreEntry(b"\x07", b"\x0a\x00", "p"),), b"\x07"),
            "0a0161 50c801 5a024f4b a201 0a 0a0107 12020a00 1a0170 9a030107",
        ),
        (Metadata(16, (32, 64)), "0810 1020 1040 1a022040"),
        (PeersRequest(6), "0a020806"),
        (services.PeersResponse((b"\x07",), 200), "12080a030a010750c801"),
    ],
)
def test_the_bytes_are_those_of_the_specification(value: object, written: str) -> None:
    assert codecs.encode(value).hex() == written.replace(" ", "")


def test_shards_are_read_from_either_field() -> None:
    new_only, old_only = bytes.fromhex("08101a0120"), bytes.fromhex("08101020")

    read = [codecs.decode(Metadata, data, limit=99) for data in (new_only, old_only)]

    assert read == [Metadata(16, (32,))] * 2


def test_what_is_over_a_bound_is_refused() -> None:
    with pytest.raises(TooLarge):
        codecs.decode(Metadata, bytes(100), limit=99)
    with pytest.raises(TooLarge):
        codecs.decode(StoreRequest, bytes.fromhex("5a0163") * 4097, limit=1 << 20)
    with pytest.raises(Undecodable):
        codecs.decode(Metadata, b"\xff", limit=99)


def test_a_value_that_does_not_fit_is_not_quoted() -> None:
    with pytest.raises(ValueError, match=r"^StoreRequest: a number out of range"):
        codecs.encode(StoreRequest("secret", limit=-1))
