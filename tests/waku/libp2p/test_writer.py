"""What a connection sends, and what it keeps while its socket is full."""

import asyncio
from collections import Counter

from hushbell.waku.libp2p.limits import KIB, HostLimits
from hushbell.waku.libp2p.noise import Opener, Sealer
from hushbell.waku.libp2p.raw_connection import RawConnectionHandler
from hushbell.waku.libp2p.resource_manager import ResourceManager
from hushbell.waku.libp2p.writer import StreamWriter
from hushbell.waku.libp2p.yamux import Yamux

LIMITS = HostLimits(unsent_per_stream=200 * KIB, unsent_per_connection=300 * KIB)


class Socket:
    """A pipe that keeps what is written."""

    remote, port = "127.0.0.1", 1
    handler: RawConnectionHandler | None = None

    def __init__(self) -> None:
        self.full = False
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


def outgoing() -> tuple[StreamWriter, Yamux, Socket, ResourceManager]:
    socket, muxer = Socket(), Yamux(initiator=True, streams=10, wide_window=1)
    resources = ResourceManager(LIMITS, Counter[str]().__setitem__)
    return StreamWriter(socket, muxer, Sealer(b"k" * 32), LIMITS, resources), muxer, socket, resources


async def test_one_turn_of_the_loop_is_one_write_and_one_record() -> None:
    out, muxer, socket, resources = outgoing()
    streams = [muxer.open() for _ in range(3)]

    for number in range(30):
        out.send(streams[number % 3], b"x" * 1000)
    assert not socket.written
    await asyncio.sleep(0)

    assert len(socket.written) == 1
    assert len(Opener(b"k" * 32).open(socket.written[0])) == 1
    assert resources.unsent == 0


async def test_a_socket_that_became_full_gets_nothing_until_it_is_writable() -> None:
    out, muxer, socket, resources = outgoing()
    stream = muxer.open()
    out.send(stream, b"x")
    socket.full = True

    await asyncio.sleep(0)
    assert not socket.written
    assert resources.unsent == 1
    socket.full = False
    out.flush()

    assert len(socket.written) == 1


async def test_each_bound_is_named_when_it_is_crossed() -> None:
    out, muxer, socket, resources = outgoing()
    first, second = muxer.open(), muxer.open()
    socket.full = True

    assert out.send(first, bytes(200 * KIB)) == ""
    assert out.send(first, b"x") == "unsent_per_stream"
    muxer.reset(first)
    out.account()
    assert resources.unsent == 0
    assert [out.send(muxer.open(), bytes(150 * KIB)) for _ in range(3)] == ["", "", "unsent_per_connection"]
    assert out.send(second, b"x") == ""
    out.close()

    assert resources.unsent == 0
