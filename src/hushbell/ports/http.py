"""The port for outgoing HTTP requests: many small ones to few hosts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Protocol


class FailureKind(Enum):
    """Why there is no response."""

    REFUSED = "refused"  # the port is closed, the name is unknown, or too many requests wait already
    TIMEOUT = "timeout"
    CLOSED = "closed"  # the connection or the stream ended before the response did
    TLS = "tls"  # no trusted certificate, or no common protocol
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. Its URL and headers may name a device or hold a credential: its text shows neither."""

    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    timeout: float  # seconds, from the moment it is submitted until the whole response is there
    method: str = "POST"
    # The IP address to connect to: the one that was checked (http/ssrf.py), not what the name resolves to now.
    address: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response. The body is cut at the client's bound."""

    status: int
    headers: Sequence[tuple[str, str]] = field(repr=False)  # names in lower case, in order of arrival
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """Return the first value of a header named in lower case, or ""."""
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """No response came."""

    kind: FailureKind
    sent: bool  # False: the request surely did not reach the server, so sending it again is safe


HeaderFields = tuple[tuple[str, str], ...]
"""Headers to send, by their names in lower case, in this order."""


class RequestTemplate(NamedTuple):
    """What requests to one server have in common. Its text shows neither device nor credential."""

    url: str  # the beginning of each request's URL
    headers: HeaderFields
    timeout: float  # seconds for each, from the moment it is submitted until the whole response is there
    varying: tuple[str, ...] = ()  # names of further headers, whose values each request brings
    method: str = "POST"
    address: str = ""  # as HttpRequest.address

    def __repr__(self) -> str:
        return "RequestTemplate()"


class ResponseHandler(Protocol):
    """Receives results."""

    def on_response(self, key: Any, result: HttpResponse | HttpFailure, /) -> object:
        """Receive the result of one request. ``key`` is what was submitted with it. Must be quick and not raise."""


RequestItem = tuple[ResponseHandler, Any, str, Sequence[str], bytes]
"""
One request of a template: the handler of its result, the key that the handler knows it by, the end of its URL, the
values of the varying headers in their order, its body.
"""


class HttpClient(Protocol):
    """Never raises for what the other side does or fails to do. Used in one event loop."""

    def submit(self, template: RequestTemplate, items: Sequence[RequestItem]) -> None:
        """
        Send requests; each handler is called exactly once, in the event loop and never before this returns.

        A request costs neither a task nor a future. What is submitted in one turn of the event loop leaves together.
        Requests over the bound of those that may wait fail with REFUSED. A handler may submit again.
        """

    def cancel(self, handler: ResponseHandler) -> None:
        """End the requests of a handler without calling it. A result that is known already may still be reported."""

    async def close(self) -> None:
        """Close all connections. Requests under way end with CLOSED, later ones with REFUSED."""
