"""A push on its way to a device: what the outbox keeps and a gateway delivers."""

from dataclasses import dataclass, field

from hushbell.types import DeviceKey, DeviceToken, MessageId, Millis, NotificationId, NotificationType


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One notification for one device. Carries no sender and, as clients send it, no text."""

    notification_id: NotificationId  # the same on every attempt
    request: MessageId  # pushes of one request leave together, in the order of ``position``
    position: int
    device: DeviceKey
    token_type: int  # TokenType
    device_token: DeviceToken = field(repr=False)
    apn_topic: str  # "" means the provider's configured default
    type: NotificationType
    chat_id: bytes = field(repr=False)
    message: bytes = field(repr=False)
    collapse_id: str  # 64 hex digits: SHA-256(device token || message id); the second replaces the first on the screen
    created_at: Millis
    expires_at: Millis


@dataclass(frozen=True, slots=True)
class Pending:
    """A push in the outbox that has not reached its final state."""

    push: Push
    attempts: int
    due_at: Millis
