"""
libp2p, fuzzed: everything that a stranger's connection says before and after it is authenticated.

The law is that of ``targets``: hostile bytes end in a value or an error of ours. Ciphers are left out where they would
turn every input into the same refusal; sums over all connections must come out at nothing in the end.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hushbell.errors import HushbellError, TransportError, WireError
from hushbell.types import Millis, PrivateKey
from hushbell.waku.libp2p import identify, keys
from hushbell.waku.libp2p.connection import PeerConnection
from hushbell.waku.libp2p.limits import KIB, HostLimits
from hushbell.waku.libp2p.mplex import Mplex
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.multistream import ProtocolProposer, ProtocolResponder
from hushbell.waku.libp2p.muxed_stream import MuxedStream
from hushbell.waku.libp2p.muxer import DATA, Muxer
from hushbell.waku.libp2p.noise import NoiseHandshake, Opener, Sealer
from hushbell.waku.libp2p.raw_connection import RawConnectionHandler
from hushbell.waku.libp2p.resource_manager import ResourceManager
from hushbell.waku.libp2p.security import SecurityHandshake, credentials
from hushbell.waku.libp2p.stream import Stream
from hushbell.waku.libp2p.upgrade import Upgrade, UpgradeResult
from hushbell.waku.libp2p.yamux import Yamux

ALICE = keys.secp256k1_identity(PrivateKey(b"\1" * 32))
BOB = keys.ed25519_identity(b"\2" * 32)
STATIC = X25519PrivateKey.from_private_bytes(b"\5" * 32)
OWN, BOBS = credentials(ALICE, lambda size: b"\7" * size), credentials(BOB, lambda size: b"\5" * size)
MUXERS = ("/yamux/1.0.0", "/mplex/6.7.0")
LIMITS = HostLimits(
    streams_per_connection=8, streams_unagreed=4, unread_per_connection=4 * KIB, unsent_per_stream=8 * KIB
)


def random_of(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut at lengths that the bytes give."""
    while data:
        size = 1 + data[0]
        yield data[1 : 1 + size]
        data = data[1 + size :]


def noise(data: bytes) -> None:
    """Handshakes: garbage in place of each message, and garbage as the payload of real ones."""
    for initiator in (True, False):
        side = SecurityHandshake(OWN, initiator=initiator, muxers=MUXERS, random=random_of(1), expected=None)
        side.start()
        with suppress(WireError):
            for piece in pieces(data):
                side.receive(piece)
        assert not side.done
    listener = SecurityHandshake(OWN, initiator=False, muxers=MUXERS, random=random_of(2), expected=None)
    dialler = NoiseHandshake(initiator=True, static=STATIC, ephemeral=b"\6" * 32)
    answer = listener.receive(_framed(dialler.write(data[:3000])))
    dialler.read(answer[2:])
    with suppress(WireError):
        listener.receive(_framed(dialler.write(data[:3000])))
    other = SecurityHandshake(OWN, initiator=False, muxers=MUXERS, random=random_of(2), expected=None)
    again = NoiseHandshake(initiator=True, static=STATIC, ephemeral=b"\6" * 32)
    again.read(other.receive(_framed(again.write(b"")))[2:])
    with suppress(WireError):
        other.receive(_framed(again.write(BOBS.payload + data[:3000])))


def records(data: bytes) -> None:
    """Records, garbage or real ones with garbage behind."""
    opener, sealer = Opener(b"k" * 32), Sealer(b"k" * 32)
    real = opener.open(sealer.seal(data)) if data else []
    assert b"".join(real) == data
    with suppress(WireError):
        for piece in pieces(data):
            assert sum(map(len, opener.open(piece))) <= len(data)


def upgrade(data: bytes) -> None:
    """The whole upgrade, with garbage in place of multistream, or of the negotiation under Noise."""
    for initiator in (True, False):
        side = Upgrade(OWN, initiator=initiator, muxers=MUXERS, random=random_of(1), expected=None)
        side.start()
        with suppress(WireError, TransportError):
            for piece in pieces(data):
                side.receive(piece)
        assert side.upgraded is None
    listener = Upgrade(OWN, initiator=False, muxers=MUXERS, random=random_of(1), expected=None)
    dialler = SecurityHandshake(BOBS, initiator=True, muxers=("/other",), random=random_of(3), expected=None)
    greeting = ProtocolProposer(["/noise"])
    answer = listener.receive(greeting.start())
    greeting.receive(answer)
    answer = dialler.receive(listener.receive(dialler.start()))
    listener.receive(answer)
    assert dialler.sealer is not None
    with suppress(WireError, TransportError):
        for piece in pieces(data):
            listener.receive(dialler.sealer.seal(piece))


def negotiation(data: bytes) -> None:
    """multistream, both roles, with and without the header before the garbage."""
    for start in (b"", b"\x13/multistream/1.0.0\n"):
        for side in (ProtocolProposer(["/a", "/b"]), ProtocolResponder(lambda text: text == "/a", lambda: ("/a",))):
            with suppress(WireError, TransportError):
                side.receive(start)
                for piece in pieces(data):
                    assert len(side.receive(piece)) <= 64 * (len(piece) + 24)


def yamux(data: bytes) -> None:
    """Frames in pieces, with our own doings in between."""
    _muxer(Yamux(initiator=False, streams=4, wide_window=512 * KIB), data)


