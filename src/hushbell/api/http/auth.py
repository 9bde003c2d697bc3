"""
API keys: who calls, and the scopes, apps and rates of each caller.

A key has 256 random bits and only its SHA-256 is known here, so that the time a look-up by that hash takes is of no
use to an attacker.
"""

import hmac
from collections.abc import Callable, Sequence
from hashlib import sha256

from hushbell.config.apps import SCOPES, KeySettings
from hushbell.errors import HushbellError, Overloaded
from hushbell.types import Millis

MAX_AUTHORIZATION = 512  # bytes of an Authorization header
MIN_RETRY_AFTER = 1.0  # seconds


class Unauthorized(HushbellError):
    """The request has no key, or an unknown one."""


class Forbidden(HushbellError):
    """The scopes or apps of the key do not allow it."""


class ApiClient:
    """A caller with a key, or every caller where no keys are configured."""

    __slots__ = ("_burst", "_rate", "_tokens", "_updated_at", "apps", "name", "scopes")

    def __init__(
        self, name: str, apps: Sequence[str], scopes: frozenset[str], *, per_minute: int = 0, burst: int = 0
    ) -> None:
        self.name = name
        self.apps = tuple(apps)  # the first one is meant where a request names none
        self.scopes = scopes
        self._rate = per_minute / 60_000  # pushes a millisecond; 0 means no limit
        self._burst = float(burst)
        self._tokens = self._burst
        self._updated_at = 0

    def require(self, scope: str) -> None:
        """Raise Forbidden if the key lacks a scope."""
        if scope not in self.scopes:
            raise Forbidden(f"this key has no scope {scope}")

    def app(self, name: str | None) -> str:
        """
        Return the app that a request means; without a name, the first one of the key.

        Raises:
            Forbidden: there is none, or it is not the caller's.
        """
        if name is None and self.apps:
            return self.apps[0]
        if name not in self.apps:
            raise Forbidden("there is no such app for this key")
        return name

    def charge(self, pushes: int, now: Millis) -> None:
        """
        Charge pushes to the caller's rate.

        Raises:
            Overloaded: it is used up; ``after`` says when to come back.
        """
        if not self._rate:
            return
        self._tokens = min(self._burst, self._tokens + max(0, now - self._updated_at) * self._rate)
        self._updated_at = now
        # More than fits at once is let through on a full budget and paid for later.
        if self._tokens < min(pushes, self._burst):
            raise Overloaded("this key's rate", max(MIN_RETRY_AFTER, (pushes - self._tokens) / self._rate / 1000))
        self._tokens -= pushes


class ApiKeys:
    """Every key, by its hash."""

    def __init__(self, keys: Sequence[KeySettings], apps: Sequence[str], count: Callable[[str], None]) -> None:
        self._clients = {
            bytes.fromhex(key.sha256): ApiClient(
                key.name,
                [app for app in apps if not key.apps or app in key.apps],
                frozenset(key.scopes),
                per_minute=key.per_minute,
                burst=key.burst,
            )
            for key in keys
        }
        self._anonymous = None if keys else ApiClient("anybody", apps, frozenset(SCOPES))
        self._count = count

    def client(self, authorization: bytes) -> ApiClient:
        """
        Return the client of an Authorization header, ``Bearer KEY``.

        Raises:
            Unauthorized: the key is missing or unknown.
        """
        if self._anonymous is not None:
            return self._anonymous
        if len(authorization) <= MAX_AUTHORIZATION and authorization[:7].lower() == b"bearer ":
            digest = sha256(authorization[7:].strip()).digest()
            for known, client in self._clients.items():
                if hmac.compare_digest(known, digest):
                    return client
        self._count("api_keys_refused")
        raise Unauthorized("an API key is needed: Authorization: Bearer KEY")
