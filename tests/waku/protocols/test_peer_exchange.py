"""Whom else a peer knows."""

import base64
from typing import Any

import pytest

from hushbell.errors import TransportError
from hushbell.waku.libp2p.keys import peer_id_text
from hushbell.waku.protocols.peer_exchange import PROTOCOL, PeerExchangeClient
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import PeersRequest, PeersResponse


async def asked(net: Any, number: int, *answers: bytes) -> tuple[tuple[bytes, ...], list[int]]:
    server, seen = net.host("server"), []

    async def answer(stream: Any) -> None:
        seen.append(codecs.decode(PeersRequest, await stream.read_frame(100), limit=100).num_peers)
        for one in answers:
            stream.write_frame(one)
        stream.close_write()

    server.handle(PROTOCOL, answer)
    client = PeerExchangeClient(host=net.host("phone", server), count=net.count, seconds=1)
    return await client.ask(server.peer_id, number), seen


@pytest.mark.parametrize("status", [0, 200])
async def test_records_are_handed_on_as_they_came_but_no_more_than_asked_for(net: Any, status: int) -> None:
    records, seen = await asked(net, 2, codecs.encode(PeersResponse((b"a", b"b", b"c"), status)))

    assert (records, seen) == ((b"a", b"b"), [2])


async def test_nobody_is_asked_for_more_than_so_many(net: Any) -> None:
    _, seen = await asked(net, 10**9, codecs.encode(PeersResponse()))

    assert seen == [60]


@pytest.mark.parametrize("answer", [b"\xff", bytes(70_000), codecs.encode(PeersResponse((b"a",), 429)), None])
async def test_an_answer_that_makes_no_sense_is_an_error(net: Any, answer: bytes | None) -> None:
    with pytest.raises(TransportError):
        await asked(net, 5, *([] if answer is None else [answer]))


async def test_only_records_signed_by_whom_they_name_are_taken(net: Any) -> None:
    # The example of EIP-778, and the same with a changed address.
    example = base64.urlsafe_b64decode(
        "-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZuOh8R33Ls8RRcy5wBgmlkgnY0gmlw"
        "hH8AAAGJc2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN1ZHCCdl8="
    )
    forged = example.replace(bytes([127, 0, 0, 1]), bytes([127, 0, 0, 2]))
    server = net.host("server")

    async def answer(stream: Any) -> None:
        await stream.read_frame(100)
        stream.write_frame(codecs.encode(PeersResponse((forged, b"", example))))
        stream.close_write()

    server.handle(PROTOCOL, answer)
    client = PeerExchangeClient(host=net.host("phone", server), count=net.count, seconds=1)

    (record,) = await client.records(server.peer_id, 10)

    assert peer_id_text(record.peer).startswith("16Uiu2")
    assert net.counts["peer_exchange_invalid"] == 2
