"""The parts of a push that only its delivery needs, as bytes for the disk."""

import struct

from hushbell.core.push import Push
from hushbell.errors import StoreCorrupt
from hushbell.types import (
    DeviceKey,
    DeviceToken,
    InstallationId,
    KeyHash,
    MessageId,
    Millis,
    NotificationId,
    NotificationType,
)

_FORM = 1  # first byte; raised whenever the rest changes
_HEAD = struct.Struct(">Biiq")  # form, token_type, type, created_at in ms
_SIZES = struct.Struct(">7I")  # of what follows, in bytes


def encode_push(push: Push) -> bytes:
    """Return everything of a push that is not in a column of its own."""
    parts = (
        push.device.owner,
        push.device.installation_id.encode(),
        push.device_token.encode(),
        push.apn_topic.encode(),
        push.chat_id,
        push.message,
        push.collapse_id.encode(),
    )
    head = _HEAD.pack(_FORM, push.token_type, push.type, push.created_at)
    return b"".join((head, _SIZES.pack(*map(len, parts)), *parts))


def decode_push(
    contents: bytes, *, notification_id: NotificationId, request: MessageId, position: int, expires_at: Millis
) -> Push:
    """
    Return the push whose contents these are; the rest comes from its columns.

    Raises:
        StoreCorrupt: the bytes do not say a push.
    """
    try:
        form, token_type, kind, created_at = _HEAD.unpack_from(contents)
        parts = _parts(contents) if form == _FORM else []
        owner, installation_id, device_token, apn_topic, chat_id, message, collapse_id = parts
        return Push(
            notification_id=notification_id,
            request=request,
            position=position,
            device=DeviceKey(KeyHash(owner), InstallationId(installation_id.decode())),
            token_type=token_type,
            device_token=DeviceToken(device_token.decode()),
            apn_topic=apn_topic.decode(),
            type=NotificationType(kind),
            chat_id=chat_id,
            message=message,
            collapse_id=collapse_id.decode(),
            created_at=Millis(created_at),
            expires_at=expires_at,
        )
    except (struct.error, ValueError) as error:
        raise StoreCorrupt("the contents of a push do not parse") from error


def _parts(contents: bytes) -> list[bytes]:
    place = _HEAD.size + _SIZES.size
    parts: list[bytes] = []
    for size in _SIZES.unpack_from(contents, _HEAD.size):
        parts.append(contents[place : place + size])
        place += size
    if place != len(contents):
        raise ValueError("sizes do not add up")
    return parts
