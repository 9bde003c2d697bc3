"""
HPACK for a mock that must not be the slowest part of a measurement (RFC 7541).

Reads every form that a client may send; writes literals only, so that responses need no table.
"""

from collections.abc import Iterable

from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE
from hpack.table import HeaderTable

MAX_TABLE_BYTES = 4096  # of the dynamic table, as every client may assume
MAX_CACHED_TEXTS = 20_000  # Huffman texts; most come again and again
MAX_BLOCK_BYTES = 64 * 1024

_STATIC = tuple((name.decode(), value.decode()) for name, value in HeaderTable.STATIC_TABLE)
_STATUS = {200: b"\x88", 204: b"\x89", 206: b"\x8a", 304: b"\x8b", 400: b"\x8c", 404: b"\x8d", 500: b"\x8e"}


class MalformedBlock(Exception):
    """A header block is no HPACK; the connection must end."""


class HeaderDecoder:
    """The header blocks of one connection, in their order."""

    def __init__(self) -> None:
        self._table: list[tuple[str, str]] = []  # newest first
        self._size = 0
        self._limit = MAX_TABLE_BYTES
        self._texts: dict[bytes, str] = {}

    def decode(self, block: bytes) -> list[tuple[str, str]]:
        """Return the fields of a block. Raises MalformedBlock."""
        try:
            return self._decode(block)
        except IndexError as error:
            raise MalformedBlock("a field is cut, or an index leads nowhere") from error

    def _decode(self, block: bytes) -> list[tuple[str, str]]:
        fields: list[tuple[str, str]] = []
        at, end = 0, len(block)
        while at < end:
            byte = block[at]
            if byte & 0x80:
                index = byte & 0x7F
                at += 1
                if index == 0x7F:
                    index, at = _integer(block, at, index)
                fields.append(_STATIC[index - 1] if 0 < index < 62 else self._entry(index))
                continue
            if byte & 0xE0 == 0x20:
                size, at = _integer(block, at + 1, 0x1F) if byte == 0x3F else (byte & 0x1F, at + 1)
                self._resize(size)
                continue
            mask = 0x3F if byte & 0x40 else 0x0F
            index = byte & mask
            at += 1
            if index == mask:
                index, at = _integer(block, at, mask)
            if index:
                name = (_STATIC[index - 1] if index < 62 else self._entry(index))[0]
            else:
                name, at = self._text(block, at)
            value, at = self._text(block, at)
            fields.append((name, value))
            if byte & 0x40:
                self._insert(name, value)
        return fields

    def _entry(self, index: int) -> tuple[str, str]:
        if index < 62:
            raise MalformedBlock("index 0")
        return self._table[index - 62]

    def _text(self, block: bytes, at: int) -> tuple[str, int]:
        byte = block[at]
        length = byte & 0x7F
        at += 1
        if length == 0x7F:
            length, at = _integer(block, at, length)
        end = at + length
        raw = block[at:end]
        if len(raw) != length:
            raise MalformedBlock("a text is cut")
        if not byte & 0x80:
            return raw.decode("latin-1"), end
        text = self._texts.get(raw)
        if text is None:
            if len(self._texts) >= MAX_CACHED_TEXTS:
                self._texts.clear()
            text = self._texts[raw] = decode_huffman(raw)
        return text, end

    def _insert(self, name: str, value: str) -> None:
        self._table.insert(0, (name, value))
        self._size += len(name) + len(value) + 32
        self._shrink()

    def _resize(self, size: int) -> None:
        if size > MAX_TABLE_BYTES:
            raise MalformedBlock("a larger table than allowed")
        self._limit = size
        self._shrink()

    def _shrink(self) -> None:
        while self._size > self._limit:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + 32


def decode_huffman(raw: bytes) -> str:
    """Return the text of Huffman codes. Raises MalformedBlock."""
    steps, texts = _STEPS, []
    state, ends = 0, True
    for byte in raw:
        step = steps.get(state | byte) or _step(state | byte)
        state, text, ends = step
        texts.append(text)
    if not ends:
        raise MalformedBlock("a Huffman code is cut")
    return "".join(texts)


_STEPS: dict[int, tuple[int, str, bool]] = {}
"""State << 8 | byte → the next state << 8, what came out, and whether a text may end there. Filled when needed."""


def _step(key: int) -> tuple[int, str, bool]:
    state, text, flags = key >> 8, "", 0
    for nibble in (key >> 4 & 15, key & 15):
        state, flags, symbol = HUFFMAN_TABLE[state * 16 + nibble]
        if flags & HUFFMAN_FAIL:
            raise MalformedBlock("no Huffman code")
        if flags & HUFFMAN_EMIT_SYMBOL:
            text += chr(symbol)
    step = _STEPS[key] = (state << 8, text, bool(flags & HUFFMAN_COMPLETE))
    return step


def encode(status: int, fields: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return the header block of a response, made of literals."""
    start = _STATUS.get(status) or b"\x08\x03" + str(status).encode()
    return start + b"".join(literal(name, value) for name, value in fields)


def literal(name: str, value: str) -> bytes:
    """Return one field that enters no table."""
    return b"\0" + _length(len(name)) + name.encode("latin-1") + _length(len(value)) + value.encode("latin-1")


def _length(number: int) -> bytes:
    if number < 0x7F:
        return bytes((number,))
    rest = number - 0x7F
    parts = [0x7F]
    while rest >= 0x80:
        parts.append(rest & 0x7F | 0x80)
        rest >>= 7
    parts.append(rest)
    return bytes(parts)


def _integer(block: bytes, at: int, start: int) -> tuple[int, int]:
    """Return a number that did not fit into its prefix, and where the block goes on."""
    number, shift = start, 0
    while True:
        byte = block[at]
        at += 1
        number += (byte & 0x7F) << shift
        if number > MAX_BLOCK_BYTES:
            raise MalformedBlock("a number is too large")
        if byte < 0x80:
            return number, at
        shift += 7
