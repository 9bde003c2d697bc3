"""
A notification as the gateway keeps it: what is said once, and everybody it is said to.

Named tuples, not dataclasses: several are made for each push, and a frozen dataclass takes five times as long to make.
"""

from typing import NamedTuple

from hushbell.types import Millis


class Message(NamedTuple):
    """What a notification says, rendered once for all its tokens when it is accepted."""

    provider: (
        str  # "apns", "fcm", "huawei", "webpush", "unifiedpush", "pushy", "sns", "gorush", or an entry point's name
    )
    # apns: the payload. fcm: the JSON object ``message`` without its target. huawei: ``message`` without tokens.
    # webpush and unifiedpush: the plaintext.
    body: bytes
    route: str = ""  # apns: "production", "development" or "" for the app's default; otherwise ""
    # The provider's own headers, without credentials. "apns-id" only if the caller chose one.
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        """Return what is no secret."""
        return f"Message(provider={self.provider!r}, route={self.route!r})"


class Notification(NamedTuple):
    """One message for one or many targets. Each target is a push of its own, named by its place in ``tokens``."""

    ident: bytes  # 16 bytes, unique; the pushes' own ids come from ids.push_id
    app: str  # name of the configured app
    kind: str  # "token", "topic" or "condition": what ``tokens`` holds
    tokens: tuple[str, ...]
    message: Message
    expires_at: Millis
    notif_id: str = ""  # the caller's own; "" means none
    retries: int | None = None  # the caller's cap on attempts after the first; None leaves it to the time to live

    def __repr__(self) -> str:
        """Return what is no secret."""
        return (
            f"Notification(app={self.app!r}, kind={self.kind!r}, pushes={len(self.tokens)}, message={self.message!r})"
        )
