"""What the stand-in's connections hand over, and what they are told to answer."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, Protocol

BODY = 1 << 20  # bytes kept of a request's body, so that a wrong sender cannot fill the memory


class Fault(StrEnum):
    """What is done to a request beside, or in place of, answering it."""

    ANSWER = "answer"
    BLACKHOLE = "blackhole"  # never answers
    CLOSE = "close"  # cuts the connection, the request is in
    RESET = "reset"  # ends the stream with INTERNAL_ERROR, the request is in; HTTP/1.1: as CLOSE
    REFUSE = "refuse"  # REFUSED_STREAM: nobody looked at it; HTTP/1.1: as CLOSE
    GOAWAY = "goaway"  # answers, then takes no more on this connection


class Request(NamedTuple):
    """One request as it arrived. A tuple, because making one costs a third of a frozen dataclass."""

    method: str
    path: str  # with the query
    headers: dict[str, str]  # lower case; "host" also for :authority
    body: bytes
    connection: int  # number of the connection
    stream: int  # HTTP/1.1: number of the request on it
    certified: bool = False  # the client showed a certificate that the stand-in has issued

    def __repr__(self) -> str:
        """Show no token and no credential."""
        return f"Request({self.method}, connection={self.connection}, stream={self.stream})"


class Reply(NamedTuple):
    """One answer."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    act: Fault = Fault.ANSWER
    delay: float = 0.0  # seconds


class Connection(Protocol):
    """What the server does to connections as a whole."""

    def abort(self) -> None:
        """Cut it."""
        ...

    def go_away(self) -> None:
        """Take no more requests."""
        ...


Handle = Callable[[Request], Reply]
