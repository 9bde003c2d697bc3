"""
From a fresh connection to an authenticated one with a muxer: multistream, Noise, multistream again. No I/O.

Source: github.com/libp2p/specs, connections/README.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hushbell.types import Random
from hushbell.waku.libp2p import multistream, security
from hushbell.waku.libp2p.noise import Opener, Sealer
from hushbell.waku.libp2p.stream import PeerId


@dataclass(frozen=True, slots=True)
class UpgradeResult:
    """The peer, the muxer and the ciphers of the connection, and the muxer's bytes that have arrived already."""

    peer: PeerId
    muxer: str
    sealer: Sealer = field(repr=False)
    opener: Opener = field(repr=False)
    rest: tuple[bytes, ...] = field(repr=False)


class Upgrade:
    """One side of the upgrade. Bytes arrive in any chunks; ``upgraded`` is set at the end."""

    def __init__(
        self,
        own: security.Credentials,
        *,
        initiator: bool,
        muxers: Sequence[str],
        random: Random,
        expected: PeerId | None,
    ) -> None:
        """Begin; arguments as :class:`hushbell.waku.libp2p.security.SecurityHandshake` takes them."""
        self._initiator = initiator
        self._muxers = muxers
        # Nothing is computed for a peer that only connects.
        self._begin: Callable[[], security.SecurityHandshake] = lambda: security.SecurityHandshake(
            own, initiator=initiator, muxers=muxers, random=random, expected=expected
        )
        self._security: security.SecurityHandshake | None = None
        self._agreement = self._negotiation([security.PROTOCOL])
        self._over_noise: multistream.ProtocolProposer | multistream.ProtocolResponder | None = None
        self.upgraded: UpgradeResult | None = None

    def start(self) -> bytes:
        """Return this side's first bytes."""
        return self._agreement.start() if isinstance(self._agreement, multistream.ProtocolProposer) else b""

    def receive(self, data: bytes) -> bytes:
        """
        Process some bytes and return the answer. After the end, further bytes go to the opener.

        Raises:
            Unauthentic: the peer does not prove its identity, or is not the expected one.
            TransportError: the two share no muxer, or not even Noise.
            TooLarge, Undecodable: not an upgrade.
        """
        answer = b""
        if not self._agreement.agreed:
            answer = self._agreement.receive(data)
            if self._agreement.chosen is None:
                return answer
            self._security = self._begin()
            answer += self._security.start()
            data, self._agreement.rest = self._agreement.rest, b""
        return answer + (self._secure(self._security, data) if self._security is not None else b"")

    def _secure(self, handshake: security.SecurityHandshake, data: bytes) -> bytes:
        answer = b""
        if not handshake.done:
            answer = handshake.receive(data)
            if handshake.sealer is None:
                return answer
            data, handshake.rest = handshake.rest, b""
            if handshake.muxer is None:
                self._over_noise = self._negotiation(self._muxers)
                if isinstance(self._over_noise, multistream.ProtocolProposer):
                    answer += handshake.sealer.seal(self._over_noise.start())
        return answer + self._agree_on_muxer(handshake, data)

    def _agree_on_muxer(self, handshake: security.SecurityHandshake, data: bytes) -> bytes:
        agreement = self._over_noise
        if handshake.sealer is None or handshake.opener is None or handshake.proof is None:
            raise ValueError("the handshake is not over")
        plain = handshake.opener.open(data) if data else []
        answer, chosen = b"", handshake.muxer
        if agreement is not None:
            answer = agreement.receive(b"".join(plain))
            chosen = agreement.chosen
            plain = [agreement.rest] if agreement.rest else []
        if chosen is not None:
            rest = tuple(plain)
            self.upgraded = UpgradeResult(handshake.proof.peer, chosen, handshake.sealer, handshake.opener, rest)
        return handshake.sealer.seal(answer) if answer else b""

    def _negotiation(self, protocols: Sequence[str]) -> multistream.ProtocolProposer | multistream.ProtocolResponder:
        if self._initiator:
            return multistream.ProtocolProposer(protocols)
        return multistream.ProtocolResponder(lambda protocol: protocol in protocols, lambda: protocols)
