"""What the HTTP server and its handlers agree on."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

JSON = b"application/json; charset=utf-8"
TEXT = b"text/plain; charset=utf-8"
APP_HEADER = b"x-hushbell-app"  # the app of a request; without it, the first one of the key

Headers = list[tuple[bytes, bytes]]
"""Names in lower case, as ASGI has them."""

Asgi = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Sizes in bytes, times in seconds."""

    head: int = 32 * 1024
    body: int = 16 * 1024 * 1024  # gorush has none, and its clients send large ones
    bodies: int = 256 * 1024 * 1024  # of all connections together
    connections: int = 10_000
    head_time: float = 10.0  # from a request's first byte until its head is complete
    body_rate: int = 16 * 1024  # bytes a second a body must arrive with, after the first ten seconds
    idle: float = 120.0  # between two requests
    write_time: float = 30.0  # that a client may take to read an answer


class Respond(Protocol):
    """Answers a request, once."""

    def __call__(self, status: int, body: bytes, content_type: bytes = JSON, headers: Headers | None = None) -> None:
        """Write the answer; nothing happens if the client is gone."""
