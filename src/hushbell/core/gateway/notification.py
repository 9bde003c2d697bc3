"""A notification as the gateway keeps it: what is said once, and everybody it is said to."""

from dataclasses import dataclass, field

from hushbell.types import Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a notification says, rendered once for all its tokens when it is accepted."""

    provider: (
        str  # "apns", "fcm", "huawei", "webpush", "unifiedpush", "pushy", "sns", "gorush", or an entry point's name
    )
    route: str = ""  # apns: "production", "development" or "" for the app's default; otherwise ""
    # The provider's own headers, without credentials. "apns-id" only if the caller chose one.
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    # apns: the payload. fcm: the JSON object ``message`` without its target. huawei: ``message`` without tokens.
    # webpush and unifiedpush: the plaintext.
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One message for one or many targets. Each target is a push of its own, named by its place in ``tokens``."""

    ident: bytes = field(repr=False)  # 16 bytes, unique; the pushes' own ids come from ids.push_id
    app: str  # name of the configured app
    kind: str  # "token", "topic" or "condition": what ``tokens`` holds
    tokens: tuple[str, ...] = field(repr=False)
    message: Message
    notif_id: str = field(default="", repr=False)  # the caller's own; "" means none
    expires_at: Millis
    retries: int | None = None  # the caller's cap on attempts after the first; None leaves it to the time to live
