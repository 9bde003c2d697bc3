"""
Header blocks of HTTP/2 (HPACK, RFC 7541) for few hosts and many requests.

Sent: the constant headers (authority, authorization) enter the peer's table once and are one byte each from then on;
all others are literals and enter no table. Received: we announce a table of 0 bytes, so each block can be decoded by
itself and at any time; most never are.
"""

from collections.abc import Iterator, Sequence
from typing import overload

from hpack import Decoder
from hpack.exceptions import HPACKError, OversizedHeaderListError

from hushbell.http.h2.frames import Code, StreamViolation, Violation

TABLE = 4096  # bytes of the peer's table that we fill at most, which is its size before it says anything
HEADER_LIST = 32 * 1024  # bytes of an answer's headers, counted as RFC 7541 4.1 does
NAMES = 256  # names of headers whose encoding is remembered
ENTRY = 32  # bytes that an entry of the table costs beside its name and value
DYNAMIC = 62  # index of the entry that was inserted last

_FORBIDDEN = frozenset(("connection", "host", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"))
_NAME = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
_METHODS = {"POST": b"\x83\x87", "GET": b"\x82\x87"}  # with :scheme https


Fields = Sequence[tuple[str, str]]


def integer(value: int, bits: int, first: int) -> bytes:
    """Return a number with a prefix of so many bits; ``first`` holds the bits before them (RFC 7541 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((first | value,))
    out = bytearray((first | most,))
    value -= most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def string(text: str) -> bytes:
    """Return a string of ASCII without Huffman coding (RFC 7541 5.2)."""
    raw = text.encode("ascii")
    return integer(len(raw), 7, 0) + raw


_LENGTHS = [integer(length, 7, 0).decode("latin-1") for length in range(512)]


def _length(length: int) -> str:
    return _LENGTHS[length] if length < 512 else integer(length, 7, 0).decode("latin-1")


class Literals:
    """Encodes headers as literals, and remembers encoded names."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def encode(self, headers: Fields) -> tuple[str, bytes]:
        """
        Return the value of ``authorization`` ("" if there is none) and the block of all other headers.

        Raises:
            ValueError: a header cannot be sent, such as one with a line break.
        """
        parts: list[str] = []
        values: list[str] = []
        authorization = ""
        for name, value in headers:
            values.append(value)
            if name == "authorization":
                authorization = value
                continue
            # One text for all, in which a character is a byte.
            parts += (self._names.get(name) or self._name(name), _length(len(value)), value)
        together = "".join(values)
        if not together.isascii() or "\n" in together or "\r" in together or "\0" in together:
            raise ValueError("a header holds what no header may")
        return authorization, "".join(parts).encode("latin-1")

    def blocks(self, block: bytes, names: Sequence[str], values: Sequence[Sequence[str]]) -> list[bytes]:
        """
        Return a block for each request, from the block that all share and the values of the headers that vary.

        Args:
            block: of the headers that all requests share.
            names: of the headers that vary.
            values: of each request, one for each of the names, in their order.

        Raises:
            ValueError: as for ``encode``.
        """
        columns = [self._column(name, column) for name, column in zip(names, zip(*values, strict=True), strict=True)]
        if len(columns) == 1:
            return [block + value for value in columns[0]]
        return [block + b"".join(row) for row in zip(*columns, strict=True)]

    def _column(self, name: str, values: Sequence[str]) -> list[bytes]:
        """Return a header with each of the values. Raises ValueError as ``encode``."""
        together = "".join(values)
        if not (together.isascii() and together.isprintable()):
            raise ValueError("a header holds what no header may")
        start = self._names.get(name) or self._name(name)
        prefixes = {length: start + _length(length) for length in set(map(len, values))}
        return [(prefixes[len(value)] + value).encode("latin-1") for value in values]

    def _name(self, name: str) -> str:
        lower = name.lower()
        if not lower or not _NAME.issuperset(lower) or lower in _FORBIDDEN or lower == "authorization":
            raise ValueError("not the name of a header")
        encoded = "\0" + _length(len(lower)) + lower  # literal without indexing, new name
        if len(self._names) < NAMES:
            self._names[name] = encoded
        return encoded


def path(text: str) -> bytes:
    """Return ``:path``, which is ASCII, as a literal that enters no table."""
    return f"\x04{_length(len(text))}{text}".encode("latin-1")


class Constants:
    """Our mirror of the peer's table, and the blocks of a request that refer to it."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._most = TABLE
        self._entries: dict[tuple[str, str], int] = {}  # number of the insertion, oldest first
        self._size = 0
        self._inserted = 0
        self._resized = False
        self._known: dict[tuple[str, str], tuple[bytes, bytes]] = {}

    def resize(self, size: int) -> None:
        """Take the size of the table that the peer allows. Ours is empty after a change."""
        size = min(size, TABLE)
        if size != self._most:
            self._most = size
            self._resized = True
            self._entries.clear()
            self._known.clear()
            self._size = 0

    def block(self, method: str, encoded_path: bytes, authorization: str, rest: bytes) -> bytes:
        """Return the whole block of a request. It must be sent, in the order of the calls."""
        known = self._known.get((method, authorization))
        if known is None:
            known = self._refer(method, authorization)
        return known[0] + encoded_path + known[1] + rest

    def _refer(self, method: str, authorization: str) -> tuple[bytes, bytes]:
        start = b""
        if self._resized:  # said once, in front of the next block
            self._resized = False
            start = b"\x20" + (integer(self._most, 5, 0x20) if self._most else b"")
        inserted = self._inserted
        before = start + _method(method) + self._entry(":authority", self._authority)
        after = self._entry("authorization", authorization) if authorization else b""
        if inserted == self._inserted and not start and len(self._known) < NAMES:
            self._known[method, authorization] = before, after
        return before, after

    def _entry(self, name: str, value: str) -> bytes:
        """Return a reference to an entry of the table, made if it fits."""
        number = self._entries.get((name, value))
        if number is not None:
            return integer(DYNAMIC + self._inserted - 1 - number, 7, 0x80)
        index = 1 if name == ":authority" else 23  # of the name in the static table
        size = len(name) + len(value) + ENTRY
        if size > self._most // 2:  # half, so that the two of a request always fit side by side
            return integer(index, 4, 0) + string(value)
        while self._size + size > self._most:
            oldest = next(iter(self._entries))
            del self._entries[oldest]
            self._size -= len(oldest[0]) + len(oldest[1]) + ENTRY
        self._entries[name, value] = self._inserted
        self._inserted += 1
        self._size += size
        self._known.clear()  # every index has moved
        return integer(index, 6, 0x40) + string(value)


def _method(method: str) -> bytes:
    return _METHODS.get(method) or b"\x02" + string(method) + b"\x87"


class Headers(Sequence[tuple[str, str]]):
    """An answer's headers, decoded when they are read. Damaged ones are none."""

    __slots__ = ("_block", "_decoded")

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._decoded: tuple[tuple[str, str], ...] | None = None

    def _all(self) -> tuple[tuple[str, str], ...]:
        if self._decoded is None:
            try:
                self._decoded = decode(self._block)[1]
            except (Violation, StreamViolation):
                self._decoded = ()
        return self._decoded

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[str, str], ...]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, str] | tuple[tuple[str, str], ...]:
        return self._all()[index]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._all())


