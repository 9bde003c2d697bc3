"""
The messages, as values (reference/status-go.md section 1).

Enumerations that a peer may extend are plain integers, with the known numbers beside them, so that an unknown
number survives a round trip. ``unknown`` keeps the fields this version does not know, as they came.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum


class ApplicationType(IntEnum):
    """AMM types that concern push notifications (reference/status-go.md 1.2)."""

    CONTACT_CODE_ADVERTISEMENT = 15
    PUSH_NOTIFICATION_REGISTRATION = 16
    PUSH_NOTIFICATION_REGISTRATION_RESPONSE = 17
    PUSH_NOTIFICATION_QUERY = 18
    PUSH_NOTIFICATION_QUERY_RESPONSE = 19
    PUSH_NOTIFICATION_REQUEST = 20
    PUSH_NOTIFICATION_RESPONSE = 21


class RegistrationError(IntEnum):
    """Why a registration was refused (spec 16, numbers of status-go)."""

    NONE = 0
    MALFORMED_MESSAGE = 1
    VERSION_MISMATCH = 2
    UNSUPPORTED_TOKEN_TYPE = 3
    INTERNAL_ERROR = 4


class ReportError(IntEnum):
    """Why a device was not notified."""

    NONE = 0
    WRONG_TOKEN = 1
    INTERNAL_ERROR = 2
    NOT_REGISTERED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """PushNotificationRegistration."""

    token_type: int = 0
    device_token: str = field(default="", repr=False)
    installation_id: str = ""
    access_token: str = field(default="", repr=False)
    enabled: bool = False
    version: int = 0
    allowed_key_list: tuple[bytes, ...] = field(default=(), repr=False)
    blocked_chat_list: tuple[bytes, ...] = field(default=(), repr=False)
    unregister: bool = False
    grant: bytes = field(default=b"", repr=False)
    allow_from_contacts_only: bool = False
    apn_topic: str = ""
    block_mentions: bool = False
    allowed_mentions_chat_list: tuple[bytes, ...] = field(default=(), repr=False)
    muted_chat_list: tuple[bytes, ...] = field(default=(), repr=False)
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationResponse:
    """PushNotificationRegistrationResponse."""

    success: bool = False
    error: int = 0  # RegistrationError
    request_id: bytes = b""
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryInfo:
    """PushNotificationQueryInfo: how to notify one device through one server."""

    access_token: str = field(default="", repr=False)
    installation_id: str = ""
    public_key: bytes = b""  # KeyHash
    allowed_key_list: tuple[bytes, ...] = field(default=(), repr=False)
    grant: bytes = field(default=b"", repr=False)
    version: int = 0
    server_public_key: bytes = b""  # CompressedKey
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityImage:
    """IdentityImage of a chat identity."""

    payload: bytes = field(default=b"", repr=False)
    source_type: int = 0
    image_format: int = 0
    encryption_keys: tuple[bytes, ...] = field(default=(), repr=False)
    encrypted: bool = False
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatIdentity:
    """ChatIdentity: a person's profile. Push notifications do not use it."""

    clock: int = 0
    ens_name: str = field(default="", repr=False)
    images: Mapping[str, IdentityImage] = field(default_factory=dict, repr=False)
    display_name: str = field(default="", repr=False)
    description: str = field(default="", repr=False)
    color: str = field(default="", repr=False)
    emoji: str = field(default="", repr=False)
    first_message_timestamp: int = 0  # seconds
    customization_color: int = 0
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactCodeAdvertisement:
    """ContactCodeAdvertisement; the chat identity stays encoded."""

    push_notification_info: tuple[QueryInfo, ...] = ()
    chat_identity: bytes | None = field(default=None, repr=False)
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """PushNotificationQuery."""

    public_keys: tuple[bytes, ...] = ()  # KeyHash each
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResponse:
    """PushNotificationQueryResponse."""

    info: tuple[QueryInfo, ...] = ()
    message_id: bytes = b""
    success: bool = False
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushNotification:
    """PushNotification: one item of a request."""

    access_token: str = field(default="", repr=False)
    chat_id: bytes = field(default=b"", repr=False)  # Hash64
    public_key: bytes = b""  # KeyHash
    installation_id: str = ""
    message: bytes = field(default=b"", repr=False)
    type: int = 0  # NotificationType
    author: bytes = field(default=b"", repr=False)  # Hash64
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationRequest:
    """PushNotificationRequest."""

    requests: tuple[PushNotification, ...] = ()
    message_id: bytes = b""
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """PushNotificationReport: the result of one item."""

    success: bool = False
    error: int = 0  # ReportError
    public_key: bytes = b""
    installation_id: str = ""
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationResponse:
    """PushNotificationResponse."""

    message_id: bytes = b""
    reports: tuple[Report, ...] = ()
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationMessage:
    """ApplicationMetadataMessage: a signed, typed payload. The signature covers the payload only."""

    signature: bytes = b""
    payload: bytes = field(default=b"", repr=False)
    type: int = 0  # ApplicationType, or any other of Status
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPreKey:
    """SignedPreKey of the encryption layer."""

    signed_pre_key: bytes = b""
    version: int = 0
    protocol_version: int = 0
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Bundle of the encryption layer; ``timestamp`` in nanoseconds."""

    identity: bytes = b""
    signed_pre_keys: Mapping[str, SignedPreKey] = field(default_factory=dict)
    signature: bytes = b""
    timestamp: int = 0
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolMessage:
    """ProtocolMessage of the encryption layer; encrypted messages stay encoded."""

    installation_id: str = ""
    bundles: tuple[Bundle, ...] = ()
    encrypted_message: Mapping[str, bytes] = field(default_factory=dict)
    public_message: bytes = field(default=b"", repr=False)
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """SegmentMessage: a part of a message too large for one envelope."""

    entire_message_hash: bytes = b""
    index: int = 0
    segments_count: int = 0
    payload: bytes = field(default=b"", repr=False)
    parity_segment_index: int = 0
    parity_segments_count: int = 0
    original_payload_length: int = 0  # bytes; only newer senders fill it (reference/status-go.md 12)
    unknown: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WakuMessage:
    """WakuMessage (RFC 14, reference/status-go.md 1.7). None is absent, which is not the same as empty."""

    payload: bytes = field(default=b"", repr=False)
    content_topic: str = ""
    version: int | None = None
    timestamp: int | None = None  # nanoseconds
    meta: bytes | None = None
    rate_limit_proof: bytes | None = None
    ephemeral: bool | None = None
    unknown: bytes = field(default=b"", repr=False)
