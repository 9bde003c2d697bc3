"""Many small HTTP requests to few hosts, as gateways and providers need them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Protocol


class FailureKind(Enum):
    """Why there is no answer."""

    REFUSED = "refused"  # nobody listens, the name is unknown, or too many requests wait already
    TIMEOUT = "timeout"
    CLOSED = "closed"  # the connection or the stream ended before the answer did
    TLS = "tls"  # no trusted certificate, or no common protocol
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. Its URL and headers may name a device or hold a credential, so it shows neither."""

    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    timeout: float  # seconds, from the moment it is handed over until the whole answer is there
    method: str = "POST"
    # Connect to this IP address whatever the name resolves to now: the one that was checked (providers/ssrf.py).
    address: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What came back. The body is cut at the client's cap."""

    status: int
    headers: Sequence[tuple[str, str]] = field(repr=False)  # names in lower case, in order of arrival
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """Return the first value of a header named in lower case, or ""."""
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """No answer came."""

    kind: FailureKind
    sent: bool  # False: the request surely did not reach the server, so sending it again is safe


HeaderFields = tuple[tuple[str, str], ...]
"""Headers to send, by their names in lower case, in this order."""

OnAnswer = Callable[[HttpResponse | HttpFailure], object]


class Series(NamedTuple):
    """What many requests have in common that go to one server at once. Shows neither device nor credential."""

    url: str  # which each of them goes on from
    headers: HeaderFields
    timeout: float  # seconds, of each
    differs: str = ""  # name of one more header, whose value differs; "" for none

    def __repr__(self) -> str:
        return "Series()"


class ResponseHandler(Protocol):
    """Whoever waits for results."""

    def take(self, index: Any, result: HttpResponse | HttpFailure, /) -> object:
        """Take the result of one request: ``index`` is what was handed over with it. Called once for each."""
        ...


Member = tuple[ResponseHandler, Any, str, str, bytes]
"""
One request of a series: who is told, and by what they know it again; the end of its URL, the value of the header that
differs, its body.
"""


class HttpClient(Protocol):
    """Never raises for what the other side does or fails to do. Used in one event loop."""

    def post(self, request: HttpRequest, on_answer: OnAnswer) -> None:
        """
        Send a request; the callback gets its result exactly once, in the event loop and never before this returns.

        For callers with very many requests: it costs neither a task nor a future. A callback is quick, may post
        again, and must not raise. What is posted in one turn of the event loop leaves together.
        """
        ...

    async def send(self, requests: Sequence[HttpRequest]) -> Sequence[HttpResponse | HttpFailure]:
        """Send the requests side by side and return one result each, in order."""
        ...

    async def close(self) -> None:
        """Let go of connections. Requests under way end with CLOSED."""
        ...