def decode(block: bytes) -> tuple[int, tuple[tuple[str, str], ...]]:
    """
    Return the status and the headers of an answer.

    Raises:
        Violation: the block is no HPACK, or it leans on a table that does not exist.
        StreamViolation: it says no answer, or more than :data:`HEADER_LIST`.
    """
    fields = _decompress(block)
    if not fields or fields[0][0] != ":status" or any(name[:1] == ":" for name, _ in fields[1:]):
        raise StreamViolation(Code.PROTOCOL_ERROR, "the pseudo-headers are not those of an answer")
    status = fields[0][1]
    if len(status) != 3 or not (status.isascii() and status.isdigit()) or status < "100":
        raise StreamViolation(Code.PROTOCOL_ERROR, "not a status")
    if any(name != name.lower() for name, _ in fields):
        raise StreamViolation(Code.PROTOCOL_ERROR, "a header's name in upper case")
    return int(status), fields[1:]


def _decompress(block: bytes) -> tuple[tuple[str, str], ...]:
    decoder = Decoder(max_header_list_size=HEADER_LIST)
    decoder.header_table_size = 0
    decoder.max_allowed_table_size = 0
    try:
        fields = decoder.decode(block, raw=True)
    except OversizedHeaderListError as error:
        raise StreamViolation(Code.ENHANCE_YOUR_CALM, "too many headers") from error
    except (HPACKError, ValueError, LookupError) as error:
        raise Violation(Code.COMPRESSION_ERROR, "a header block does not decode") from error
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)
