"""One HTTP/2 connection over TLS: the core, a transport, and when either was heard last."""

import asyncio
import ssl
from typing import Protocol, cast

from hushbell.http.h2.protocol import H2Protocol
from hushbell.ports.http import FailureKind

PROTOCOL = "h2"  # by ALPN


class ConnectionListener(Protocol):
    """Whoever a connection tells what happened."""

    def progressed(self, link: "H2Connection") -> None:
        """Take the results of a connection that may have room again."""
        ...

    def lost(self, link: "H2Connection") -> None:
        """Take the results of a connection that is no more."""
        ...


class H2Connection(asyncio.Protocol):
    """Reads, writes once a turn, and keeps no rule of its own."""

    def __init__(self, core: H2Protocol, owner: ConnectionListener, loop: asyncio.AbstractEventLoop) -> None:
        self.core = core
        self.started: asyncio.Future[None] = loop.create_future()  # done when ready or lost
        self.closed: asyncio.Future[None] = loop.create_future()
        self.made = self.heard = self.begun = loop.time()  # begun: when a request was, last
        self.judged = False  # its end has been held against the server
        self.failure = FailureKind.CLOSED  # why it never became ready, if it did not
        self._owner = owner
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._ending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Speak first, if the other side understands us."""
        self._transport = cast("asyncio.Transport", transport)
        self.heard = self._loop.time()
        tls = transport.get_extra_info("ssl_object")
        if tls is None or tls.selected_alpn_protocol() != PROTOCOL:
            self.failure = FailureKind.TLS
            self._transport.abort()
            return
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the core and tell the owner."""
        self.heard = self._loop.time()
        self.core.receive(data, self.heard)
        if self.core.ready and not self.started.done():
            self.started.set_result(None)
        self._owner.progressed(self)
        self.flush()
        if self.core.failed:
            self.abort()
        elif self.core.draining and not self.core.live:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner."""
        self._transport = None
        if isinstance(exc, ssl.SSLError):
            self.failure = FailureKind.TLS
        self.core.lose()
        for known in (self.started, self.closed):
            if not known.done():
                known.set_result(None)
        self._owner.lost(self)

    def pause_writing(self) -> None:
        """Begin nothing while the peer does not read."""
        self._paused = True

    def resume_writing(self) -> None:
        """Begin again."""
        self._paused = False
        self._owner.progressed(self)

    def room(self) -> int:
        """Return how many requests may be begun now."""
        return 0 if self._paused or self._transport is None else self.core.room()

    def flush(self) -> None:
        """Write everything there is to write."""
        out = self.core.take()
        if out and self._transport is not None:
            self._transport.write(out)

    def close(self) -> None:
        """End the connection after what was written."""
        if self._transport is not None and not self._ending:
            self._ending = True
            self.core.go_away()
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
        # themselves. Whoever named the file trusts it.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols([PROTOCOL])
    if certificate_file:
        context.load_cert_chain(certificate_file)
    return context