def mplex(data: bytes) -> None:
    """Frames in pieces, with our own doings in between."""
    _muxer(Mplex(streams=4), data)


def _muxer(muxer: Muxer, data: bytes) -> None:
    names = [muxer.open(), 1]
    came = 0
    for piece in pieces(data):
        act = len(piece) % 8
        name = names[act % len(names)]
        if act == 1:
            muxer.send(name, piece)
        elif act == 2:
            muxer.close(name)
        elif act == 3:
            muxer.reset(name)
        elif act == 4:
            muxer.widen(name)
        elif act == 5:
            muxer.next_frames(3)
        try:
            events = muxer.receive(piece)
        except WireError:
            break
        for kind, stream, body in events:
            came += len(body)
            assert (kind == DATA) == bool(body)
            names = [*names[-6:], stream]
            muxer.consumed(stream, len(body))
        assert came <= len(data)
        assert muxer.waiting >= 0
    while muxer.ready:
        muxer.next_frames(1)
    assert muxer.control == 0


def names(data: bytes) -> None:
    """Peer ids, keys, addresses and identify messages."""
    for read in (Multiaddr.decode, keys.read_peer_id, keys.read_public_key, identify.unframed):
        with suppress(WireError):
            cast("Callable[[bytes], Any]", read)(data)
    with suppress(WireError):
        identify.decode(data, ALICE.peer_id, 10)
    text = data.decode("utf-8", "replace")
    with suppress(WireError):
        assert keys.parse_peer_id(text)
    with suppress(WireError):
        address = Multiaddr.parse(text)
        assert Multiaddr.decode(address.encode()) == address
    keys.read_public_key(ALICE.public_key).verify(b"message", data)


class _Pipe:
    remote, port = "127.0.0.1", 1
    handler: RawConnectionHandler | None = None

    def __init__(self) -> None:
        self.full = False
        self.reading = True

    def write(self, data: bytes) -> None:
        self.full = len(data) > 2000

    def pause(self) -> None:
        assert self.reading
        self.reading = False

    def resume(self) -> None:
        assert not self.reading
        self.reading = True

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class _Owner:
    def __init__(self) -> None:
        self.accepted: list[MuxedStream] = []
        self.time = 0

    def speaks(self, protocol: str) -> bool:
        return protocol == "/a"

    def protocols(self) -> Sequence[str]:
        return ("/a",)

    def accept(self, connection: PeerConnection, stream: MuxedStream) -> None:
        self.accepted.append(stream)

    def left(self, connection: PeerConnection) -> None:
        pass

    def now(self) -> Millis:
        return Millis(self.time)


class _Plain:
    """In place of both ciphers."""

    @staticmethod
    def open(data: bytes) -> list[bytes]:
        return [data]

    @staticmethod
    def seal(data: bytes) -> bytes:
        return data


LOOP = asyncio.new_event_loop()


def connection(data: bytes) -> None:
    """A whole connection: frames in pieces, while handlers read, write, end, reset and time passes."""
    LOOP.run_until_complete(_connection(data))


async def _connection(data: bytes) -> None:
    resources = ResourceManager(LIMITS, lambda name, number: None)
    owner, raw, plain = _Owner(), _Pipe(), cast("Any", _Plain)
    muxer: Muxer = Mplex(streams=8) if data[:1] > b"\x7f" else Yamux(initiator=False, streams=8, wide_window=KIB)
    upgraded = UpgradeResult(ALICE.peer_id, "", plain, plain, ())
    one = PeerConnection(
        owner, raw, upgraded, muxer, outbound=False, limits=LIMITS, resources=resources, count=lambda *_: None
    )
    one.protocols, raw.handler = ("/b",), one
    streams: list[Stream] = [await one.open(("/b",))]
    tasks: list[asyncio.Task[bytes]] = []
    for piece in pieces(data[1:]):
        if raw.handler is not None:
            raw.handler.on_data(piece)
        streams[1:] = owner.accepted
        stream = streams[len(piece) % len(streams)]
        _act(len(piece) // 8 % 10, piece, one, cast("MuxedStream", stream), tasks)
        if len(piece) % 7 == 1:
            owner.time += 6000
            one.sweep(owner.now())
        if len(piece) % 5 == 1:
            raw.full = False
            one.on_writable()
        await asyncio.sleep(0)
    one.close()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        error = task.exception()
        assert error is None or isinstance(error, HushbellError), error
    held = (resources.held, resources.unsent, resources.streams, len(resources.connections))
    assert held == (0, 0, 0, 0), held


def _act(act: int, piece: bytes, one: PeerConnection, stream: MuxedStream, tasks: list[asyncio.Task[bytes]]) -> None:
    if act == 1:
        stream.write(piece * 20)
    elif act == 2:
        stream.close_write()
    elif act == 3:
        stream.reset()
    elif act == 4:
        stream.receiver = stream.write
    elif act == 5:
        one.done(stream)
    elif act == 6 and all(task.done() for task in tasks) and stream.receiver is None:
        tasks.append(LOOP.create_task(stream.read(50)))
    elif act == 7 and all(task.done() for task in tasks) and stream.receiver is None:
        tasks.append(LOOP.create_task(stream.read_frame(2000)))


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


TARGETS: dict[str, Callable[[bytes], None]] = {
    "noise": noise,
    "records": records,
    "upgrade": upgrade,
    "negotiation": negotiation,
    "yamux": yamux,
    "mplex": mplex,
    "names": names,
    "connection": connection,
}
