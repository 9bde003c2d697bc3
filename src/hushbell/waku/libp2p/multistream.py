"""
multistream-select 1.0: agreeing on the protocol of a connection or a stream.

Two halves without I/O. Both accept bytes in any chunks and return the bytes to send. When ``chosen`` is set, ``rest``
holds the bytes that already belong to the protocol.

Source: github.com/multiformats/multistream-select. A message is a line with its length, newline included, as a varint.
"""

from collections.abc import Callable, Sequence

from hushbell.errors import TooLarge, TransportError, Undecodable
from hushbell.waku.libp2p import varint

HEADER = "/multistream/1.0.0"
MAX_LINE = 1024  # bytes of one line; the longest protocol id in use has 60
MAX_LINES = 32  # proposals of one peer
_NA = "na"
_LS = "ls"


def line(text: str) -> bytes:
    """Return one message."""
    return varint.framed(text.encode() + b"\n")


_HEADER_LINE = line(HEADER)
_NA_LINE = line(_NA)


class _Lines:
    """Reads lines from chunks. Bytes behind the last line stay in ``rest``."""

    __slots__ = ("_count", "chosen", "rest")

    def __init__(self) -> None:
        self.rest = b""
        self.chosen: str | None = None
        self._count = 0

    @property
    def agreed(self) -> bool:
        """Whether the negotiation is over."""
        return self.chosen is not None

    def receive(self, data: bytes) -> bytes:
        """
        Process some bytes and return the answer.

        Raises:
            TransportError: the peer speaks none of the protocols that were proposed.
            TooLarge, Undecodable: not a negotiation, or one without an end.
        """
        self.rest += data
        answer = b""
        while not self.agreed and (text := self._next()) is not None:
            answer += self._answer(text)
        return answer

    def _answer(self, text: str) -> bytes:
        raise NotImplementedError

    def _next(self) -> str | None:
        found = varint.decode(self.rest, max_length=2)
        if found is None:
            return None
        size, start = found
        if size > MAX_LINE:
            raise TooLarge("a negotiation line is too long")
        if not size or len(self.rest) < start + size:
            if not size:
                raise Undecodable("a negotiation line is empty")
            return None
        data = self.rest[start : start + size]
        self.rest = self.rest[start + size :]
        self._count += 1
        if self._count > MAX_LINES:
            raise TooLarge("a negotiation does not end")
        if not data.endswith(b"\n"):
            raise Undecodable("a negotiation line has no end")
        try:
            return data[:-1].decode()
        except UnicodeDecodeError:
            raise Undecodable("a negotiation line is not text") from None


class ProtocolProposer(_Lines):
    """
    The side that opened the stream. It proposes protocols in its order of preference.

    The first proposal is sent with the header, so agreement costs one round trip, or none if the caller knows what the
    peer speaks and sends data behind it.
    """

    __slots__ = ("_greeted", "_left")

    def __init__(self, protocols: Sequence[str]) -> None:
        super().__init__()
        if not protocols:
            raise ValueError("nothing to propose")
        self._left = list(protocols)
        self._greeted = False

    def start(self) -> bytes:
        """Return what opens the negotiation."""
        return _HEADER_LINE + line(self._left[0])

    def _answer(self, text: str) -> bytes:
        if not self._greeted:
            if text != HEADER:
                raise Undecodable("the peer does not speak multistream 1.0")
            self._greeted = True
            return b""
        if text == self._left[0]:
            self.chosen = text
            return b""
        if text != _NA:
            raise Undecodable("the peer agreed to a protocol that was not proposed")
        del self._left[0]
        if not self._left:
            raise TransportError("the peer speaks none of the protocols")
        return line(self._left[0])


class ProtocolResponder(_Lines):
    """The other side. It accepts the first proposal that it speaks."""

    __slots__ = ("_greeted", "_listed", "_speaks")

    def __init__(self, speaks: Callable[[str], bool], listed: Callable[[], Sequence[str]]) -> None:
        super().__init__()
        self._speaks = speaks
        self._listed = listed
        self._greeted = False

    def _answer(self, text: str) -> bytes:
        if not self._greeted:
            if text != HEADER:
                raise Undecodable("the peer does not speak multistream 1.0")
            self._greeted = True
            return _HEADER_LINE
        if text == _LS:
            return varint.framed(b"".join(line(protocol) for protocol in self._listed()) + b"\n")
        if self._speaks(text):
            self.chosen = text
            return line(text)
        return _NA_LINE
