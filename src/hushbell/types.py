"""
Types of identifiers, keys and times.

Each is a plain ``bytes``, ``str`` or ``int`` at run time; the name says the form. Lengths are checked where bytes come
from outside (``wire``, ``crypto``).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NewType

PrivateKey = NewType("PrivateKey", bytes)
"""secp256k1 scalar, 32 bytes, big-endian."""

PublicKey = NewType("PublicKey", bytes)
"""secp256k1 point, uncompressed: ``04 || X || Y``, 65 bytes. The form of keys inside the program."""

CompressedKey = NewType("CompressedKey", bytes)
"""secp256k1 point, compressed: ``02|03 || X``, 33 bytes."""

SymmetricKey = NewType("SymmetricKey", bytes)
"""AES-256 key, 32 bytes."""

Signature = NewType("Signature", bytes)
"""``R || S || V``, 65 bytes, V = 0..3 (reference/status-go.md 2.3)."""

Grant = NewType("Grant", bytes)
"""A :data:`Signature` with which a client authorises one server to notify it (reference/status-go.md 2.8)."""

KeyHash = NewType("KeyHash", bytes)
"""SHAKE-256 of a compressed key, 64 bytes: whom a registration or a query is about."""

Hash64 = NewType("Hash64", bytes)
"""SHAKE-256 of a chat id or an author's contact id, 64 bytes."""

MessageId = NewType("MessageId", bytes)
"""Keccak-256 of ``signer || application message``, 32 bytes (reference/status-go.md 2.4)."""

RequestId = NewType("RequestId", bytes)
"""SHAKE-256 of an encrypted registration, 64 bytes."""

NotificationKey = NewType("NotificationKey", bytes)
"""SHA-256 that names one message for one device, 32 bytes."""

InstallationId = NewType("InstallationId", str)
"""UUID text, kept exactly as sent."""

AccessToken = NewType("AccessToken", str)
"""UUID text that lets a sender request notifications of a device, kept exactly as sent."""

DeviceToken = NewType("DeviceToken", str)
"""The name that Apple or Google gives a device."""

NotificationId = NewType("NotificationId", str)
"""UUID text, the same on every attempt; Apple knows it as apns-id."""

PubsubTopic = NewType("PubsubTopic", str)
"""Waku's shard, such as ``/waku/2/rs/16/32``."""

ContentTopic = NewType("ContentTopic", str)
"""Waku's subject, such as ``/waku/1/0x69bc8983/rfc26``."""

Millis = NewType("Millis", int)
"""Unix time in milliseconds."""

Nanos = NewType("Nanos", int)
"""Unix time in nanoseconds."""

SECONDS_PER_DAY = 86_400
MILLIS_PER_DAY = 86_400_000

Random = Callable[[int], bytes]
"""Returns that many unpredictable bytes. The pure floors get randomness as an argument of this type only."""

DEFAULT_PUBSUB_TOPIC = PubsubTopic("/waku/2/rs/16/32")


class TokenType(IntEnum):
    """The provider of a device token (wire numbers)."""

    UNKNOWN = 0
    APN = 1
    FIREBASE = 2


class NotificationType(IntEnum):
    """The kind of a notification (wire numbers)."""

    UNKNOWN = 0
    MESSAGE = 1
    MENTION = 2
    REQUEST_TO_JOIN_COMMUNITY = 3


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key with its public key, which is derived once."""

    private: PrivateKey = field(repr=False)
    public: PublicKey


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """One installation of one key: identifies a stored registration."""

    key_hash: KeyHash
    installation_id: InstallationId


@dataclass(frozen=True, slots=True)
class Envelope:
    """A complete serialised WakuMessage and the pubsub topic it travels on. What transports carry."""

    pubsub_topic: PubsubTopic
    waku_message: bytes = field(repr=False)
