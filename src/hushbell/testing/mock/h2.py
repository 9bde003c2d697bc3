"""One HTTP/2 connection to the stand-in: own frames and tables, because h2 would cost more than all the rest."""

import asyncio
import struct

from hushbell.testing.mock.hpack import BLOCK, Decoder, Malformed, encode
from hushbell.testing.mock.http import BODY, Fault, Handle, Reply, Request

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW = 1 << 30  # bytes; requests are small, so the connection's window is opened once, and again when half used
FRAME = 16_384  # bytes, the largest frame that is taken

_HEAD = struct.Struct(">IBI")  # length << 8 | type, flags, stream
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW, _CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
_INITIAL_WINDOW = 4  # a setting
_INTERNAL_ERROR, _PROTOCOL_ERROR, _REFUSED_STREAM = 2, 1, 7


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return _HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


class _Violation(Exception):
    """The client breaks the protocol: the connection ends."""


class Http2:
    """Reads requests and writes answers; knows nothing of sockets but a transport to write to."""

    def __init__(
        self, transport: asyncio.Transport, handle: Handle, *, number: int, streams: int, certified: bool
    ) -> None:
        self._transport = transport
        self._handle = handle
        self._number = number
        self._streams = streams
        self._certified = certified
        self._decoder = Decoder()
        self._buffer = b""
        self._open: dict[int, tuple[list[tuple[str, str]], bytearray]] = {}
        self._under_way: set[int] = set()  # streams whose answer is still to come
        self._block: tuple[int, int, bytearray] | None = None  # a header block that goes on
        self._read = 0
        self._window = 65_535  # bytes of bodies that the client takes now
        self._initial = 65_535  # bytes of a body that the client takes on a new stream
        self._credit: dict[int, int] = {}  # the same for streams of which it has spoken
        self._late: dict[int, bytes] = {}  # what is left of bodies that wait for it
        self._out: list[bytes] = []
        self._started = False
        self._last = 0
        self._leaving = False
        self.most = 0  # streams side by side
        transport.write(
            frame(_SETTINGS, 0, 0, struct.pack(">HIHI", 3, streams, 4, 1 << 24))
            + frame(_WINDOW, 0, 0, struct.pack(">I", WINDOW))
        )

    def feed(self, data: bytes) -> None:
        """Take bytes and answer everything that is complete."""
        try:
            self._feed(self._buffer + data if self._buffer else data)
        except (_Violation, Malformed):
            self._out.append(frame(_GOAWAY, 0, 0, struct.pack(">II", self._last, _PROTOCOL_ERROR)))
            self.flush()
            self._transport.close()
            return
        self.flush()

    def flush(self) -> None:
        """Write what is ready."""
        if self._out and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def go_away(self) -> None:
        """Take no more streams; those that are open get their answers."""
        self._leaving = True
        self._out.append(frame(_GOAWAY, 0, 0, struct.pack(">II", self._last, 0)))
        self.flush()
        self._end_if_idle()

    def answer(self, stream: int, reply: Reply) -> None:
        """Answer a stream as told. What the client gave up meanwhile is not answered."""
        if stream not in self._under_way:
            return
        if reply.act in (Fault.RESET, Fault.REFUSE):
            code = _INTERNAL_ERROR if reply.act is Fault.RESET else _REFUSED_STREAM
            self._out.append(frame(_RESET, 0, stream, struct.pack(">I", code)))
        elif reply.act is Fault.BLACKHOLE:
            return
        else:
            block, body = encode(reply.status, reply.headers), reply.body
            if not body:
                self._out.append(_HEAD.pack(len(block) << 8 | _HEADERS, 5, stream) + block)
            elif len(body) <= min(self._window, self._initial, FRAME) and not self._late:
                self._window -= len(body)
                head = _HEAD.pack(len(block) << 8 | _HEADERS, 4, stream)
                self._out.append(head + block + _HEAD.pack(len(body) << 8, 1, stream) + body)
            else:
                self._out.append(frame(_HEADERS, 4, stream, block))
                self._late[stream] = body
                self._send_late()
        self._under_way.discard(stream)
        if reply.act is Fault.GOAWAY:
            self.go_away()
        elif self._leaving:
            self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._leaving and not self._open and not self._under_way and not self._late:
            self.flush()
            self._transport.close()

    def _feed(self, data: bytes) -> None:
        at, end = 0, len(data)
        if not self._started:
            if end < len(PREFACE):
                self._buffer = data
                return
            if not data.startswith(PREFACE):
                raise _Violation("no preface")
            self._started = True
            at = len(PREFACE)
        unpack = _HEAD.unpack_from
        while end - at >= 9:
            first, flags, stream = unpack(data, at)
            length = first >> 8
            if length > FRAME:
                raise _Violation("a frame is too long")
            begin = at + 9
            if begin + length > end:
                break
            at = begin + length
            self._frame(first & 0xFF, flags, stream & 0x7FFFFFFF, data[begin:at])
        self._buffer = data[at:] if at < end else b""

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._block is not None and kind != _CONTINUATION:
            raise _Violation("a header block is interrupted")
        if kind == _HEADERS:
            self._on_headers(flags, stream, payload)
        elif kind == _DATA:
            self._on_data(flags, stream, payload)
        elif kind == _CONTINUATION:
            self._on_continuation(flags, stream, payload)
        else:
            self._on_control(kind, flags, stream, payload)

    def _on_control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & 1:
            if len(payload) % 6:
                raise _Violation("cut settings")
            for name, value in struct.iter_unpack(">HI", payload):
                if name == _INITIAL_WINDOW:
                    self._initial = value
            self._out.append(frame(_SETTINGS, 1, 0))
        elif kind == _PING and not flags & 1:
            self._out.append(frame(_PING, 1, 0, payload))
        elif kind == _WINDOW:
            more = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
            if stream == 0:
                self._window += more
            elif stream in self._late or stream in self._under_way:
                self._credit[stream] = self._credit.get(stream, self._initial) + more
            self._send_late()
        elif kind == _RESET:
            self._open.pop(stream, None)
            self._late.pop(stream, None)
            self._under_way.discard(stream)

    def _send_late(self) -> None:
        """Send of the bodies that wait what the client takes now."""
        for stream in list(self._late):
            body, credit = self._late[stream], self._credit.get(stream, self._initial)
            while body and (size := min(len(body), credit, self._window, FRAME)) > 0:
                piece, body = body[:size], body[size:]
                credit -= size
                self._window -= size
                self._out.append(frame(_DATA, 0 if body else 1, stream, piece))
            if body:
                self._late[stream], self._credit[stream] = body, credit
            else:
                del self._late[stream]
                self._credit.pop(stream, None)

    def _on_headers(self, flags: int, stream: int, payload: bytes) -> None:
        if flags & 0x28:
            payload = _unpadded(flags, payload)
        if not stream & 1 or (stream <= self._last and stream not in self._open):
            raise _Violation("an illegal stream")
        if flags & 4:
            self._on_block(stream, flags, payload)
        else:
            self._block = (stream, flags, bytearray(payload))

    def _on_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != stream or len(self._block[2]) > BLOCK:
            raise _Violation("an illegal continuation")
        self._block[2].extend(payload)
        if flags & 4:
            _, first, block = self._block
            self._block = None
            self._on_block(stream, first, bytes(block))

    def _on_block(self, stream: int, flags: int, block: bytes) -> None:
        fields = self._decoder.decode(block)
        if stream in self._open:  # trailers
            self._complete(stream)
            return
        if self._leaving:
            self._out.append(frame(_RESET, 0, stream, struct.pack(">I", _REFUSED_STREAM)))
            return
        self._last = stream
        side_by_side = len(self._open) + len(self._under_way) + 1
        if side_by_side > self._streams:
            self._out.append(frame(_RESET, 0, stream, struct.pack(">I", _REFUSED_STREAM)))
            return
        self.most = max(self.most, side_by_side)
        self._open[stream] = (fields, bytearray())
        if flags & 1:
            self._complete(stream)

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        self._read += len(payload)
        if self._read > WINDOW // 2:
            self._out.append(frame(_WINDOW, 0, 0, struct.pack(">I", self._read)))
            self._read = 0
        if flags & 8:
            payload = _unpadded(8, payload)
        known = self._open.get(stream)
        if known is None:
            return
        body = known[1]
        if len(body) < BODY:
            body += payload
        if flags & 1:
            self._complete(stream)

    def _complete(self, stream: int) -> None:
        fields, body = self._open.pop(stream)
        headers = dict(fields)
        if len(headers) != len(fields):
            headers["duplicate"] = "yes"  # no client sends a header of that name
        method, path = headers.pop(":method", ""), headers.pop(":path", "")
        headers.pop(":scheme", None)
        host = headers.pop(":authority", None)
        if host is not None:
            headers["host"] = host
        self._under_way.add(stream)
        reply = self._handle(Request(method, path, headers, bytes(body), self._number, stream, self._certified))
        if reply.delay:
            asyncio.get_running_loop().call_later(reply.delay, self._answer_late, stream, reply)
        elif reply.act is Fault.CLOSE:
            self._transport.abort()
        else:
            self.answer(stream, reply)

    def _answer_late(self, stream: int, reply: Reply) -> None:
        if self._transport.is_closing():
            return
        if reply.act is Fault.CLOSE:
            self._transport.abort()
            return
        self.answer(stream, reply)
        self.flush()


def _unpadded(flags: int, payload: bytes) -> bytes:
    """Take padding and priority off."""
    start, end = 0, len(payload)
    if flags & 8:
        if not payload or payload[0] >= end:
            raise _Violation("too much padding")
        start, end = 1, end - payload[0]
    if flags & 0x20:
        start += 5
    return payload[start:end]
