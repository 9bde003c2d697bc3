"""One HTTP/2 connection over TLS: its protocol and its transport."""

import asyncio
import ssl
from typing import Protocol, cast

from hushbell.http.h2.protocol import H2Protocol
from hushbell.ports.http import FailureKind

ALPN = "h2"


class ConnectionListener(Protocol):
    """Receives the events of connections."""

    def on_progress(self, connection: "H2Connection") -> None:
        """Report the results of a connection, which may have room again."""

    def on_lost(self, connection: "H2Connection") -> None:
        """Report the results of a connection that has ended."""


class H2Connection(asyncio.Protocol):
    """Passes bytes between protocol and transport; the pool makes all decisions."""

    def __init__(self, protocol: H2Protocol, listener: ConnectionListener, loop: asyncio.AbstractEventLoop) -> None:
        self.protocol = protocol
        self.started: asyncio.Future[None] = loop.create_future()  # done when ready or lost
        self.closed: asyncio.Future[None] = loop.create_future()
        self.opened_at = self.received_at = self.requested_at = loop.time()  # the last two: most recently
        self.is_counted = False  # as one that failed
        self.failure = FailureKind.CLOSED  # why it never became ready, if it did not
        self._listener = listener
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._ending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface, if the server speaks HTTP/2."""
        self._transport = cast("asyncio.Transport", transport)
        self.received_at = self._loop.time()
        tls = transport.get_extra_info("ssl_object")
        if tls is None or tls.selected_alpn_protocol() != ALPN:
            self.failure = FailureKind.TLS
            self._transport.abort()
            return
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Pass bytes to the protocol and report progress."""
        self.received_at = self._loop.time()
        self.protocol.receive(data, self.received_at)
        if self.protocol.ready and not self.started.done():
            self.started.set_result(None)
        self._listener.on_progress(self)
        self.flush()
        if self.protocol.failed:
            self.abort()
        elif self.protocol.going_away and not self.protocol.streams:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end."""
        self._transport = None
        if isinstance(exc, ssl.SSLError):
            self.failure = FailureKind.TLS
        self.protocol.connection_lost()
        for known in (self.started, self.closed):
            if not known.done():
                known.set_result(None)
        self._listener.on_lost(self)

    def pause_writing(self) -> None:
        """Send no requests while the peer does not read."""
        self._paused = True

    def resume_writing(self) -> None:
        """Send requests once more."""
        self._paused = False
        self._listener.on_progress(self)

    def room(self) -> int:
        """Return how many requests may be sent now."""
        return 0 if self._paused or self._transport is None else self.protocol.room()

    def flush(self) -> None:
        """Write all pending bytes."""
        out = self.protocol.data_to_send()
        if out and self._transport is not None:
            self._transport.write(out)

    def close(self) -> None:
        """End the connection after what was written."""
        if self._transport is not None and not self._ending:
            self._ending = True
            self.protocol.go_away()
            self.flush()
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()


def client_context(ca_file: str, certificate_file: str) -> ssl.SSLContext:
    """
    Return how servers are checked, and what is shown to those that ask who we are.

    Raises:
        OSError: a file cannot be read or holds no certificate (ssl.SSLError is one, too).
    """
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        # From 3.13 on Python refuses authorities that lack an extension, as those often do that people make for
        # themselves. The operator who named the file trusts it.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols([ALPN])
    if certificate_file:
        context.load_cert_chain(certificate_file)
    return context
