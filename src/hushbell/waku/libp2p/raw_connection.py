"""A connection's bytes: the interface of a TCP socket or a WebSocket."""

from typing import Protocol


class RawConnectionHandler(Protocol):
    """
    Receives the events of a raw connection.

    Called from the event loop, never from inside a method of the raw connection.
    """

    def on_data(self, data: bytes | memoryview) -> None:
        """Process bytes. A view is valid only during the call."""

    def on_writable(self) -> None:
        """Continue to write: the socket accepts bytes again."""

    def on_closed(self) -> None:
        """Note that the connection is closed, by either side."""


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
        """Send bytes, or buffer them for the socket."""

    def pause(self) -> None:
        """Stop reading from the socket."""

    def resume(self) -> None:
        """Read again."""

    def close(self) -> None:
        """Close after the written bytes were sent."""

    def abort(self) -> None:
        """Close at once."""
