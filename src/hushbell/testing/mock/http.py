"""A request to the mock, its response, and the faults that a test can ask for; the same for HTTP/1.1 and HTTP/2."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

MAX_BODY_BYTES = 1 << 21  # kept of a request's body, so that a wrong sender cannot fill the memory


class Fault(StrEnum):
    """What happens to a request beside, or in place of, its response."""

    ANSWER = "answer"  # no fault: the response is sent
    BLACKHOLE = "blackhole"  # no response is ever sent
    CLOSE = "close"  # the connection is cut after the request was read
    RESET = "reset"  # the stream ends with INTERNAL_ERROR after the request was read; HTTP/1.1: as CLOSE
    REFUSE = "refuse"  # the stream ends with REFUSED_STREAM, the request counts as unprocessed; HTTP/1.1: as CLOSE
    GOAWAY = "goaway"  # the response is sent, then the connection takes no more requests


class Request(NamedTuple):
    """One request as it arrived. A tuple, because making one costs a third of a frozen dataclass."""

    method: str
    path: str  # with the query
    headers: dict[str, str]  # names in lower case; "host" also for :authority
    body: bytes
    connection: int  # number of the connection
    stream: int  # HTTP/1.1: number of the request on its connection
    is_certified: bool = False  # the client showed a certificate of the mock's authority
    is_http2: bool = True

    def __repr__(self) -> str:
        """Show no token and no credential."""
        return f"Request({self.method}, connection={self.connection}, stream={self.stream})"


class Response(NamedTuple):
    """What is sent for a request, and how."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    fault: Fault = Fault.ANSWER
    delay: float = 0.0  # seconds before it is sent


Handler = Callable[[Request], Response]
