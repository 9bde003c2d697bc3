"""
Who calls, and what they may do: API keys, their scopes, apps and rates.

A key has 256 random bits and only its SHA-256 is known here, so that what a look-up by that hash tells by its time is
of no use to anybody.
"""

import hmac
from collections.abc import Callable, Sequence
from hashlib import sha256

from hushbell.config.apps import SCOPES, KeySettings
from hushbell.errors import HushbellError, Overloaded
from hushbell.types import Millis

LONGEST = 512  # bytes of an Authorization header
FIRST_WAIT = 1.0  # seconds


class Unauthorized(HushbellError):
    """No key, or none that we know."""


class Forbidden(HushbellError):
    """The key may not do that."""


class ApiClient:
    """Somebody with a key, or anybody where keys are not asked for."""

    __slots__ = ("_at", "_burst", "_left", "_rate", "apps", "name", "scopes")

    def __init__(
        self, name: str, apps: Sequence[str], scopes: frozenset[str], *, per_minute: int = 0, burst: int = 0
    ) -> None:
        self.name = name
        self.apps = tuple(apps)  # the first one is meant where a request names none
        self.scopes = scopes
        self._rate = per_minute / 60_000  # pushes a millisecond; 0 means no limit
        self._burst = float(burst)
        self._left = self._burst
        self._at = 0

    def must(self, scope: str) -> None:
        """Raise Forbidden unless the caller may."""
        if scope not in self.scopes:
            raise Forbidden(f"this key has no scope {scope}")

    def app(self, name: str | None) -> str:
        """
        Return the app that is meant.

        Raises:
            Forbidden: there is none, or the caller has no business with it.
        """
        if name is None and self.apps:
            return self.apps[0]
        if name not in self.apps:
            raise Forbidden("there is no such app for this key")
        return name

    def spend(self, pushes: int, now: Millis) -> None:
        """
        Take pushes from the caller's budget.

        Raises:
            Overloaded: it is used up; says when to come back.
        """
        if not self._rate:
            return
        self._left = min(self._burst, self._left + max(0, now - self._at) * self._rate)
        self._at = now
        # More than fits at once is let through on a full budget and paid for later.
        if self._left < min(pushes, self._burst):
            raise Overloaded("this key's rate", max(FIRST_WAIT, (pushes - self._left) / self._rate / 1000))
        self._left -= pushes


class ApiKeys:
    """Every key, by its hash."""

    def __init__(self, keys: Sequence[KeySettings], apps: Sequence[str], count: Callable[[str], None]) -> None:
        self._callers = {
            bytes.fromhex(key.sha256): ApiClient(
                key.name,
                [app for app in apps if not key.apps or app in key.apps],
                frozenset(key.scopes),
                per_minute=key.per_minute,
                burst=key.burst,
            )
            for key in keys
        }
        self._anybody = None if keys else ApiClient("anybody", apps, frozenset(SCOPES))
        self._count = count

    def caller(self, authorization: bytes) -> ApiClient:
        """
        Return who sends this header, ``Bearer KEY``.

        Raises:
            Unauthorized: nobody we know.
        """
        if self._anybody is not None:
            return self._anybody
        if len(authorization) <= LONGEST and authorization[:7].lower() == b"bearer ":
            digest = sha256(authorization[7:].strip()).digest()
            for known, caller in self._callers.items():
                if hmac.compare_digest(known, digest):
                    return caller
        self._count("api_keys_refused")
        raise Unauthorized("an API key is needed: Authorization: Bearer KEY")
