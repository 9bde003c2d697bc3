"""What the outbox keeps of one of the server's pushes, as bytes: its payload is rendered only when it is delivered."""

import struct
from typing import NamedTuple

from hushbell.errors import StoreCorrupt
from hushbell.types import DeviceKey, InstallationId, KeyHash, Millis, NotificationType

FORM = "spec16"  # of a message whose body is one of these
_FORM = 2  # first byte; raised whenever the rest changes. Form 1 lay in the outbox of hushbell.db, schema 1
_HEAD = struct.Struct(">Biiq")  # form, token_type, type, created_at in ms
_SIZES = struct.Struct(">5I")  # of what follows, in bytes


class PushBody(NamedTuple):
    """One push for one device. Its device token and its collapse id are fields of the notification."""

    device: DeviceKey
    token_type: int  # TokenType
    apn_topic: str  # "" means the provider's configured default
    type: NotificationType
    chat_id: bytes
    message: bytes  # encrypted for the recipient, as the sender wrote it
    created_at: Millis

    def __repr__(self) -> str:
        """Return what is no secret."""
        return f"PushBody(token_type={self.token_type}, type={self.type!r})"


def encode_push_body(push: PushBody) -> bytes:
    """Return the push as bytes, 37 more than its parts have."""
    device = push.device
    parts = (device.key_hash, device.installation_id.encode(), push.apn_topic.encode(), push.chat_id, push.message)
    head = _HEAD.pack(_FORM, push.token_type, push.type, push.created_at)
    return b"".join((head, _SIZES.pack(*map(len, parts)), *parts))


def decode_push_body(body: bytes) -> PushBody:
    """
    Return the push whose bytes these are.

    Raises:
        StoreCorrupt: the bytes are no push.
    """
    try:
        form, token_type, kind, created_at = _HEAD.unpack_from(body)
        key_hash, installation_id, apn_topic, chat_id, message = _parts(body) if form == _FORM else []
        return PushBody(
            DeviceKey(KeyHash(key_hash), InstallationId(installation_id.decode())),
            token_type,
            apn_topic.decode(),
            NotificationType(kind),
            chat_id,
            message,
            Millis(created_at),
        )
    except (struct.error, ValueError) as error:
        raise StoreCorrupt("the contents of a push do not parse") from error


def _parts(body: bytes) -> list[bytes]:
    start = _HEAD.size + _SIZES.size
    parts: list[bytes] = []
    for size in _SIZES.unpack_from(body, _HEAD.size):
        parts.append(body[start : start + size])
        start += size
    if start != len(body):
        raise ValueError("sizes do not add up")
    return parts
