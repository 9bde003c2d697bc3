"""Peer ids, identity keys and addresses: the specification's examples, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.errors import TooLarge, Unauthentic, Undecodable, WireError
from hushbell.types import PrivateKey
from hushbell.waku.libp2p import identify, keys, protobuf, varint
from hushbell.waku.libp2p.multiaddr import Multiaddr

# github.com/libp2p/specs, peer-ids/peer-ids.md, "Test vectors" and "String representation".
SECP256K1_PRIVATE = "53dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb"
SECP256K1_PUBLIC = "08021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99"
ED25519_PRIVATE = "7e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d"
ED25519_PUBLIC = "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
SHA_256 = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
SHA_256_CID = "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe"
ED25519_ID = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
ALICE = keys.secp256k1_identity(PrivateKey(b"\1" * 32))


def test_public_keys_are_those_of_the_specification() -> None:
    secp256k1 = keys.secp256k1_identity(PrivateKey(bytes.fromhex(SECP256K1_PRIVATE)))
    ed25519 = keys.ed25519_identity(bytes.fromhex(ED25519_PRIVATE))

    assert secp256k1.public_key.hex() == SECP256K1_PUBLIC
    assert ed25519.public_key.hex() == ED25519_PUBLIC
    assert keys.peer_id_text(secp256k1.peer_id).startswith("16Uiu2HA")
    assert keys.peer_id_text(ed25519.peer_id).startswith("12D3KooW")


@pytest.mark.parametrize("text", [SHA_256, ED25519_ID, keys.peer_id_text(ALICE.peer_id)])
def test_the_text_of_a_peer_id_reads_back(text: str) -> None:
    assert keys.peer_id_text(keys.parse_peer_id(text)) == text


def test_a_cid_names_the_same_peer() -> None:
    assert keys.parse_peer_id(SHA_256_CID) == keys.parse_peer_id(SHA_256)


@pytest.mark.parametrize("text", ["", "0", "b", "bafz", "1" * 200, "12D3KooW", "QmYyQSo1", "b" + "a" * 60])
def test_no_peer_id_is_refused(text: str) -> None:
    with pytest.raises(Undecodable):
        keys.parse_peer_id(text)


@pytest.mark.parametrize("identity", [ALICE, keys.ed25519_identity(b"\2" * 32)])
def test_a_signature_is_good_for_its_message_and_key_only(identity: keys.Identity) -> None:
    key = keys.read_public_key(identity.public_key)
    other = keys.read_public_key(keys.new_identity(lambda size: b"\7" * size).public_key)
    signature = identity.sign(b"message")

    assert key.verify(b"message", signature)
    assert not key.verify(b"messages", signature)
    assert not other.verify(b"message", signature)
    for wrong in (b"", signature[:-1], signature * 2, b"\0" * 64, b"\x30\x06\x02\x01\x00\x02\x01\x00"):
        assert not key.verify(b"message", wrong)


@pytest.mark.parametrize(
    "data",
    [
        protobuf.put(1, 2) + protobuf.put(2, b"\2" * 33 + b"\0"),
        protobuf.put(1, 2) + protobuf.put(2, b"\2" + b"\xff" * 32),
        protobuf.put(1, 1) + protobuf.put(2, b"k" * 31),
        protobuf.put(1, 3) + protobuf.put(2, b"k" * 91),
        protobuf.put(1, 9) + protobuf.put(2, b"k"),
        protobuf.put(2, b"k" * 33),
    ],
)
def test_other_keys_are_refused(data: bytes) -> None:
    with pytest.raises(Unauthentic):
        keys.read_public_key(data)


def test_an_identity_shows_no_private_key() -> None:
    assert "sign" not in repr(ALICE)


@pytest.mark.parametrize(
    "text,binary",
    [
        ("/ip4/127.0.0.1/tcp/60000", "047f00000106ea60"),
        ("/ip4/1.2.3.4/tcp/80/ws", "04010203040600 50dd03"),
        ("/dns4/node.example/tcp/443/wss", "360c6e6f64652e6578616d706c6506 01bbde03"),
        ("/dns/a.b/tcp/443/tls/ws", "3503612e620601bbc003dd03"),
        ("/dns6/a.b/tcp/443/tls/sni/c.d/ws", "3703612e620601bbc003c10303632e64dd03"),
        ("/ip6/::1/tcp/1/p2p/" + ED25519_ID, None),
    ],
)
def test_addresses_have_a_text_and_a_binary_form(text: str, binary: str | None) -> None:
    address = Multiaddr.parse(text)

    assert str(address) == text
    assert Multiaddr.decode(address.encode()) == address
    if binary is not None:
        assert address.encode().hex() == binary.replace(" ", "")


def test_an_address_tells_how_to_dial_it() -> None:
    address = Multiaddr.parse("/dns4/node.example/tcp/443/wss/p2p/" + ED25519_ID)

    assert (address.host, address.port, address.is_websocket, address.is_tls) == ("node.example", 443, True, True)
    assert address.peer == keys.parse_peer_id(ED25519_ID)
    assert str(address.without_peer()) == "/dns4/node.example/tcp/443/wss"
    assert address.without_peer().with_peer(address.peer) == address
    assert Multiaddr.parse("/ip4/1.2.3.4/tcp/1/ipfs/" + ED25519_ID).peer == address.peer
    assert Multiaddr.parse("/ip4/1.2.3.4/tcp/443/tls/sni/a.b/ws").server_name == "a.b"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "ip4/1.2.3.4/tcp/1",
        "/ip4/1.2.3.4",
        "/ip4/1.2.3.4.5/tcp/1",
        "/ip4/1.2.3.4/tcp/65536",
        "/ip4/1.2.3.4/tcp/x",
        "/ip4/1.2.3.4/tcp/-1",
        "/ip4/1.2.3.4/udp/1/quic-v1",
        "/dns4//tcp/1",
        "/dns4/a b/tcp/1",
        "/ip4/1.2.3.4/tcp/1/p2p/x/ws",
        "/ip4/1.2.3.4/tcp/1/p2p",
        "/ip4/1.2.3.4/tcp/1/ws/ws",
        "/dns4/ä.example/tcp/1",
        "/unix/x",
    ],
)
def test_no_address_is_refused(text: str) -> None:
    with pytest.raises(Undecodable):
        Multiaddr.parse(text)


def test_a_long_address_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLarge):
        Multiaddr.parse("/ip4/1.2.3.4/tcp/1" + "/ws" * 400)
    with pytest.raises(TooLarge):
        Multiaddr.decode(bytes(600))


@given(st.binary(max_size=80))
def test_whatever_the_bytes_an_address_reads_back_or_is_refused(data: bytes) -> None:
    try:
        address = Multiaddr.decode(data)
    except WireError:
        return
    assert Multiaddr.parse(str(address)) == address


@given(st.integers(0, 2**63 - 1), st.binary(max_size=5))
def test_varints_read_back_and_wait_for_their_last_byte(value: int, after: bytes) -> None:
    data = varint.encode(value)

    assert varint.decode(data + after) == (value, len(data))
    assert all(varint.decode(data[:cut]) is None for cut in range(len(data)))


@pytest.mark.parametrize("data", [b"\x80\x00", b"\xff" * 10, b"\x81\x80\x00"])
def test_varints_that_are_not_the_shortest_or_have_no_end_are_refused(data: bytes) -> None:
    with pytest.raises(Undecodable):
        varint.decode(data)


def test_identify_tells_what_a_peer_speaks_and_where_it_listens() -> None:
    about = identify.Identify(
        ("/a", "/b"),
        (Multiaddr.parse("/ip4/1.2.3.4/tcp/1/ws"),),
        Multiaddr.parse("/ip4/5.6.7.8/tcp/9"),
        "hushbell",
    )
    message = identify.encode(ALICE.public_key, about)
    unknown = protobuf.put(2, b"\x91\x02\0\0") + protobuf.put(8, b"a signed record") + protobuf.put(9, 1)

    assert identify.decode(message + unknown, ALICE.peer_id, 10) == about
    assert identify.decode(message, ALICE.peer_id, 1).protocols == ("/a",)
    assert identify.unframed(varint.framed(message[:9]) + varint.framed(message[9:])) == message


def test_identify_of_another_peer_is_refused() -> None:
    message = identify.encode(keys.ed25519_identity(b"\3" * 32).public_key, identify.Identify())

    with pytest.raises(Undecodable, match="another peer"):
        identify.decode(message, ALICE.peer_id, 10)


@given(st.binary(max_size=120))
def test_whatever_the_bytes_identify_is_read_or_refused(data: bytes) -> None:
    try:
        identify.decode(identify.unframed(data), ALICE.peer_id, 10)
    except WireError:
        return
