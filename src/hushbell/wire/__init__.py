"""
Bytes and values: the encoding of everything that is sent, not its meaning.

``decode`` and ``encode`` for the messages, and the layers around them: frames, segments, wrappers. Whatever
bytes come in, a value or a ``WireError`` comes out.
"""

from hushbell.wire.codec import MESSAGE_LIMIT, assert_fast, decode, encode
from hushbell.wire.frames import Frame, decode_frame, encode_frame, padding_length
from hushbell.wire.messages import (
    ApplicationMessage,
    ApplicationType,
    Bundle,
    ChatIdentity,
    ContactCodeAdvertisement,
    IdentityImage,
    NotificationRequest,
    NotificationResponse,
    ProtocolMessage,
    PushNotification,
    Query,
    QueryInfo,
    QueryResponse,
    Registration,
    RegistrationError,
    RegistrationResponse,
    Report,
    ReportError,
    Segment,
    SignedPreKey,
    WakuMessage,
)
from hushbell.wire.segments import as_segment, is_parity, reassemble
from hushbell.wire.wrappers import is_datasync, unwrap_protocol_message

__all__ = [
    "MESSAGE_LIMIT",
    "ApplicationMessage",
    "ApplicationType",
    "Bundle",
    "ChatIdentity",
    "ContactCodeAdvertisement",
    "Frame",
    "IdentityImage",
    "NotificationRequest",
    "NotificationResponse",
    "ProtocolMessage",
    "PushNotification",
    "Query",
    "QueryInfo",
    "QueryResponse",
    "Registration",
    "RegistrationError",
    "RegistrationResponse",
    "Report",
    "ReportError",
    "Segment",
    "SignedPreKey",
    "WakuMessage",
    "as_segment",
    "assert_fast",
    "decode",
    "decode_frame",
    "encode",
    "encode_frame",
    "is_datasync",
    "is_parity",
    "padding_length",
    "reassemble",
    "unwrap_protocol_message",
]
