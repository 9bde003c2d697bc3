"""
Noise in libp2p: each message behind two bytes of length, with a proof of identity in the second and third.

Source: github.com/libp2p/specs, noise/README.md. If the second message names the
dialler's first muxer, the third names it too, and both skip the negotiation of the muxer. Our listener names none:
js-libp2p would choose from such a list in the listener's order, go-libp2p in the dialler's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hushbell.errors import TooLarge, Unauthentic, Undecodable
from hushbell.types import Random
from hushbell.waku.libp2p import keys, protobuf
from hushbell.waku.libp2p.noise import NoiseHandshake, Opener, Sealer
from hushbell.waku.libp2p.stream import PeerId

PROTOCOL = "/noise"
MAX_MESSAGE = 4096  # bytes of a handshake message; they usually have 250
_MAX_FIELDS = 64
_MAX_MUXERS = 16
_PREFIX = b"noise-libp2p-static-key:"


@dataclass(frozen=True, slots=True)
class Proof:
    """The identity that the other side proved, and the muxers that it named."""

    peer: PeerId
    muxers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Credentials:
    """A node's Noise key, signed by its identity: made once, used in every handshake."""

    peer_id: PeerId
    static: X25519PrivateKey = field(repr=False)
    payload: bytes = field(repr=False)


def credentials(identity: keys.Identity, random: Random) -> Credentials:
    """Draw a Noise key and sign it."""
    static = X25519PrivateKey.from_private_bytes(random(32))
    signature = identity.sign(_PREFIX + static.public_key().public_bytes_raw())
    return Credentials(identity.peer_id, static, protobuf.put(1, identity.public_key) + protobuf.put(2, signature))


class SecurityHandshake:
    """
    The handshake over a plain connection. Bytes arrive in any chunks; ``done`` after the last message.

    Afterwards ``proof`` names the peer, ``sealer`` and ``opener`` carry the records and ``muxer`` is set if it was
    agreed in the handshake. Bytes that came behind the handshake are in ``rest``.
    """

    def __init__(
        self,
        own: Credentials,
        *,
        initiator: bool,
        muxers: Sequence[str],
        random: Random,
        expected: PeerId | None,
    ) -> None:
        """
        Begin.

        Args:
            own: this side's signed key.
            initiator: whether this side dialled.
            muxers: this side's muxers, in the order of preference.
            random: for the handshake's own key.
            expected: the peer that the dialled address names; another one is refused before it learns our identity.
        """
        self._own = own
        self._initiator = initiator
        self._noise = NoiseHandshake(initiator=initiator, static=own.static, ephemeral=random(32))
        self._muxers = tuple(muxers)
        self._expected = expected
        self.rest = b""
        self.proof: Proof | None = None
        self.muxer: str | None = None
        self.sealer: Sealer | None = None
        self.opener: Opener | None = None

    @property
    def done(self) -> bool:
        """Whether the handshake is over."""
        return self.sealer is not None

    def start(self) -> bytes:
        """Return the dialler's first message."""
        return _message(self._noise.write(b"")) if self._initiator else b""

    def receive(self, data: bytes) -> bytes:
        """
        Process some bytes and return the answer.

        Raises:
            Unauthentic: the peer does not prove its identity, or is not the expected one.
            TooLarge, Undecodable: not a handshake.
        """
        self.rest += data
        answer = b""
        while not self.done and len(self.rest) >= 2:
            size = int.from_bytes(self.rest[:2], "big")
            if size > MAX_MESSAGE:
                raise TooLarge("a handshake message is too long")
            if len(self.rest) < 2 + size:
                break
            message, self.rest = self.rest[2 : 2 + size], self.rest[2 + size :]
            answer += self._read_message(message)
        return answer

    def _read_message(self, message: bytes) -> bytes:
        payload = self._noise.read(message)
        if not self._initiator and self.proof is None and not self._noise.finished:
            return _message(self._noise.write(self._payload(())))
        self.proof = self._proved(payload)
        answer = b""
        if self._initiator:
            self.muxer = self._muxers[0] if self._muxers[0] in self.proof.muxers else None
            answer = _message(self._noise.write(self._payload((self.muxer,) if self.muxer else ())))
        self.sealer, self.opener = self._noise.split()
        return answer

    def _payload(self, muxers: tuple[str, ...]) -> bytes:
        payload = self._own.payload
        if muxers:
            payload += protobuf.put(4, b"".join(protobuf.put(2, muxer.encode()) for muxer in muxers))
        return payload

    def _proved(self, payload: bytes) -> Proof:
        found: dict[int, int | bytes] = dict(protobuf.read(payload, _MAX_FIELDS))
        public, signature, extensions = (found.get(number, b"") for number in (1, 2, 4))
        if not isinstance(public, bytes) or not isinstance(signature, bytes) or not isinstance(extensions, bytes):
            raise Undecodable("a handshake payload has the wrong fields")
        key = keys.read_public_key(public)
        if not key.verify(_PREFIX + self._noise.remote_static_key, signature):
            raise Unauthentic("the peer's identity did not sign its handshake")
        # The id is made of the bytes as sent, as other implementations do.
        peer = keys.peer_id_of(public)
        if self._expected is not None and peer != self._expected:
            raise Unauthentic("another peer than the address names")
        if peer == self._own.peer_id:
            raise Unauthentic("the peer has our own identity")
        return Proof(peer, _muxers(extensions))


def _muxers(extensions: bytes) -> tuple[str, ...]:
    named = [value for number, value in protobuf.read(extensions, _MAX_FIELDS) if number == 2]
    return tuple(value.decode("utf-8", "replace") for value in named[:_MAX_MUXERS] if isinstance(value, bytes))


def _message(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data
