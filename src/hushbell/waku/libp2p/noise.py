"""
Noise_XX_25519_ChaChaPoly_SHA256: the handshake, and the records after it. No I/O; keys are arguments.

Source: noiseprotocol.org revision 34. Checked against the published vectors of cacophony and snow (tests/vectors).
"""

import hashlib
import hmac
from collections.abc import Callable
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from hushbell.errors import Unauthentic, Undecodable

MAX_MESSAGE = 65535
TAG = 16
MAX_PLAIN = MAX_MESSAGE - TAG  # 65,519 bytes in one record

_NAME = b"Noise_XX_25519_ChaChaPoly_SHA256"
_KEY = 32
_NONCE = Struct("<4xQ").pack
_LENGTH = Struct(">H").pack
# Numbers of 64 bits; at a million records a second they last half a million years.

# What each message of the pattern XX carries, seen from the sender.
_PATTERN = (("e",), ("e", "ee", "s", "es"), ("s", "se"))


class NoiseHandshake:
    """
    One side of the handshake: three messages, alternately written and read, the initiator's first.

    After the third, ``split`` gives the two directions' ciphers.
    """

    def __init__(self, *, initiator: bool, static: X25519PrivateKey, ephemeral: bytes, prologue: bytes = b"") -> None:
        """
        Begin.

        Args:
            initiator: whether this side writes first.
            static: this side's own key, which may serve many handshakes.
            ephemeral: another X25519 private key, 32 bytes, random and used for this handshake only.
            prologue: bytes that both sides know.
        """
        self._initiator = initiator
        self._static = static
        self._ephemeral = X25519PrivateKey.from_private_bytes(ephemeral)
        self._remote_ephemeral: X25519PublicKey | None = None
        self._remote_static: X25519PublicKey | None = None
        self._turn = 0
        self._hash = self._chain = _NAME  # exactly 32 bytes, so it is not hashed first
        self._cipher: ChaCha20Poly1305 | None = None
        self._nonce = 0
        self._mix_hash(prologue)

    @property
    def static_key(self) -> bytes:
        """This side's static public key, 32 bytes: what the identity signs."""
        return self._static.public_key().public_bytes_raw()

    @property
    def remote_static_key(self) -> bytes:
        """The other side's static public key, 32 bytes, once its message was read."""
        if self._remote_static is None:
            raise ValueError("the other side's key has not come yet")
        return self._remote_static.public_bytes_raw()

    @property
    def hash(self) -> bytes:
        """The hash of the handshake so far, 32 bytes."""
        return self._hash

    @property
    def finished(self) -> bool:
        """Whether all three messages were exchanged."""
        return self._turn == len(_PATTERN)

    def write(self, payload: bytes) -> bytes:
        """Return this side's next message with the payload, encrypted as far as the pattern allows."""
        if self.finished or (self._turn % 2 == 0) != self._initiator:
            raise ValueError("it is not this side's turn")
        message = b""
        for token in _PATTERN[self._turn]:
            if token == "e":
                public = self._ephemeral.public_key().public_bytes_raw()
                self._mix_hash(public)
                message += public
            elif token == "s":
                message += self._encrypt(self.static_key)
            else:
                self._agree(token)
        self._turn += 1
        return message + self._encrypt(payload)

    def read(self, message: bytes) -> bytes:
        """
        Read the other side's next message and return its payload.

        Raises:
            Unauthentic: it does not decrypt, or carries a key of low order.
            Undecodable: it is too short.
        """
        if self.finished or (self._turn % 2 == 0) == self._initiator:
            raise ValueError("it is not the other side's turn")
        for token in _PATTERN[self._turn]:
            if token == "e":
                public, message = _cut(message, _KEY)
                self._mix_hash(public)
                self._remote_ephemeral = X25519PublicKey.from_public_bytes(public)
            elif token == "s":
                sealed, message = _cut(message, _KEY + TAG)
                self._remote_static = X25519PublicKey.from_public_bytes(self._decrypt(sealed))
            else:
                self._agree(token)
        self._turn += 1
        return self._decrypt(message)

    def split(self) -> tuple["Sealer", "Opener"]:
        """Return the cipher of this side's records and that of the other side's."""
        if not self.finished:
            raise ValueError("the handshake is not finished")
        first, second = _expand(self._chain, b"")
        if self._initiator:
            return Sealer(first), Opener(second)
        return Sealer(second), Opener(first)

    def _agree(self, token: str) -> None:
        # "es" is the initiator's ephemeral key with the responder's static one; "se" the other way round.
        own_is_static = (token == "se") == self._initiator and token != "ee"
        own = self._static if own_is_static else self._ephemeral
        remote = self._remote_ephemeral if own_is_static or token == "ee" else self._remote_static
        if remote is None:
            raise ValueError("the other side's key has not come yet")
        try:
            shared = own.exchange(remote)
        except ValueError:
            raise Unauthentic("the peer's key is of low order") from None
        self._chain, key = _expand(self._chain, shared)
        self._cipher, self._nonce = ChaCha20Poly1305(key), 0

    def _mix_hash(self, data: bytes) -> None:
        self._hash = hashlib.sha256(self._hash + data).digest()

    def _encrypt(self, plain: bytes) -> bytes:
        sealed = plain
        if self._cipher is not None:
            sealed = self._cipher.encrypt(_NONCE(self._nonce), plain, self._hash)
            self._nonce += 1
        self._mix_hash(sealed)
        return sealed

    def _decrypt(self, sealed: bytes) -> bytes:
        plain = sealed
        if self._cipher is not None:
            try:
                plain = self._cipher.decrypt(_NONCE(self._nonce), sealed, self._hash)
            except InvalidTag:
                raise Unauthentic("a handshake message does not decrypt") from None
            self._nonce += 1
        self._mix_hash(sealed)
        return plain


