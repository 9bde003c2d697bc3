"""
One HTTP/2 connection of a client, without the connection: bytes in, bytes and results out (RFC 9113).

The same stream of bytes gives the same results in any pieces. Nothing a peer sends costs more than
:class:`Bounds` says.
"""

from collections.abc import Callable

from hushbell.http.h2.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    FRAME,
    GONE,
    HEAD,
    HEAD_SIZE,
    LARGEST_STREAM,
    PREFACE,
    PRIORITISED,
    SETTING,
    U32,
    WINDOW,
    Code,
    Setting,
    StreamViolation,
    Type,
    Violation,
    frame,
    settings,
    unpadded,
)
from hushbell.http.h2.hpack import HEADER_LIST, Headers, decode
from hushbell.http.h2.stream import Bounds, H2Stream, Result
from hushbell.http.h2.writer import FrameWriter
from hushbell.ports.http import FailureKind, HttpFailure, HttpResponse

UNANSWERED = HttpFailure(FailureKind.CLOSED, sent=True)
STATUS_200 = 0x88  # the first byte of a block that says status 200
_EMPTY_200 = HttpResponse(200, (), b"")
_HEADERS = int(Type.HEADERS)
_COMPLETE = END_HEADERS | END_STREAM
FRAMES_PER_REQUEST = 4  # frames beside its response that a request may cause, such as WINDOW_UPDATE
LATE_FRAMES = 8  # frames that may still arrive of a stream that we reset
SETTINGS_WEIGHT = 10  # how much worse than a PING: it is answered, and may walk over all streams


