"""
What is to be pushed: a draft as an API or the server makes it, and the notification that the outbox keeps.

Named tuples, not dataclasses: several are made for each push, and a frozen dataclass takes five times as long to make.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hushbell.types import Millis

MIN_LIFE_MS = 10_000  # what is accepted is attempted once, whatever its submitter's clock says


class Message(NamedTuple):
    """The content of a notification, rendered once for all its targets when it is accepted."""

    provider: (
        str  # "apns", "fcm", "huawei", "webpush", "unifiedpush", "pushy", "sns", "gorush", or an entry point's name
    )
    # apns: the payload. fcm: the JSON object ``message`` without its target. huawei: ``message`` without tokens.
    # webpush and unifiedpush: the plaintext.
    body: bytes
    route: str = ""  # apns: "production", "development" or "" for the app's default; otherwise ""
    # The provider's own headers, without credentials. "apns-id" only if the submitter chose one.
    headers: tuple[tuple[str, str], ...] = ()
    form: str = ""  # "" if a provider takes it as it is; otherwise its app renders it when its job enters memory

    def __repr__(self) -> str:
        """Return what is no secret."""
        return f"Message(provider={self.provider!r}, route={self.route!r})"


class Draft(NamedTuple):
    """A notification before it has an identifier and a place in the outbox."""

    target_kind: str  # "token", "topic" or "condition": what ``targets`` holds
    targets: tuple[str, ...]  # at least one
    message: Message
    reference: str = ""  # the submitter's own name for it; "" means none
    retries: int | None = None  # the submitter's cap on attempts after the first
    expires: int | None = None  # Unix time in seconds, if the submitter gives one
    lifetime: float | None = None  # seconds from now, if the submitter gives them
    collapse_id: str = ""  # a later push with the same one replaces it on the screen; "" leaves that to the provider

    def __repr__(self) -> str:
        """Return what is no secret."""
        return f"Draft(target_kind={self.target_kind!r}, pushes={len(self.targets)}, message={self.message!r})"


class Notification(NamedTuple):
    """One message for one or many targets. Each target is a push of its own, named by its index in ``targets``."""

    ident: bytes  # 16 bytes, unique; the identifiers of the pushes come from push_ids.push_id
    app: str  # name of the configured app
    target_kind: str  # "token", "topic" or "condition": what ``targets`` holds
    targets: tuple[str, ...]
    message: Message
    expires_at: Millis
    reference: str = ""  # the submitter's own name for it; "" means none
    retries: int | None = None  # the submitter's cap on attempts after the first; None leaves it to the time to live
    collapse_id: str = ""  # a later push with the same one replaces it on the screen; "" leaves that to the provider

    @property
    def kind(self) -> str:
        """``target_kind`` by its name of 0.1.0, for providers of third parties; kept for one release."""
        return self.target_kind

    @property
    def tokens(self) -> tuple[str, ...]:
        """``targets`` by its name of 0.1.0, for providers of third parties; kept for one release."""
        return self.targets

    def __repr__(self) -> str:
        """Return what is no secret."""
        return (
            f"Notification(app={self.app!r}, target_kind={self.target_kind!r}, pushes={len(self.targets)}, "
            f"message={self.message!r})"
        )


def expiry(draft: Draft, now: Millis, ttl: int) -> Millis:
    """Return when a push is given up; ``ttl`` is the longest life of an app's pushes, in seconds."""
    latest = wanted = now + ttl * 1000
    if draft.expires is not None:
        wanted = min(wanted, draft.expires * 1000)
    if draft.lifetime is not None:
        wanted = min(wanted, now + int(draft.lifetime * 1000))
    return Millis(min(latest, max(wanted, now + MIN_LIFE_MS)))


def notifications(
    drafts: Sequence[Draft], app: str, idents: Sequence[bytes], now: Millis, *, ttl: int, retries: int | None
) -> tuple[Notification, ...]:
    """Return the notifications of drafts under their identifiers. ``retries`` is the app's own cap."""
    latest = Millis(now + ttl * 1000)
    return tuple(
        [
            Notification(
                ident,
                app,
                draft.target_kind,
                draft.targets,
                draft.message,
                latest if draft.expires is None and draft.lifetime is None else expiry(draft, now, ttl),
                draft.reference,
                retries if draft.retries is None else _lower(draft.retries, retries),
                draft.collapse_id,
            )
            for draft, ident in zip(drafts, idents, strict=True)
        ]
    )


def _lower(cap: int, other: int | None) -> int:
    return cap if other is None else min(cap, other)