class Sealer:
    """The outbound direction: encrypts plain bytes to records."""

    __slots__ = ("_encrypt", "_nonce")

    def __init__(self, key: bytes) -> None:
        self._encrypt: Callable[[bytes, bytes | memoryview, None], bytes] = ChaCha20Poly1305(key).encrypt
        self._nonce = 0

    def seal(self, data: bytes) -> bytes:
        """Return the bytes as a run of records, each 2 bytes of length and up to 65,535 of ciphertext."""
        nonce = self._nonce
        if len(data) <= MAX_PLAIN:
            self._nonce = nonce + 1
            return _LENGTH(len(data) + TAG) + self._encrypt(_NONCE(nonce), data, None)
        parts = []
        view = memoryview(data)
        for start in range(0, len(data), MAX_PLAIN):
            sealed = self._encrypt(_NONCE(nonce), view[start : start + MAX_PLAIN], None)
            nonce += 1
            parts.append(_LENGTH(len(sealed)))
            parts.append(sealed)
        self._nonce = nonce
        return b"".join(parts)


class Opener:
    """The inbound direction: decrypts records, which arrive in any chunks."""

    __slots__ = ("_decrypt", "_nonce", "_rest")

    def __init__(self, key: bytes) -> None:
        self._decrypt: Callable[[bytes, bytes | memoryview, None], bytes] = ChaCha20Poly1305(key).decrypt
        self._nonce = 0
        self._rest = b""

    def open(self, data: bytes | memoryview) -> list[bytes]:
        """
        Return the plain bytes of each record that is complete now. An incomplete one is kept.

        Raises:
            Unauthentic: a record does not decrypt.
        """
        if self._rest:
            data = b"".join((self._rest, data))
        end, place, nonce = len(data), 0, self._nonce
        opened = []
        view = memoryview(data)
        try:
            while end - place >= 2:
                after = place + 2 + (data[place] << 8 | data[place + 1])
                if after > end:
                    break
                opened.append(self._decrypt(_NONCE(nonce), view[place + 2 : after], None))
                nonce += 1
                place = after
        except (InvalidTag, ValueError):
            raise Unauthentic("a record does not decrypt") from None
        self._nonce = nonce
        self._rest = bytes(view[place:]) if place < end else b""
        return opened


def _expand(chain: bytes, material: bytes) -> tuple[bytes, bytes]:
    """Noise's HKDF with two outputs."""
    secret = hmac.digest(chain, material, "sha256")
    first = hmac.digest(secret, b"\x01", "sha256")
    return first, hmac.digest(secret, first + b"\x02", "sha256")


def _cut(message: bytes, size: int) -> tuple[bytes, bytes]:
    if len(message) < size:
        raise Undecodable("a handshake message is too short")
    return message[:size], message[size:]
