"""
The listener's side of TLS, without I/O.

asyncio would begin TLS before anybody can say no to a connection; and uvloop cannot begin it afterwards without losing
the first bytes. So it is done here, on OpenSSL's memory buffers.
"""

import contextlib
import ssl

from hushbell.errors import Undecodable
from hushbell.waku.libp2p.limits import KIB

_READ = 64 * KIB


class TlsListener:
    """One connection's TLS. Whatever a call leaves to be sent is in :meth:`take`."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._ready = False

    def receive(self, data: bytes) -> bytes:
        """
        Take bytes of the socket and return the plain ones.

        Raises:
            Undecodable: not TLS, or none that the context takes.
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
            raise Undecodable("the peer speaks no TLS that we take") from None
        return b"".join(plain)

    def send(self, plain: bytes) -> None:
        """Encrypt bytes; after a fault they are lost, as the connection is."""
        view = memoryview(plain)
        with contextlib.suppress(ssl.SSLError):
            while view:
                view = view[self._object.write(view) :]

    def end(self) -> None:
        """Say that nothing more will come."""
        with contextlib.suppress(ssl.SSLError):
            self._object.unwrap()

    def take(self) -> bytes:
        """Return the bytes for the socket."""
        return self._outgoing.read()
