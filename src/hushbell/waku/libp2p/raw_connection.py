"""What carries a connection's bytes: a TCP socket or a WebSocket, seen by the protocol above it."""

from typing import Protocol


class RawConnectionHandler(Protocol):
    """Who takes what a pipe delivers. Called from the event loop, never at once from a method of the pipe."""

    def on_data(self, data: bytes | memoryview) -> None:
        """Take bytes; a view is valid only during the call."""
        ...

    def on_writable(self) -> None:
        """The socket takes bytes again."""
        ...

    def on_closed(self) -> None:
        """The pipe is closed, by whomever."""
        ...


class RawConnection(Protocol):
    """One open connection of bytes."""

    remote: str
    """The IP address of the other end."""
    port: int
    """Its TCP port."""
    full: bool
    """Whether the socket's buffer is over its bound: write no more until ``on_writable``."""
    handler: RawConnectionHandler | None

    def write(self, data: bytes) -> None:
        """Send bytes, or keep them for the socket."""
        ...

    def pause(self) -> None:
        """Read no more from the socket."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def close(self) -> None:
        """Close after what was written has gone out."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...
