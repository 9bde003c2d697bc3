"""What a front end hands to the engine: a notification before it has a name and a place in the queue."""

from collections.abc import Sequence
from typing import Protocol

from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.push_ids import push_id
from hushbell.types import Millis

LEAST_LIFE = 10_000  # milliseconds; what is accepted is attempted once, whatever its caller's clock says


class Asked(Protocol):
    """Front ends have classes of their own with these fields."""

    @property
    def kind(self) -> str:
        """Return ``token``, ``topic`` or ``condition``."""
        ...

    @property
    def tokens(self) -> tuple[str, ...]:
        """Return whom it is for."""
        ...

    @property
    def message(self) -> Message:
        """Return what is said."""
        ...

    @property
    def notif_id(self) -> str:
        """Return the caller's own name for it, or ""."""
        ...

    @property
    def retries(self) -> int | None:
        """Return the caller's cap on attempts after the first."""
        ...

    @property
    def expires(self) -> int | None:
        """Return the Unix time in seconds after which it is worthless, if the caller said so."""
        ...

    @property
    def lifetime(self) -> float | None:
        """Return the seconds from now after which it is worthless, if the caller said so."""
        ...


def expiry(asked: Asked, now: Millis, ttl: int) -> Millis:
    """Return when it is given up; ``ttl`` is the most an app's pushes live, in seconds."""
    latest = now + ttl * 1000
    if asked.expires is not None:
        latest = min(latest, asked.expires * 1000)
    if asked.lifetime is not None:
        latest = min(latest, now + int(asked.lifetime * 1000))
    return Millis(max(latest, now + LEAST_LIFE))


def notifications(
    asked: Sequence[Asked], app: str, idents: Sequence[bytes], now: Millis, *, ttl: int, retries: int | None
) -> tuple[Notification, ...]:
    """Return the notifications under their names. ``retries`` is the app's own cap."""
    latest = Millis(now + max(ttl * 1000, LEAST_LIFE))
    return tuple(
        [
            Notification(
                ident,
                app,
                one.kind,
                one.tokens,
                one.message,
                latest if one.expires is None and one.lifetime is None else expiry(one, now, ttl),
                one.notif_id,
                retries if one.retries is None else _fewer(one.retries, retries),
            )
            for one, ident in zip(asked, idents, strict=True)
        ]
    )


def names(notification: Notification) -> Sequence[str]:
    """Return the identifier of each push of a notification."""
    return [push_id(notification.ident, place) for place in range(len(notification.tokens))]


def _fewer(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
