"""One request on its way through the HTTP/2 client, and what the client allows a peer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hushbell.ports.http import HttpFailure, HttpResponse, ResponseHandler

Result = HttpResponse | HttpFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Bounds of one connection. Beyond them the connection is cut, or the stream is reset."""

    streams: int = 250  # side by side; the peer may allow fewer
    answer: int = 64 * 1024  # bytes of a body that are kept; a longer one is cut and its stream ended
    window: int = 1 << 20  # bytes of all bodies that may be on the way to us
    block: int = 64 * 1024  # bytes of a header block, over all its frames
    nuisance: int = 1000  # frames in a ``period`` that serve no request, such as PING; a request allows four more
    period: float = 10.0  # seconds
    requests: int = 1_000_000  # on one connection, then it is replaced; far below the 2^30 that stream ids allow


class H2Stream:
    """A request from when it is submitted until its result is reported."""

    __slots__ = (
        "authorization",
        "block",
        "body",
        "content",
        "deadline",
        "handler",
        "headers",
        "key",
        "method",
        "path",
        "received",
        "sid",
        "status",
        "tries",
        "unsent",
        "window",
    )

    def __init__(  # noqa: PLR0917  # one for each push: keywords would cost a microsecond
        self,
        handler: ResponseHandler,
        key: Any,
        deadline: float,
        method: str,
        path: bytes,
        authorization: str,
        block: bytes,
        content: bytes,
    ) -> None:
        self.handler = handler
        self.key = key
        self.deadline = deadline  # of the event loop's time
        self.method = method
        self.path = path  # encoded
        self.authorization = authorization
        self.block = block  # the other headers, encoded
        self.content = content  # the body
        self.unsent = b""  # what the peer's windows still hold back of it once the stream is open
        self.sid = 0  # of the stream; 0 while not a byte has left
        self.tries = 0  # how often the peer said that it had not processed it
        self.status = 0  # of the answer, 0 until its headers are complete
        self.headers: Sequence[tuple[str, str]] = ()
        self.body: list[bytes] = []
        self.received = 0  # bytes of the body
        self.window = 0  # bytes the peer takes on this stream; may be negative

    def reset(self) -> None:
        """Forget the attempt that the peer has not processed."""
        self.sid = self.status = self.received = 0
        self.unsent, self.headers, self.body = b"", (), []
        self.tries += 1
