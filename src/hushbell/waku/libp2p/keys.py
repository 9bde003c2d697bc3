"""
Identity keys of peers, their protobuf, and the peer id made from it.

Source: github.com/libp2p/specs, peer-ids/peer-ids.md. secp256k1 and Ed25519 are the keys that Waku nodes have; RSA and
ECDSA P-256 are refused by name.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import coincurve
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hushbell.crypto import secp256k1
from hushbell.errors import TooLarge, Unauthentic, Undecodable, WireError
from hushbell.types import PrivateKey, Random
from hushbell.waku.libp2p import protobuf, varint
from hushbell.waku.libp2p.stream import PeerId

RSA, ED25519, SECP256K1, ECDSA = range(4)
_NAMES = {RSA: "RSA", ECDSA: "ECDSA"}
_MAX_PUBLIC_KEY = 128  # bytes of the protobuf; an RSA key would be longer, and is refused anyway
_MAX_INLINE = 42  # a protobuf up to this long is its own multihash
_IDENTITY, _SHA2_256 = 0x00, 0x12
_CID_V1, _LIBP2P_KEY = 1, 0x72
_MAX_SIGNATURE = 80

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {character: value for value, character in enumerate(_ALPHABET)}
_MAX_TEXT = 128


@dataclass(frozen=True, slots=True)
class Identity:
    """A node's own key, which gives its peer id and signs its handshakes."""

    peer_id: PeerId
    public_key: bytes
    """The public key as libp2p's protobuf, 36 or 37 bytes."""
    sign: Callable[[bytes], bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class IdentityKey:
    """A peer's public key, checked to be one."""

    kind: int
    data: bytes
    """33 bytes of a compressed secp256k1 key or 32 of an Ed25519 key."""

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return whether this key signed the message. A secp256k1 signature is DER over SHA-256, an Ed25519 one raw."""
        if len(signature) > _MAX_SIGNATURE:
            return False
        try:
            if self.kind == SECP256K1:
                return coincurve.PublicKey(self.data).verify(signature, message)
            Ed25519PublicKey.from_public_bytes(self.data).verify(signature, message)
        except (ValueError, InvalidSignature):
            return False
        return True


def secp256k1_identity(private: PrivateKey) -> Identity:
    """
    Return the identity of a secp256k1 key, 32 bytes.

    Raises:
        ValueError: not a private key.
    """
    pair = secp256k1.key_pair_from(private)
    public = _encode(SECP256K1, secp256k1.compress(pair.public))
    key = coincurve.PrivateKey(private)
    return Identity(peer_id_of(public), public, key.sign)


def ed25519_identity(private: bytes) -> Identity:
    """
    Return the identity of an Ed25519 seed, 32 bytes.

    Raises:
        ValueError: not 32 bytes.
    """
    key = Ed25519PrivateKey.from_private_bytes(private)
    public = _encode(ED25519, key.public_key().public_bytes_raw())
    return Identity(peer_id_of(public), public, key.sign)


def new_identity(random: Random) -> Identity:
    """Draw a fresh secp256k1 identity."""
    return secp256k1_identity(secp256k1.key_pair(random).private)


def read_public_key(data: bytes) -> IdentityKey:
    """
    Return the key in a peer's protobuf.

    Raises:
        TooLarge: longer than any supported key.
        Undecodable: not the protobuf of a public key.
        Unauthentic: a kind of key that is not supported, or no key of its kind.
    """
    kind: int | bytes = -1
    key: int | bytes = b""
    for number, value in protobuf.read(data, max_fields=4):
        if number == 1:
            kind = value
        elif number == 2:
            key = value
    if not isinstance(kind, int) or not isinstance(key, bytes):
        raise Undecodable("a public key has the wrong fields")
    if kind not in {ED25519, SECP256K1}:
        raise Unauthentic(f"{_NAMES.get(kind, 'unknown')} identity keys are not supported")
    if len(data) > _MAX_PUBLIC_KEY:
        raise TooLarge("a public key is too long")
    if kind == SECP256K1:
        return IdentityKey(kind, secp256k1.compress(secp256k1.parse_public_key(key)))
    if len(key) != 32:
        raise Unauthentic("an Ed25519 key is 32 bytes")
    return IdentityKey(kind, key)


def peer_id_of(public_key: bytes) -> PeerId:
    """Return the id of the peer with this public key, given as libp2p's protobuf."""
    if len(public_key) <= _MAX_INLINE:
        return PeerId(bytes((_IDENTITY, len(public_key))) + public_key)
    return PeerId(bytes((_SHA2_256, 32)) + hashlib.sha256(public_key).digest())


def read_peer_id(data: bytes) -> PeerId:
    """
    Return the bytes as a peer id.

    Raises:
        Undecodable: not the multihash of an identity key.
    """
    if len(data) < 2 or data[1] != len(data) - 2:
        raise Undecodable("a peer id is not a multihash")
    if not (data[0] == _SHA2_256 and data[1] == 32) and not (data[0] == _IDENTITY and 0 < data[1] <= _MAX_INLINE):
        raise Undecodable("a peer id has an unknown hash")
    return PeerId(bytes(data))


def peer_id_text(peer: PeerId) -> str:
    """Return the id in base58, the usual text form (``16Uiu2…``, ``12D3Koo…``)."""
    number = int.from_bytes(peer, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(peer) - len(peer.lstrip(b"\0"))) + text


def parse_peer_id(text: str) -> PeerId:
    """
    Return the id that a text names: base58, or a CIDv1 in base32 (``bafz…``).

    Raises:
        Undecodable: neither.
    """
    if not 0 < len(text) <= _MAX_TEXT:
        raise Undecodable("a peer id is empty or too long")
    if text[0] == "b":
        return read_peer_id(_multihash_of_cid(text[1:]))
    number = 0
    for character in text:
        digit = _DIGITS.get(character)
        if digit is None:
            raise Undecodable("a peer id is not base58")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return read_peer_id(bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _multihash_of_cid(text: str) -> bytes:
    try:
        data = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
        version = varint.decode(data)
        codec = varint.decode(data, version[1]) if version else None
    except (ValueError, WireError):
        raise Undecodable("a peer id is not a CID") from None
    if version is None or codec is None or version[0] != _CID_V1 or codec[0] != _LIBP2P_KEY:
        raise Undecodable("a peer id is not the CID of a libp2p key")
    return data[codec[1] :]


def _encode(kind: int, key: bytes) -> bytes:
    return protobuf.put(1, kind) + protobuf.put(2, key)
