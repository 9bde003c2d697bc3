"""
Rotating identity (anonymous mode): an account that registers under another key every day.

Contacts of a rotating identity hold its root key, and the secret of one period with the number of that period. They
receive both in the messenger's encrypted contact update. Servers see the keys of periods only (docs/anonymous-mode.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hushbell.crypto import key_diversification, secp256k1
from hushbell.errors import Undecodable
from hushbell.types import MILLIS_PER_DAY, KeyPair, Millis, PublicKey, Random

PERIOD = MILLIS_PER_DAY
OVERLAP = 7_200_000  # milliseconds around a change of period in which both keys are registered, for clocks that differ
MAX_PERIODS = 4_000  # from an invitation to the period it is used in: eleven years
_VERSION = 1
_BYTES = 1 + 33 + 8 + key_diversification.SECRET_BYTES


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a contact needs to notify a rotating identity, in this period and all later ones."""

    root: PublicKey = field(repr=False)
    period: int
    secret: bytes = field(repr=False)  # 32 bytes, of that period


@dataclass(frozen=True, slots=True)
class RotatingIdentity:
    """The root's key pair, and the secret of the oldest period that is still needed."""

    root: KeyPair = field(repr=False)
    period: int
    secret: bytes = field(repr=False)  # 32 bytes, of that period


def period_at(now: Millis) -> int:
    """Return the number of a period: days since 1970 in UTC."""
    return now // PERIOD


def create(now: Millis, random: Random) -> RotatingIdentity:
    """Draw a rotating identity that begins now."""
    return RotatingIdentity(secp256k1.key_pair(random), period_at(now), random(key_diversification.SECRET_BYTES))


def invite(identity: RotatingIdentity) -> Invitation:
    """Return the invitation for contacts. Earlier periods than the identity's own cannot be derived from it."""
    return Invitation(identity.root.public, identity.period, identity.secret)


def encode(invitation: Invitation) -> bytes:
    """Return an invitation as 74 bytes: version 1, compressed root, period (8, big-endian), secret (32)."""
    return bytes((_VERSION,)) + secp256k1.compress(invitation.root) + invitation.period.to_bytes(8) + invitation.secret


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


def address(invitation: Invitation, now: Millis) -> PublicKey:
    """
    Return the public key of the current period.

    Raises:
        ValueError: the invitation begins in a later period, or more than MAX_PERIODS ago.
    """
    return key_diversification.period_address(
        invitation.root, _secret(invitation.secret, invitation.period, period_at(now))
    )


def key(identity: RotatingIdentity, period: int) -> KeyPair:
    """
    Return the key pair of a period.

    Raises:
        ValueError: before the identity's own period, or more than MAX_PERIODS after it.
    """
    return key_diversification.period_key(identity.root, _secret(identity.secret, identity.period, period))


def periods_to_serve(identity: RotatingIdentity, now: Millis) -> Sequence[int]:
    """Return the periods whose keys must be registered: today's, and its neighbour within OVERLAP of the change."""
    today, into = divmod(now, PERIOD)
    periods = [today]
    if into < OVERLAP and today > identity.period:
        periods.insert(0, today - 1)
    if into >= PERIOD - OVERLAP:
        periods.append(today + 1)
    return [period for period in periods if period >= identity.period]


def next_change(now: Millis) -> Millis:
    """Return when the result of ``periods_to_serve`` next changes."""
    start = now - now % PERIOD
    return Millis(next(at for at in (start + OVERLAP, start + PERIOD - OVERLAP, start + PERIOD) if at > now))


def forward(identity: RotatingIdentity, now: Millis) -> RotatingIdentity:
    """Forget the secrets of past periods, so that a seized device does not contain them."""
    oldest = periods_to_serve(identity, now)[0] if period_at(now) >= identity.period else identity.period
    return replace(identity, period=oldest, secret=_secret(identity.secret, identity.period, oldest))


def _secret(secret: bytes, period: int, wanted: int) -> bytes:
    if not 0 <= wanted - period <= MAX_PERIODS:
        raise ValueError("this secret does not reach that period")
    for _ in range(wanted - period):
        secret = key_diversification.next_secret(secret)
    return secret
