"""Layers around an application message that do not encrypt it (reference/status-go.md 5.4.5, 5.6)."""

from google.protobuf.message import DecodeError

from hushbell.errors import TooLarge
from hushbell.wire.codec import MESSAGE_LIMIT
from hushbell.wire.pb import layers_pb2 as pb


def unwrap_protocol_message(data: bytes, *, limit: int = MESSAGE_LIMIT) -> bytes:
    """
    Return the public message inside a ProtocolMessage; any other bytes are returned untouched.

    A bare application message normally fails to parse here, because its payload stands where a text belongs; if it
    does parse it has no public message. Contact codes come wrapped, everything else about push does not.
    status-go refuses the wrapper when a bundle in it is badly signed: who cares decodes it and checks.

    Raises:
        TooLarge: over ``limit``.
    """
    if len(data) > limit:
        raise TooLarge(f"{len(data)} bytes, at most {limit}")
    message = pb.ProtocolMessage()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return data
    return message.public_message or data


def is_datasync(data: bytes, *, limit: int = MESSAGE_LIMIT) -> bool:
    """Say whether ``data`` is a payload of the data synchronisation layer (MVDS), which push messages never use."""
    message = pb.DataSync()
    if len(data) > limit:
        return False
    try:
        message.ParseFromString(data)
    except DecodeError:
        return False
    return bool(message.acks or message.offers or message.requests or message.messages or message.group_offers)
