"""
Anonymous mode: being rung under a key that is not the chat key, and that is another one every day.

A persona is what some contacts know: a root key, a secret and the epoch it belongs to. They get it inside the encrypted
contact update of the messenger; servers only ever see the keys of epochs (docs/anonymous-mode.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hushbell.crypto import key_diversification, secp256k1
from hushbell.errors import Undecodable
from hushbell.types import MILLIS_PER_DAY, KeyPair, Millis, PublicKey, Random

EPOCH = MILLIS_PER_DAY
OVERLAP = 7_200_000  # milliseconds around a change of epoch in which both keys ring: clocks differ, messages travel
FARTHEST = 4_000  # epochs that an invitation can be carried forward; eleven years
_VERSION = 1
_BYTES = 1 + 33 + 8 + key_diversification.SECRET_BYTES


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a contact needs to ring a persona, in this epoch and all later ones."""

    root: PublicKey = field(repr=False)
    epoch: int
    secret: bytes = field(repr=False)  # 32 bytes, of that epoch


@dataclass(frozen=True, slots=True)
class RotatingIdentity:
    """A persona of ours: what its contacts have, and the root's private key."""

    root: KeyPair = field(repr=False)
    epoch: int
    secret: bytes = field(repr=False)  # 32 bytes, of that epoch


def epoch_at(now: Millis) -> int:
    """Return the number of the epoch: days since 1970 in UTC."""
    return now // EPOCH


def create(now: Millis, random: Random) -> RotatingIdentity:
    """Draw a persona that begins now."""
    return RotatingIdentity(secp256k1.key_pair(random), epoch_at(now), random(key_diversification.SECRET_BYTES))


def invitation(persona: RotatingIdentity) -> Invitation:
    """Return what to give to contacts. It says nothing about epochs before the persona's own."""
    return Invitation(persona.root.public, persona.epoch, persona.secret)


def encode(invited: Invitation) -> bytes:
    """Return an invitation as 74 bytes: version 1, compressed root, epoch (8, big-endian), secret (32)."""
    return bytes((_VERSION,)) + secp256k1.compress(invited.root) + invited.epoch.to_bytes(8) + invited.secret


def decode(data: bytes) -> Invitation:
    """
    Return the invitation in 74 bytes.

    Raises:
        Undecodable: another length or version.
        Unauthentic: the root is no point of the curve.
    """
    if len(data) != _BYTES or data[0] != _VERSION:
        raise Undecodable("not an invitation of version 1")
    return Invitation(secp256k1.parse_public_key(data[1:34]), int.from_bytes(data[34:42]), data[42:])


def address(invited: Invitation, now: Millis) -> PublicKey:
    """
    Return the key to ring now.

    Raises:
        ValueError: the invitation begins in a later epoch, or is too old to be carried forward.
    """
    return key_diversification.epoch_address(invited.root, _secret(invited.secret, invited.epoch, epoch_at(now)))


def key(persona: RotatingIdentity, epoch: int) -> KeyPair:
    """
    Return the key of an epoch.

    Raises:
        ValueError: before the persona's own epoch, or too far ahead.
    """
    return key_diversification.epoch_key(persona.root, _secret(persona.secret, persona.epoch, epoch))


def epochs_to_serve(persona: RotatingIdentity, now: Millis) -> Sequence[int]:
    """Return the epochs whose keys must ring now: today's, and its neighbour while the change is near."""
    today, into = divmod(now, EPOCH)
    epochs = [today]
    if into < OVERLAP and today > persona.epoch:
        epochs.insert(0, today - 1)
    if into >= EPOCH - OVERLAP:
        epochs.append(today + 1)
    return [epoch for epoch in epochs if epoch >= persona.epoch]


def next_change(now: Millis) -> Millis:
    """Return when ``epochs_to_serve`` next says something else."""
    start = now - now % EPOCH
    return Millis(next(at for at in (start + OVERLAP, start + EPOCH - OVERLAP, start + EPOCH) if at > now))


def forward(persona: RotatingIdentity, now: Millis) -> RotatingIdentity:
    """Forget the secrets of epochs that are over, so that a device that is seized does not tell them."""
    oldest = epochs_to_serve(persona, now)[0] if epoch_at(now) >= persona.epoch else persona.epoch
    return replace(persona, epoch=oldest, secret=_secret(persona.secret, persona.epoch, oldest))


def _secret(secret: bytes, known: int, wanted: int) -> bytes:
    if not 0 <= wanted - known <= FARTHEST:
        raise ValueError("this secret does not reach that epoch")
    for _ in range(wanted - known):
        secret = key_diversification.next_secret(secret)
    return secret
