"""The handshake against published vectors, and what a stranger can do to it."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hushbell.errors import TooLarge, Unauthentic, Undecodable, WireError
from hushbell.waku.libp2p import keys, protobuf
from hushbell.waku.libp2p.noise import MAX_PLAIN, NoiseHandshake, Opener, Sealer
from hushbell.waku.libp2p.security import SecurityHandshake, credentials
from hushbell.waku.libp2p.upgrade import Upgrade

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/noise.json").read_text())["vectors"]
ALICE = keys.secp256k1_identity(b"\1" * 32)  # type: ignore[arg-type]
BOB = keys.ed25519_identity(b"\2" * 32)
YAMUX = "/yamux/1.0.0"


def noise_side(identity: keys.Identity, *, initiator: bool, seed: int = 7, **settings: Any) -> SecurityHandshake:
    settings = {"muxers": (YAMUX,), "expected": None, **settings}
    own = credentials(identity, random.Random(seed).randbytes)
    return SecurityHandshake(own, initiator=initiator, random=random.Random(seed + initiator).randbytes, **settings)


def run(dialler: SecurityHandshake, listener: SecurityHandshake) -> None:
    message = dialler.start()
    while message:
        message = listener.receive(message)
        message = dialler.receive(message) if message else b""


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["source"])
def test_published_handshakes_come_out_byte_for_byte(vector: dict[str, Any]) -> None:
    initiator, responder = (
        NoiseHandshake(
            initiator=side == "init",
            static=X25519PrivateKey.from_private_bytes(bytes.fromhex(vector[side + "_static"])),
            ephemeral=bytes.fromhex(vector[side + "_ephemeral"]),
            prologue=bytes.fromhex(vector[side + "_prologue"]),
        )
        for side in ("init", "resp")
    )
    messages = [(bytes.fromhex(m["payload"]), bytes.fromhex(m["ciphertext"])) for m in vector["messages"]]

    writer, reader = initiator, responder
    for payload, ciphertext in messages[:3]:
        assert writer.write(payload) == ciphertext
        assert reader.read(ciphertext) == payload
        writer, reader = reader, writer

    assert initiator.hash == responder.hash
    assert vector.get("handshake_hash", initiator.hash.hex()) == initiator.hash.hex()
    (to_responder, from_responder), (to_initiator, from_initiator) = initiator.split(), responder.split()
    for number, (payload, ciphertext) in enumerate(messages[3:]):
        sealer, opener = ((to_initiator, from_responder), (to_responder, from_initiator))[number % 2]
        record = sealer.seal(payload)
        assert record[2:] == ciphertext
        assert opener.open(record) == [payload]


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(1, 90), min_size=1, max_size=20))
def test_records_are_the_same_in_any_chunks(plains: list[bytes], cuts: list[int]) -> None:
    sealer, opener = Sealer(b"k" * 32), Opener(b"k" * 32)
    data = b"".join(sealer.seal(plain) for plain in plains)

    opened = []
    place = 0
    for number in range(len(data) + 1):
        size = cuts[number % len(cuts)]
        opened += opener.open(data[place : place + size])
        place += size
        if place >= len(data):
            break

    assert opened == plains


def test_long_data_becomes_full_records() -> None:
    data = random.Random(1).randbytes(3 * MAX_PLAIN + 5)

    sealed = Sealer(b"k" * 32).seal(data)

    opened = Opener(b"k" * 32).open(sealed)
    assert [len(piece) for piece in opened] == [MAX_PLAIN] * 3 + [5]
    assert b"".join(opened) == data


def test_a_changed_or_repeated_record_does_not_open() -> None:
    record = Sealer(b"k" * 32).seal(b"hello")
    changed = record[:-1] + bytes((record[-1] ^ 1,))
    opener = Opener(b"k" * 32)

    with pytest.raises(Unauthentic):
        Opener(b"k" * 32).open(changed)
    opener.open(record)
    with pytest.raises(Unauthentic):
        opener.open(record)


def test_each_side_learns_who_the_other_is() -> None:
    dialler, listener = (
        noise_side(ALICE, initiator=True, expected=BOB.peer_id),
        noise_side(BOB, initiator=False),
    )

    run(dialler, listener)

    assert dialler.done
    assert listener.done
    assert dialler.proof is not None
    assert listener.proof is not None
    assert (dialler.proof.peer, listener.proof.peer) == (BOB.peer_id, ALICE.peer_id)
    assert dialler.muxer is None  # a listener names no muxers, so they are negotiated


def test_another_peer_than_dialled_never_learns_who_dialled() -> None:
    dialler, listener = (
        noise_side(ALICE, initiator=True, expected=ALICE.peer_id),
        noise_side(BOB, initiator=False),
    )

    with pytest.raises(Unauthentic, match="another peer"):
        run(dialler, listener)

    assert listener.proof is None


def test_a_signature_by_another_key_is_refused() -> None:
    mallory = keys.Identity(ALICE.peer_id, ALICE.public_key, BOB.sign)
    dialler, listener = noise_side(mallory, initiator=True), noise_side(BOB, initiator=False)

    with pytest.raises(Unauthentic, match="did not sign"):
        run(dialler, listener)


def test_a_peer_with_our_own_identity_is_refused() -> None:
    with pytest.raises(Unauthentic, match="our own"):
        run(noise_side(ALICE, initiator=True), noise_side(ALICE, initiator=False))


def test_an_rsa_identity_is_refused_by_name() -> None:
    public = protobuf.put(1, keys.RSA) + protobuf.put(2, b"k" * 270)

    with pytest.raises(Unauthentic, match="RSA"):
        keys.read_public_key(public)


def test_a_huge_handshake_message_is_refused_before_it_comes() -> None:
    with pytest.raises(TooLarge):
        noise_side(BOB, initiator=False).receive(b"\xff\xff")


def test_a_key_of_low_order_is_refused() -> None:
    with pytest.raises(WireError):
        noise_side(BOB, initiator=False).receive(b"\0\x20" + bytes(32))


def test_a_short_handshake_message_is_refused() -> None:
    with pytest.raises(Undecodable):
        noise_side(BOB, initiator=False).receive(b"\0\x05hello")


@given(st.binary(max_size=400))
def test_whatever_comes_the_handshake_ends_in_a_wire_error_or_waits(data: bytes) -> None:
    listener = noise_side(BOB, initiator=False)

    try:
        listener.receive(data)
    except WireError:
        return

    assert not listener.done


def test_nothing_is_computed_for_whoever_only_connects() -> None:
    drawn: list[int] = []

    def draw(size: int) -> bytes:
        drawn.append(size)
        return bytes(size - 1) + b"\1"

    own = credentials(BOB, draw)
    listener = Upgrade(own, initiator=False, muxers=(YAMUX,), random=draw, expected=None)
    listener.receive(b"\x13/multistream/1.0.0\n")
    assert len(drawn) == 1

    listener.receive(b"\x07/noise\n")

    assert len(drawn) == 2
