"""Nodes found in the domain name system: signed records in a signed tree, and what spoils either."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.crypto import secp256k1
from hushbell.crypto.hashes import keccak256
from hushbell.errors import TransportError, Unauthentic, WireError
from hushbell.types import KeyPair
from hushbell.waku.discovery import enr
from hushbell.waku.discovery.dns_discovery import MAX_LOOKUPS, MAX_NODES, DnsDiscovery, TreeUrl
from hushbell.waku.libp2p.keys import secp256k1_identity
from hushbell.waku.libp2p.multiaddr import Multiaddr

# The record of EIP-778, and the tree of EIP-1459 with the key that signed it.
EXAMPLE = (
    "enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZuOh8R33Ls8RRcy5wBgmlkgnY0gmlw"
    "hH8AAAGJc2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN1ZHCCdl8"
)
KEY = "AKPYQIUQIL7PSIACI32J7FGZW56E5FKHEFCCOFHILBIMW3M6LWXS2"
TREE = {
    "n": "enrtree-root:v1 e=JWXYDBPXYWG6FX3GMDIBFA6CJ4 l=C7HRFPF3BLGF3YR4DY5KX3SMBE seq=1 sig=o908WmNp7LibOfPsr4btQwat"
    "ZJ5URBr2ZAuxvK4UWHlsB9sUOTJQaGAlLPVAhM__XJesCHxLISo94z5Z2a463gA",
    "C7HRFPF3BLGF3YR4DY5KX3SMBE.n": "enrtree://AM5FCQLWIZX2QFPNJAP7VUERCCRNGRHWZG3YYHIUV7BVDQ5FDPRT2@morenodes.example"
    ".org",
    "JWXYDBPXYWG6FX3GMDIBFA6CJ4.n": "enrtree-branch:2XS2367YHAXJFGLZHVAWLQD4ZY,H4FHT4B454P6UXFD7JCYQ5PWDY,MHTDO6TMUBRI"
    "A2XWG5LUDACK24",
    "2XS2367YHAXJFGLZHVAWLQD4ZY.n": "enr:-HW4QOFzoVLaFJnNhbgMoDXPnOvcdVuj7pDpqRvh6BRDO68aVi5ZcjB3vzQRZH2IcLBGHzo8uUN3s"
    "nqmgTiE56CH3AMBgmlkgnY0iXNlY3AyNTZrMaECC2_24YYkYHEgdzxlSNKQEnHhuNAbNlMlWJxrJxbAFvA",
    "H4FHT4B454P6UXFD7JCYQ5PWDY.n": "enr:-HW4QAggRauloj2SDLtIHN1XBkvhFZ1vtf1raYQp9TBW2RD5EEawDzbtSmlXUfnaHcvwOizhVYLtr"
    "7e6vw7NAf6mTuoCgmlkgnY0iXNlY3AyNTZrMaECjrXI8TLNXU0f8cthpAMxEshUyQlK-AM0PW2wfrnacNI",
    "MHTDO6TMUBRIA2XWG5LUDACK24.n": "enr:-HW4QLAYqmrwllBEnzWWs7I5Ev2IAs7x_dZlbYdRdMUx5EyKHDXp7AV5CkuPGUPdvbv1_Ms1CPfhc"
    "GCvSElSosZmyoqAgmlkgnY0iXNlY3AyNTZrMaECriawHKWdDRk2xeZkrOXBQ0dfMFLHY4eENZwdufn1S1o",
}
Lists = Callable[[dict[str, str]], DnsDiscovery]


def key(number: int) -> KeyPair:
    return secp256k1.key_pair_from(number.to_bytes(32))


def rlp(*items: bytes) -> bytes:
    body = b"".join(item if len(item) == 1 and item[0] < 0x80 else _head(0x80, item) + item for item in items)
    return _head(0xC0, body) + body


def _head(base: int, content: bytes) -> bytes:
    if len(content) <= 55:
        return bytes((base + len(content),))
    size = len(content).to_bytes(2).lstrip(b"\0")
    return bytes((base + 55 + len(size),)) + size


def record(owner: KeyPair, signer: KeyPair | None = None, **pairs: bytes) -> bytes:
    pairs = {"id": b"v4", "secp256k1": secp256k1.compress(owner.public)} | pairs
    content = [b"\x01", *(part for name in sorted(pairs) for part in (name.encode(), pairs[name]))]
    signature = secp256k1.sign(keccak256(rlp(*content)), (signer or owner).private)[:64]
    return rlp(signature, *content)


def text(data: bytes) -> str:
    return "enr:" + base64.urlsafe_b64encode(data).decode().rstrip("=")


def plant(owner: KeyPair, domain: str, leaves: Sequence[str], links: Sequence[str] = ()) -> dict[str, str]:
    """Return a signed tree as TXT records by name."""
    names: dict[str, str] = {}

    def put(content: str) -> str:
        label = base64.b32encode(keccak256(content.encode())[:16]).decode().rstrip("=")
        names[f"{label}.{domain}"] = content
        return label

    nodes = put("enrtree-branch:" + ",".join(map(put, leaves)))
    linked = put("enrtree-branch:" + ",".join(map(put, links)))
    root = f"enrtree-root:v1 e={nodes} l={linked} seq=1"
    signature = secp256k1.sign(keccak256(root.encode()), owner.private)
    names[domain] = f"{root} sig={base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    return names


def named(owner: KeyPair, domain: str) -> str:
    return f"enrtree://{base64.b32encode(secp256k1.compress(owner.public)).decode().rstrip('=')}@{domain}"


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def lists(asked: list[str]) -> Lists:
    def build(names: dict[str, str]) -> DnsDiscovery:
        async def lookup(name: str) -> Sequence[str]:
            asked.append(name)
            if name not in names:
                raise TransportError("no such name")
            return ["v=spf1 -all", names[name]]

        return DnsDiscovery(lookup, bytes)

    return build


def test_the_record_of_the_specification_is_read() -> None:
    found = enr.read_text(EXAMPLE)

    assert found.addresses == ()  # it names UDP alone
    assert found.peer.endswith(bytes.fromhex("03ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd3138"))


def test_a_record_gives_addresses_with_the_peers_name_and_shards() -> None:
    wss = Multiaddr.parse("/dns4/node.example.org/tcp/443/wss").encode()
    strange = b"\x04\x7f\x00\x00\x01\x91\x02\x27\x10"  # UDP
    several = b"".join(len(one).to_bytes(2) + one for one in (strange, wss))
    peer = secp256k1_identity(key(5).private).peer_id

    found = enr.read(
        record(
            key(5), ip=bytes((192, 0, 2, 1)), tcp=(30303).to_bytes(2), multiaddrs=several, rs=b"\0\x10\x02\0\x20\0\x40"
        )
    )

    assert [address.without_peer() for address in found.addresses] == [
        Multiaddr.parse("/dns4/node.example.org/tcp/443/wss"),
        Multiaddr.parse("/ip4/192.0.2.1/tcp/30303"),
    ]
    assert {address.peer for address in found.addresses} == {peer} == {found.peer}
    assert found.relays(16, frozenset({32}))
    assert not found.relays(16, frozenset({1}))
    assert not found.relays(1, frozenset({32}))


def test_shards_may_come_as_bits() -> None:
    bits = bytearray(128)
    bits[32 // 8] |= 1 << 32 % 8

    found = enr.read(record(key(5), rsv=b"\0\x10" + bytes(bits)))

    assert (found.cluster, found.shards) == (16, frozenset({32}))


def test_a_record_that_somebody_else_signed_is_refused() -> None:
    with pytest.raises(Unauthentic):
        enr.read(record(key(5), signer=key(6)))


def test_an_address_of_another_peer_in_a_record_is_left_out() -> None:
    other = secp256k1_identity(key(6).private).peer_id
    address = Multiaddr.parse("/ip4/192.0.2.1/tcp/1").with_peer(other).encode()

    assert enr.read(record(key(5), multiaddrs=len(address).to_bytes(2) + address)).addresses == ()


@given(st.binary(max_size=400))
def test_whatever_comes_a_record_or_an_error_of_ours_comes_out(data: bytes) -> None:
    for hostile in (data, rlp(data[:64], data[64:]), b"\xf8" + data):
        with pytest.raises(WireError):
            enr.read(hostile)


async def test_the_tree_of_the_specification_is_read(lists: Lists) -> None:
    found = await lists(TREE).read(TreeUrl.parse(f"enrtree://{KEY}@n"))

    assert len(found) == 3


async def test_a_list_of_another_key_is_refused(lists: Lists) -> None:
    with pytest.raises(Unauthentic):
        await lists(TREE).read(TreeUrl.parse(named(key(1), "n")))


async def test_a_list_that_is_not_there_is_a_transport_error(lists: Lists) -> None:
    with pytest.raises(TransportError):
        await lists({}).read(TreeUrl.parse(f"enrtree://{KEY}@n"))


async def test_what_is_not_what_its_name_says_is_left_out(lists: Lists) -> None:
    names = plant(key(1), "n", [text(record(key(number))) for number in (5, 6, 7)])
    spoiled = next(name for name, content in names.items() if content.startswith("enr:"))
    names[spoiled] = text(record(key(666)))

    assert len(await lists(names).read(TreeUrl.parse(named(key(1), "n")))) == 2


async def test_lists_that_a_list_names_are_followed_and_circles_end(lists: Lists, asked: list[str]) -> None:
    names = plant(key(1), "a", [text(record(key(5)))], [named(key(2), "b")])
    names |= plant(key(2), "b", [text(record(key(6)))], [named(key(1), "a"), named(key(3), "gone")])

    found = await lists(names).read(TreeUrl.parse(named(key(1), "a")))

    assert len(found) == 2
    assert asked.count("a") == 1


async def test_a_tree_without_end_is_left(lists: Lists, asked: list[str]) -> None:
    names = plant(key(1), "n", [])
    reader = lists(names)
    reader._checked_record = _grow(asked)  # type: ignore[method-assign]

    assert await reader.read(TreeUrl.parse(named(key(1), "n"))) == []
    assert len(asked) <= MAX_LOOKUPS + 2


def _grow(asked: list[str]) -> Any:
    async def hashed(domain: str, label: str) -> str:
        asked.append(label)
        return f"enrtree-branch:{label},{label}"

    return hashed


async def test_enough_is_enough(lists: Lists) -> None:
    leaves = [text(record(key(number))) for number in range(1, 61)]
    names = plant(key(1), "a", leaves, [named(key(2), "b")])
    names |= plant(key(2), "b", [text(record(key(number))) for number in range(61, 121)])

    assert len(await lists(names).read(TreeUrl.parse(named(key(1), "a")))) == MAX_NODES


@pytest.mark.parametrize(
    "wrong", ["", "enrtree://", f"enrtree://{KEY}", "enrtree://AAAA@n", f"{KEY}@n", "enrtree://ß@n"]
)
def test_a_name_of_a_list_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(WireError):
        TreeUrl.parse(wrong)
