# ruff: noqa: ASYNC240
"""What the bus over a Unix socket promises beyond the contract (DESIGN.md section 7, ``serve --bus``)."""

import asyncio
import socket
import stat
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import orjson
import pytest

from hushbell.errors import ConfigError, TransportError
from hushbell.ports.transport import ReceivedMessage
from hushbell.transports import lines
from hushbell.transports.socket import SocketBusServer, SocketBusTransport
from hushbell.types import Envelope

Build = Callable[..., Envelope]


def received(sent: Envelope) -> ReceivedMessage:
    return ReceivedMessage(sent.pubsub_topic, sent.waku_message)


Join = Callable[[SocketBusServer], Awaitable[SocketBusTransport]]


@pytest.fixture
def counted() -> Counter[str]:
    return Counter()


@pytest.fixture
async def server(socket_path: Path, counted: Counter[str]) -> AsyncIterator[SocketBusServer]:
    made = await SocketBusServer.listen(socket_path, count=lambda name: counted.update([name]))
    yield made
    await made.close()


async def test_the_socket_is_for_its_owner_only_and_goes_when_the_server_does(socket_path: Path) -> None:
    server = await SocketBusServer.listen(socket_path)

    assert stat.S_IMODE(socket_path.stat().st_mode) == 0o600

    await server.close()
    assert not socket_path.exists()


async def test_a_stale_socket_is_replaced(socket_path: Path, envelope: Build) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(socket_path))
    left.close()

    server = await SocketBusServer.listen(socket_path)

    alice = await SocketBusTransport.connect(socket_path)
    await alice.publish([envelope(1)])
    assert await server.receive(1) == [received(envelope(1))]
    await alice.close()
    await server.close()


async def test_a_live_socket_is_left_alone(server: SocketBusServer, socket_path: Path, envelope: Build) -> None:
    with pytest.raises(ConfigError, match="another program listens there"):
        await SocketBusServer.listen(socket_path)

    alice = await SocketBusTransport.connect(socket_path)
    await alice.publish([envelope(1)])
    assert await server.receive(1) == [received(envelope(1))]
    await alice.close()


async def test_a_file_in_the_way_is_never_removed(socket_path: Path) -> None:
    socket_path.write_text("precious")

    with pytest.raises(ConfigError, match="not a socket"):
        await SocketBusServer.listen(socket_path)

    assert socket_path.read_text() == "precious"


async def test_a_path_that_cannot_be_bound_names_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        await SocketBusServer.listen(tmp_path / "nowhere" / "bus.sock")


async def test_a_socket_without_a_listener_is_a_transport_error(socket_path: Path) -> None:
    with pytest.raises(TransportError):
        await SocketBusTransport.connect(socket_path)


async def test_the_lines_have_the_form_of_the_status_go_peer(
    server: SocketBusServer, socket_path: Path, envelope: Build
) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket_path))
    writer.write(b'{"waku_message": "0a0B", "pubsub_topic": "/waku/2/rs/16/32", "more": 1}\r\n')
    [came] = await server.receive(5)

    await server.publish([envelope(7)])

    assert came == ReceivedMessage(came.pubsub_topic, b"\x0a\x0b")
    assert orjson.loads(await reader.readline()) == {
        "pubsub_topic": "/waku/2/rs/16/32",
        "waku_message": envelope(7).waku_message.hex(),
    }
    writer.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"garbage",
        b"{}",
        b"[]",
        b"7",
        b'{"event": "ready"}',
        b'{"pubsub_topic": 1, "waku_message": "00"}',
        b'{"pubsub_topic": "t", "waku_message": "0"}',
        b'{"pubsub_topic": "t", "waku_message": "00 00"}',
        b'{"pubsub_topic": "t", "waku_message": null}',
        b"\xff\xfe",
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
async def test_a_line_that_is_no_envelope_is_counted_and_ignored(
    server: SocketBusServer, socket_path: Path, envelope: Build, counted: Counter[str], garbage: bytes
) -> None:
    _, writer = await asyncio.open_unix_connection(str(socket_path))

    writer.write(garbage + b"\n" + lines.encode(envelope(1)))

    assert await server.receive(5) == [received(envelope(1))]
    assert counted == {"bus_lines_ignored": 1}
    writer.close()


@pytest.mark.parametrize("ending", [b"", b"\n"])
async def test_a_line_over_4_mib_cuts_its_writer_and_nobody_else(
    server: SocketBusServer, socket_path: Path, envelope: Build, counted: Counter[str], ending: bytes
) -> None:
    alice = await SocketBusTransport.connect(socket_path)
    reader, writer = await asyncio.open_unix_connection(str(socket_path))

    writer.write(b"x" * lines.LINE + ending)
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionError):
            await _until_cut(reader, writer)
    writer.close()

    assert counted["bus_lines_too_long"] == 1
    await alice.publish([envelope(1)])
    assert await server.receive(5) == [received(envelope(1))]
    await alice.close()


async def test_a_line_of_just_4_mib_is_taken(server: SocketBusServer, socket_path: Path, envelope: Build) -> None:
    line = lines.encode(envelope(1))
    reader, writer = await asyncio.open_unix_connection(str(socket_path))

    writer.write(line[:-1] + b" " * (lines.LINE - len(line)) + b"\n")

    assert await asyncio.wait_for(server.receive(5), 10) == [received(envelope(1))]
    writer.close()
    assert await reader.read() == b""


async def test_a_reader_more_than_16_mib_behind_is_cut_and_the_others_miss_nothing(
    server: SocketBusServer, socket_path: Path, phone: Join, envelope: Build, counted: Counter[str]
) -> None:
    sleeper = socket.socket(socket.AF_UNIX)
    sleeper.connect(str(socket_path))
    alice = await phone(server)
    came = 0

    for number in range(30):
        await server.publish([envelope(number, 512 * 1024)])
        came += len(await alice.receive(10))
    while came < 30:
        came += len(await alice.receive(10))

    assert counted == {"bus_readers_cut": 1}
    sleeper.close()
    await alice.close()


async def test_one_large_batch_does_not_put_a_willing_reader_behind(
    server: SocketBusServer, phone: Join, envelope: Build, counted: Counter[str]
) -> None:
    alice = await phone(server)
    writing = asyncio.create_task(server.publish([envelope(number, 512 * 1024) for number in range(60)]))
    came = 0

    async with asyncio.timeout(20):
        while more := await alice.receive(10):
            came += len(more)
            if came == 60:
                break

    await writing
    assert came == 60
    assert not counted
    await alice.close()


async def test_the_end_of_the_server_ends_a_phones_receive(server: SocketBusServer, phone: Join) -> None:
    alice = await phone(server)

    await server.close()

    assert list(await asyncio.wait_for(alice.receive(1), 10)) == []
    with pytest.raises(TransportError):
        await alice.publish([Envelope("t", b"1")])  # type: ignore[arg-type]


async def _until_cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await writer.drain()
    if await reader.read() == b"":
        raise ConnectionResetError