class H2Protocol:
    """After ``open``, ``cancel``, ``ping``, ``go_away`` and ``receive`` the caller writes ``data_to_send``."""

    def __init__(self, authority: str, bounds: Bounds) -> None:
        self.streams: dict[int, H2Stream] = {}  # in the order in which they were opened
        self.results: list[tuple[H2Stream, Result]] = []  # for the caller to take
        self.unprocessed: list[H2Stream] = []  # the peer says that it has not processed them; for the caller to take
        self.ready = False  # the peer has said what it allows
        self.going_away = False  # no stream may be opened any more
        self.failed: Violation | None = None  # the connection is to be cut
        self.answered = 0  # whole answers
        self._out = FrameWriter(authority)
        self._bounds = bounds
        self._partial = b""  # the beginning of a frame
        self._block: bytearray | None = None  # of headers that are not complete
        self._block_of = (0, 0)  # stream and flags
        self._unreturned = 0  # bytes of bodies received that the peer has not been given back
        self._nuisances = 0
        self._late = 0  # frames of given-up streams that may still be on their way
        self._period_began = 0.0
        self._now = 0.0
        self._out.write(PREFACE)
        announced = {
            Setting.HEADER_TABLE_SIZE: 0,
            Setting.ENABLE_PUSH: 0,
            Setting.INITIAL_WINDOW_SIZE: bounds.answer + 1,  # one byte shows that there is more
            Setting.MAX_HEADER_LIST_SIZE: HEADER_LIST,
        }
        self._out.write(settings(announced))
        if bounds.window > WINDOW:
            self._out.write(frame(Type.WINDOW_UPDATE, 0, 0, U32.pack(bounds.window - WINDOW)))
        self._handlers: dict[int, Callable[[int, int, bytes], None]] = {
            Type.DATA: self._on_data,
            Type.HEADERS: self._on_headers,
            Type.PRIORITY: self._on_priority,
            Type.RST_STREAM: self._on_reset,
            Type.SETTINGS: self._on_settings,
            Type.PUSH_PROMISE: self._on_push,
            Type.PING: self._on_ping,
            Type.GOAWAY: self._on_goaway,
            Type.WINDOW_UPDATE: self._on_window,
            Type.CONTINUATION: self._on_continuation,
        }

    # Calls of the connection.

    def room(self) -> int:
        """Return how many streams may be opened now."""
        if not self.ready or self.going_away or self.failed or self._out.window <= 0:
            return 0
        return min(self._bounds.streams, self._out.allowed) - len(self.streams)

    def open(self, stream: H2Stream) -> bool:
        """Send a request. Only while there is room. Return whether the next one is worth beginning."""
        out = self._out
        out.open(stream)
        self.streams[stream.sid] = stream
        self._nuisances -= FRAMES_PER_REQUEST
        if out.next_sid >= 2 * self._bounds.requests or out.next_sid > LARGEST_STREAM:
            self.going_away = True
            return False
        return out.window > 0

    def cancel(self, stream: H2Stream) -> None:
        """Forget a stream and reset it at the peer."""
        if self.streams.pop(stream.sid, None) is not None:
            self._late += LATE_FRAMES
            self._out.reset(stream.sid, Code.CANCEL)

    def ping(self) -> None:
        """Send a PING; any frame that follows shows that the peer is alive."""
        self._out.write(frame(Type.PING, 0, 0, bytes(8)))

    def go_away(self, code: Code = Code.NO_ERROR) -> None:
        """Send GOAWAY."""
        self.going_away = True
        self._out.write(frame(Type.GOAWAY, 0, 0, GONE.pack(0, code)))

    def data_to_send(self) -> bytes:
        """Return the bytes to write now, and forget them."""
        return self._out.data_to_send()

    def connection_lost(self) -> None:
        """End all streams after the connection was lost; whether the peer processed them is unknown."""
        self.going_away = True
        self.results += [(stream, UNANSWERED) for stream in self.streams.values()]
        self.streams.clear()

    def receive(self, data: bytes, now: float) -> None:
        """Read bytes. ``results`` and ``unprocessed`` may have grown; after ``failed`` nothing is read any more."""
        if self.failed:
            return
        self._now = now
        if self._partial:
            data = self._partial + data
        try:
            self._partial = data[self._read(data) :]
        except Violation as violation:
            self.failed = violation
            self.go_away(violation.code)

    # Reading.

    def _read(self, data: bytes) -> int:
        """Take the whole frames and return where the first incomplete one begins."""
        at, end, streams, unpack = 0, len(data), self.streams, HEAD.unpack_from
        while end - at >= HEAD_SIZE:
            head, flags, sid = unpack(data, at)
            start = at + HEAD_SIZE
            after = start + (head >> 8)
            if after - start > FRAME:
                raise Violation(Code.FRAME_SIZE_ERROR, "a frame longer than allowed")
            if after > end:
                break
            at = after
            kind = head & 0xFF
            # The usual response, whole in one frame: status 200 and headers that are hardly ever read.
            is_complete = kind == _HEADERS and flags == _COMPLETE
            if is_complete and sid in streams and after > start and data[start] == STATUS_200:
                stream = streams[sid]
                if not stream.status and self._block is None:
                    answer = _EMPTY_200 if after - start == 1 else HttpResponse(200, Headers(data[start:after]), b"")
                    self._finish(stream, answer)
                    continue
            self._frame(kind, flags, sid & LARGEST_STREAM, data[start:after])
        return at

    def _frame(self, kind: int, flags: int, sid: int, payload: bytes) -> None:
        if self._block is not None and kind != Type.CONTINUATION:
            raise Violation(Code.PROTOCOL_ERROR, "headers interrupted")
        if not self.ready and (kind != Type.SETTINGS or flags & ACK):
            raise Violation(Code.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        handler = self._handlers.get(kind)
        if handler is None:
            self._count_nuisance(1)
            return
        try:
            handler(flags, sid, payload)
        except StreamViolation as violation:
            self._abandon(sid, violation.code)

    def _count_nuisance(self, weight: int) -> None:
        """Count a frame that serves no request."""
        if self._now - self._period_began >= self._bounds.period:
            self._period_began, self._nuisances = self._now, -FRAMES_PER_REQUEST * len(self.streams)
        self._nuisances += weight
        if self._nuisances > self._bounds.nuisance:
            raise Violation(Code.ENHANCE_YOUR_CALM, "too many frames for nothing")

    def _finish(self, stream: H2Stream, result: Result) -> None:
        del self.streams[stream.sid]
        if stream.unsent:  # answered before the whole request was sent
            self._out.reset(stream.sid, Code.CANCEL)
        self.answered += 1
        self.results.append((stream, result))

    def _complete(self, stream: H2Stream) -> None:
        self._finish(stream, HttpResponse(stream.status, stream.headers, b"".join(stream.body)))

    def _abandon(self, sid: int, code: Code) -> None:
        """End a stream whose answer cannot be understood."""
        self._out.reset(sid, code)
        stream = self.streams.pop(sid, None)
        if stream is not None:
            self._late += LATE_FRAMES
            self.results.append((stream, UNANSWERED))

    def _stream(self, sid: int) -> H2Stream | None:
        """
        Return the stream of a frame, or None for one that has ended.

        Raises:
            Violation: there never was such a stream.
        """
        stream = self.streams.get(sid)
        if stream is None:
            if not sid & 1 or sid >= self._out.next_sid:
                raise Violation(Code.PROTOCOL_ERROR, "a frame of a stream that was never opened")
            if self._late:
                self._late -= 1
            else:
                self._count_nuisance(1)
        return stream

    # Answers.

    def _on_headers(self, flags: int, sid: int, payload: bytes) -> None:
        payload = unpadded(flags, payload)
        if flags & PRIORITISED:
            if len(payload) < 5:
                raise Violation(Code.FRAME_SIZE_ERROR, "HEADERS too short")
            payload = payload[5:]
        if flags & END_HEADERS:
            self._headers(flags, sid, payload)
        else:
            self._stream(sid)
            self._block, self._block_of = bytearray(payload), (sid, flags)

    def _on_continuation(self, flags: int, sid: int, payload: bytes) -> None:
        if self._block is None or sid != self._block_of[0]:
            raise Violation(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
        self._count_nuisance(1)
        self._block += payload
        if len(self._block) > self._bounds.block:
            raise Violation(Code.ENHANCE_YOUR_CALM, "endless headers")
        if flags & END_HEADERS:
            block, self._block = bytes(self._block), None
            self._headers(self._block_of[1], sid, block)

    def _headers(self, flags: int, sid: int, block: bytes) -> None:
        """Take a whole header block."""
        stream = self._stream(sid)
        if stream is None:
            return
        ended = flags & END_STREAM
        if stream.status:  # trailers, which no caller needs
            if not ended:
                raise StreamViolation(Code.PROTOCOL_ERROR, "headers amid a body")
            self._complete(stream)
            return
        if block[:1] == b"\x88":
            stream.status, stream.headers = 200, Headers(block)
        else:
            status, headers = decode(block)
            if status < 200:  # an interim answer
                if ended or status == 101:
                    raise StreamViolation(Code.PROTOCOL_ERROR, "an interim answer that is none")
                self._count_nuisance(1)
                return
            stream.status, stream.headers = status, headers
        if ended:
            self._complete(stream)

    def _on_data(self, flags: int, sid: int, payload: bytes) -> None:
        self._unreturned += len(payload)
        if self._unreturned > self._bounds.window // 2:
            self._out.write(frame(Type.WINDOW_UPDATE, 0, 0, U32.pack(self._unreturned)))
            self._unreturned = 0
        piece = unpadded(flags, payload)
        stream = self._stream(sid)
        if stream is None:
            return
        if not stream.status:
            raise StreamViolation(Code.PROTOCOL_ERROR, "a body without headers")
        self._add(stream, piece, len(payload) - len(piece), ended=bool(flags & END_STREAM))

    def _add(self, stream: H2Stream, piece: bytes, padding: int, *, ended: bool) -> None:
        """Take a piece of a body."""
        most = self._bounds.answer
        if stream.received + len(piece) + padding > most + 1:
            raise StreamViolation(Code.FLOW_CONTROL_ERROR, "more bytes than the stream's window")
        stream.received += len(piece)
        stream.body.append(piece)
        if ended:
            self._cut(stream)
            self._complete(stream)
        elif stream.received > most:
            self._cut(stream)
            self._out.reset(stream.sid, Code.CANCEL)
            stream.unsent = b""
            self._complete(stream)
        elif padding:  # takes room in the stream's window, but none here
            self._out.write(frame(Type.WINDOW_UPDATE, 0, stream.sid, U32.pack(padding)))
            self._count_nuisance(1)
        elif not piece:
            self._count_nuisance(1)

    def _cut(self, stream: H2Stream) -> None:
        if stream.received > self._bounds.answer:
            stream.body = [b"".join(stream.body)[: self._bounds.answer]]

    def _on_reset(self, _flags: int, sid: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Violation(Code.FRAME_SIZE_ERROR, "RST_STREAM is 4 bytes")
        stream = self._stream(sid)
        if stream is None:
            return
        del self.streams[sid]
        self._out.blocked.pop(sid, None)
        if U32.unpack(payload)[0] == Code.REFUSED_STREAM and not stream.status:
            self.unprocessed.append(stream)
        else:
            self.results.append((stream, UNANSWERED))

    # The connection.

    def _on_settings(self, flags: int, sid: int, payload: bytes) -> None:
        if sid:
            raise Violation(Code.PROTOCOL_ERROR, "SETTINGS of a stream")
        if len(payload) % SETTING.size or (flags & ACK and payload):
            raise Violation(Code.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        self._count_nuisance(SETTINGS_WEIGHT)
        if flags & ACK:
            return
        for name, value in SETTING.iter_unpack(payload):
            self._out.configure(name, value, self.streams)
        self._out.write(frame(Type.SETTINGS, ACK, 0))
        self._out.unblock()
        self.ready = True

    def _on_window(self, _flags: int, sid: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Violation(Code.FRAME_SIZE_ERROR, "WINDOW_UPDATE is 4 bytes")
        increment = U32.unpack(payload)[0] & LARGEST_STREAM
        if not self._out.blocked:
            self._count_nuisance(1)
        if not sid:
            if not increment:
                raise Violation(Code.PROTOCOL_ERROR, "a window widened by nothing")
            self._out.widen(increment)
        elif (stream := self._stream(sid)) is not None:
            self._out.widen_stream(stream, increment)

    def _on_ping(self, flags: int, sid: int, payload: bytes) -> None:
        if sid:
            raise Violation(Code.PROTOCOL_ERROR, "PING of a stream")
        if len(payload) != 8:
            raise Violation(Code.FRAME_SIZE_ERROR, "PING is 8 bytes")
        self._count_nuisance(1)
        if not flags & ACK:
            self._out.write(frame(Type.PING, ACK, 0, payload))

    def _on_goaway(self, _flags: int, sid: int, payload: bytes) -> None:
        if sid:
            raise Violation(Code.PROTOCOL_ERROR, "GOAWAY of a stream")
        if len(payload) < GONE.size:
            raise Violation(Code.FRAME_SIZE_ERROR, "GOAWAY too short")
        self._count_nuisance(1)
        self.going_away = True
        last = U32.unpack_from(payload)[0] & LARGEST_STREAM
        for other in [other for other in self.streams if other > last]:
            stream = self.streams.pop(other)
            self._out.blocked.pop(other, None)
            self.unprocessed.append(stream)

    def _on_priority(self, _flags: int, sid: int, payload: bytes) -> None:
        if not sid or len(payload) != 5:
            raise Violation(Code.PROTOCOL_ERROR, "PRIORITY of nothing or of a wrong size")
        self._count_nuisance(1)

    def _on_push(self, _flags: int, _sid: int, _payload: bytes) -> None:
        raise Violation(Code.PROTOCOL_ERROR, "a push that was forbidden")
