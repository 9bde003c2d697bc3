"""
The server's side of one HTTP/2 connection (RFC 9113, 7541).

It reads and writes frames by itself, because the h2 library would cost more than all the rest of the mock.
"""

import asyncio
import struct

from hushbell.testing.mock.hpack import MAX_BLOCK_BYTES, HeaderDecoder, MalformedBlock, encode
from hushbell.testing.mock.http import MAX_BODY_BYTES, Fault, Handler, Request, Response

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW = 1 << 30  # bytes; requests are small, so the connection's window is opened once, and again when half used
MAX_FRAME_BYTES = 16_384

_HEAD = struct.Struct(">IBI")  # length << 8 | type, flags, stream
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW, _CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
_INITIAL_WINDOW = 4  # a setting
_INTERNAL_ERROR, _PROTOCOL_ERROR, _REFUSED_STREAM = 2, 1, 7


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return _HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


class _ProtocolError(Exception):
    """The client breaks the protocol; the connection must end."""


class MockHttp2:
    """Reads requests and writes responses; needs nothing but a transport to write to."""

    def __init__(
        self, transport: asyncio.Transport, handle: Handler, *, number: int, streams: int, is_certified: bool
    ) -> None:
        self._transport = transport
        self._handle = handle
        self._number = number
        self._streams = streams
        self._is_certified = is_certified
        self._decoder = HeaderDecoder()
        self._buffer = b""
        self._open: dict[int, tuple[list[tuple[str, str]], bytearray]] = {}
        self._unanswered: set[int] = set()  # streams that wait for their response
        self._block: tuple[int, int, bytearray] | None = (
            None  # a header block that is not complete: stream, flags, bytes
        )
        self._read = 0  # bytes of bodies since the last WINDOW_UPDATE
        self._window = 65_535  # bytes of bodies that the client accepts now
        self._initial = 65_535  # bytes of a body that the client accepts on a new stream
        self._credit: dict[int, int] = {}  # the same on streams with a WINDOW_UPDATE
        self._unsent: dict[int, bytes] = {}  # the rest of bodies that wait for it
        self._out: list[bytes] = []
        self._has_preface = False
        self._last = 0  # the highest stream that is handled
        self._highest = 0  # the highest stream that the client has opened
        self._is_going_away = False
        self.max_streams = 0  # streams side by side
        transport.write(
            frame(_SETTINGS, 0, 0, struct.pack(">HIHI", 3, streams, 4, 1 << 24))
            + frame(_WINDOW, 0, 0, struct.pack(">I", WINDOW))
        )

    def feed(self, data: bytes) -> None:
        """Read bytes and handle every request that is complete."""
        try:
            self._feed(self._buffer + data if self._buffer else data)
        except (_ProtocolError, MalformedBlock):
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
        """Accept no more streams; open ones get their responses."""
        self._is_going_away = True
        self._out.append(frame(_GOAWAY, 0, 0, struct.pack(">II", self._last, 0)))
        self.flush()
        self._end_if_idle()

    def respond(self, stream: int, response: Response) -> None:
        """Send the response to a stream, unless the client has reset it meanwhile."""
        if stream not in self._unanswered:
            return
        if response.fault in (Fault.RESET, Fault.REFUSE):
            code = _INTERNAL_ERROR if response.fault is Fault.RESET else _REFUSED_STREAM
            self._out.append(frame(_RESET, 0, stream, struct.pack(">I", code)))
        elif response.fault is Fault.BLACKHOLE:
            return
        else:
            block, body = encode(response.status, response.headers), response.body
            if not body:
                self._out.append(_HEAD.pack(len(block) << 8 | _HEADERS, 5, stream) + block)
            elif len(body) <= min(self._window, self._initial, MAX_FRAME_BYTES) and not self._unsent:
                self._window -= len(body)
                head = _HEAD.pack(len(block) << 8 | _HEADERS, 4, stream)
                self._out.append(head + block + _HEAD.pack(len(body) << 8, 1, stream) + body)
            else:
                self._out.append(frame(_HEADERS, 4, stream, block))
                self._unsent[stream] = body
                self._send_rest()
        self._unanswered.discard(stream)
        if response.fault is Fault.GOAWAY:
            self.go_away()
        elif self._is_going_away:
            self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._is_going_away and not self._open and not self._unanswered and not self._unsent:
            self.flush()
            self._transport.close()

    def _feed(self, data: bytes) -> None:
        at, end = 0, len(data)
        if not self._has_preface:
            if end < len(PREFACE):
                self._buffer = data
                return
            if not data.startswith(PREFACE):
                raise _ProtocolError("no preface")
            self._has_preface = True
            at = len(PREFACE)
        unpack = _HEAD.unpack_from
        while end - at >= 9:
            first, flags, stream = unpack(data, at)
            length = first >> 8
            if length > MAX_FRAME_BYTES:
                raise _ProtocolError("a frame is too long")
            begin = at + 9
            if begin + length > end:
                break
            at = begin + length
            self._frame(first & 0xFF, flags, stream & 0x7FFFFFFF, data[begin:at])
        self._buffer = data[at:] if at < end else b""

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._block is not None and kind != _CONTINUATION:
            raise _ProtocolError("a header block is interrupted")
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
                raise _ProtocolError("cut settings")
            for name, value in struct.iter_unpack(">HI", payload):
                if name == _INITIAL_WINDOW:
                    self._initial = value
            self._out.append(frame(_SETTINGS, 1, 0))
        elif kind == _PING and len(payload) != 8:
            raise _ProtocolError("a PING has 8 bytes")
        elif kind == _PING and not flags & 1:
            self._out.append(frame(_PING, 1, 0, payload))
        elif kind == _WINDOW:
            self._on_window_update(stream, payload)
        elif kind == _RESET:
            if len(payload) != 4 or not 0 < stream <= self._highest:
                raise _ProtocolError("an illegal reset")
            self._open.pop(stream, None)
            self._unsent.pop(stream, None)
            self._unanswered.discard(stream)

    def _on_window_update(self, stream: int, payload: bytes) -> None:
        more = int.from_bytes(payload, "big") & 0x7FFFFFFF
        if len(payload) != 4 or not more or stream > self._highest:
            raise _ProtocolError("an illegal window update")
        if stream == 0:
            self._window += more
        elif stream in self._unsent or stream in self._unanswered:
            self._credit[stream] = self._credit.get(stream, self._initial) + more
        self._send_rest()

    def _send_rest(self) -> None:
        """Send as much of the waiting bodies as the client accepts now."""
        for stream in list(self._unsent):
            body, credit = self._unsent[stream], self._credit.get(stream, self._initial)
            while body and (size := min(len(body), credit, self._window, MAX_FRAME_BYTES)) > 0:
                piece, body = body[:size], body[size:]
                credit -= size
                self._window -= size
                self._out.append(frame(_DATA, 0 if body else 1, stream, piece))
            if body:
                self._unsent[stream], self._credit[stream] = body, credit
            else:
                del self._unsent[stream]
                self._credit.pop(stream, None)

    def _on_headers(self, flags: int, stream: int, payload: bytes) -> None:
        if flags & 0x28:
            payload = _unpadded(flags, payload)
        if not stream & 1 or (stream <= self._highest and stream not in self._open):
            raise _ProtocolError("an illegal stream")
        if flags & 4:
            self._on_block(stream, flags, payload)
        else:
            self._block = (stream, flags, bytearray(payload))

    def _on_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != stream or len(self._block[2]) > MAX_BLOCK_BYTES:
            raise _ProtocolError("an illegal continuation")
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
        self._highest = stream
        if self._is_going_away:
            self._out.append(frame(_RESET, 0, stream, struct.pack(">I", _REFUSED_STREAM)))
            return
        self._last = stream
        side_by_side = len(self._open) + len(self._unanswered) + 1
        if side_by_side > self._streams:
            self._out.append(frame(_RESET, 0, stream, struct.pack(">I", _REFUSED_STREAM)))
            return
        self.max_streams = max(self.max_streams, side_by_side)
        self._open[stream] = (fields, bytearray())
        if flags & 1:
            self._complete(stream)

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        if not 0 < stream <= self._highest:
            raise _ProtocolError("a body without headers")
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
        if len(body) < MAX_BODY_BYTES:
            body += payload
        if flags & 1:
            self._complete(stream)

    def _complete(self, stream: int) -> None:
        fields, body = self._open.pop(stream)
        headers = dict(fields)
        if len(headers) != len(fields):
            headers["duplicate"] = "yes"  # no client sends a header of that name
        length = headers.get("content-length")
        if length is not None and length != str(len(body)) and len(body) < MAX_BODY_BYTES:
            raise _ProtocolError("the body has another length than the headers say")
        method, path = headers.pop(":method", ""), headers.pop(":path", "")
        headers.pop(":scheme", None)
        host = headers.pop(":authority", None)
        if host is not None:
            headers["host"] = host
        self._unanswered.add(stream)
        response = self._handle(Request(method, path, headers, bytes(body), self._number, stream, self._is_certified))
        if response.delay:
            asyncio.get_running_loop().call_later(response.delay, self._respond_late, stream, response)
        elif response.fault is Fault.CLOSE:
            self._transport.abort()
        else:
            self.respond(stream, response)

    def _respond_late(self, stream: int, response: Response) -> None:
        if self._transport.is_closing():
            return
        if response.fault is Fault.CLOSE:
            self._transport.abort()
            return
        self.respond(stream, response)
        self.flush()


def _unpadded(flags: int, payload: bytes) -> bytes:
    """Return the payload without padding and priority."""
    start, end = 0, len(payload)
    if flags & 8:
        if not payload or payload[0] >= end:
            raise _ProtocolError("too much padding")
        start, end = 1, end - payload[0]
    if flags & 0x20:
        start += 5
    return payload[start:end]
