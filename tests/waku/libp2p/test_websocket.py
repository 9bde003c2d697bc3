"""Hosts over WebSockets, with and without TLS, and what a WebSocket peer can do to us."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hushbell.errors import TransportError
from hushbell.testing.certificates import server_context
from hushbell.waku.libp2p.limits import HostLimits
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.stream import Stream

Until = Callable[[Callable[[], object]], Awaitable[None]]
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
WS = Multiaddr.parse("/ip4/127.0.0.1/tcp/0/ws")


async def echo(stream: Stream) -> None:
    while data := await stream.read(65536):
        stream.write(data)
        await stream.drain()


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, ssl.SSLContext]:
    server, authority = server_context(tmp_path, alpn=("http/1.1",))
    return {"server_tls": server, "client_tls": ssl.create_default_context(cafile=str(authority))}


@pytest.mark.parametrize("kind", ["/ws", "/wss", "/tls/ws"])
async def test_streams_run_over_a_websocket(node: Any, until: Until, tls: dict[str, ssl.SSLContext], kind: str) -> None:
    bob = await node(listen=Multiaddr.parse("/dns4/localhost/tcp/0" + kind), **tls)
    alice = await node(listen=None, **tls)
    bob.host.handle("/echo", echo)
    sent = bytes(range(256)) * 8_000

    stream = await alice.host.open(await alice.host.dial(bob.address), ["/echo"])
    stream.write(sent)
    stream.close_write()
    came = bytearray()
    while piece := await stream.read(1 << 20):
        came += piece

    assert came == sent
    await until(lambda: alice.identified and bob.identified)
    alice.host.disconnect(bob.host.peer_id)
    await until(lambda: bob.seen[-1][0] == "gone")


async def test_a_certificate_nobody_vouches_for_is_refused(node: Any, tls: dict[str, ssl.SSLContext]) -> None:
    bob = await node(listen=Multiaddr.parse("/ip4/127.0.0.1/tcp/0/wss"), **tls)
    alice = await node(listen=None)

    with pytest.raises(TransportError, match="no connection"):
        await alice.host.dial(bob.address)


async def test_wss_without_a_certificate_is_refused(node: Any) -> None:
    with pytest.raises(TransportError, match="certificate"):
        await node(listen=Multiaddr.parse("/ip4/127.0.0.1/tcp/0/wss"))


@pytest.mark.parametrize(
    "said",
    [
        b"\x13/multistream/1.0.0\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000,
        b"POST / HTTP/1.1\r\nHost: a\r\n\r\n" + b"z" * 100_000,
        UPGRADE + b"\x82\xff\x00\x00\x00\x7f\xff\xff\xff\xff\0\0\0\0",
    ],
    ids=["no HTTP", "no upgrade", "long header", "wrong method", "huge frame"],
)
async def test_whoever_speaks_no_websocket_is_closed(node: Any, until: Until, said: bytes) -> None:
    bob = await node(listen=WS)
    reader, writer = await asyncio.open_connection("127.0.0.1", bob.address.port)

    writer.write(said)
    async with asyncio.timeout(5):
        answer = await reader.read(-1) if b"Host" not in said else await reader.read(4096)
    assert b"500" not in answer[:20]
    writer.close()

    await until(lambda: bob.host.unauthenticated == 0)


async def test_text_is_no_libp2p(node: Any, until: Until) -> None:
    bob = await node(listen=WS)
    reader, writer = await asyncio.open_connection("127.0.0.1", bob.address.port)
    writer.write(UPGRADE)
    assert b"101" in await reader.readuntil(b"\r\n\r\n")

    writer.write(b"\x81\x82\0\0\0\0hi")

    async with asyncio.timeout(5):
        assert not await reader.read(-1) or bob.host.unauthenticated == 0
    await until(lambda: bob.host.unauthenticated == 0)
    writer.close()


async def test_half_open_tls_is_bounded_like_any_handshake(
    node: Any, until: Until, tls: dict[str, ssl.SSLContext]
) -> None:
    bob = await node(listen=Multiaddr.parse("/ip4/127.0.0.1/tcp/0/wss"), limits=HostLimits(handshakes=5), **tls)
    silent = [await asyncio.open_connection("127.0.0.1", bob.address.port) for _ in range(12)]

    await until(lambda: bob.counts["libp2p_cut_handshakes"] == 7)
    silent[-1][1].write(b"\x16\x03\x01\x02\x00")
    await bob.clock.pass_by(bob.host.limits.handshake_seconds + 2)

    assert bob.host.unauthenticated == 0
    for _, writer in silent:
        writer.close()


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", bytes(5000)])
async def test_whoever_speaks_no_tls_is_closed(
    node: Any, until: Until, tls: dict[str, ssl.SSLContext], said: bytes
) -> None:
    bob = await node(listen=Multiaddr.parse("/ip4/127.0.0.1/tcp/0/wss"), **tls)
    reader, writer = await asyncio.open_connection("127.0.0.1", bob.address.port)

    writer.write(said)

    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):
            await reader.read(-1)
    await until(lambda: bob.host.unauthenticated == 0)
    writer.close()
