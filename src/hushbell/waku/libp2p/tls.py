"""
The listener's side of TLS, without I/O.

asyncio would start TLS before a connection can be refused, and uvloop cannot start it later without losing the first
bytes. So it is done here, on OpenSSL's memory buffers.
"""

import contextlib
import ssl

from hushbell.errors import Undecodable
from hushbell.waku.libp2p.limits import KIB

_READ = 64 * KIB


class TlsListener:
    """One connection's TLS. :meth:`data_to_send` returns the bytes to send after each call."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._ready = False

    def receive(self, data: bytes) -> bytes:
        """
        Process bytes of the socket and return the plain ones.

        Raises:
            Undecodable: not TLS, or not accepted by the context.
        """
        self._incoming.write(data)
        plain = []
        try:
            if not self._ready:
                self._object.do_handshake()
                self._ready = True
            while piece := self._object.read(_READ):
                plain.append(piece)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        except ssl.SSLError:
            raise Undecodable("the peer speaks no TLS that is accepted here") from None
        return b"".join(plain)

    def send(self, plain: bytes) -> None:
        """Encrypt bytes. After a TLS error they are lost."""
        view = memoryview(plain)
        with contextlib.suppress(ssl.SSLError):
            while view:
                view = view[self._object.write(view) :]

    def end(self) -> None:
        """Send TLS's closing alert."""
        with contextlib.suppress(ssl.SSLError):
            self._object.unwrap()

    def data_to_send(self) -> bytes:
        """Return the bytes for the socket."""
        return self._outgoing.read()
