"""What one HTTP/2 connection sends: requests within the peer's windows, and the frames that answer its own."""

from hushbell.http.h2.frames import (
    END_HEADERS,
    END_STREAM,
    FRAME,
    HEAD,
    LARGEST_FRAME,
    LARGEST_WINDOW,
    U32,
    WINDOW,
    Code,
    Setting,
    StreamViolation,
    Type,
    Violation,
    frame,
)
from hushbell.http.h2.hpack import Constants
from hushbell.http.h2.stream import H2Stream

_HEADERS, _DATA = int(Type.HEADERS), int(Type.DATA)


class FrameWriter:
    """Collects the bytes to write, in order."""

    def __init__(self, authority: str) -> None:
        self.next_sid = 1
        self.window = WINDOW  # bytes the peer takes on the connection
        self.allowed = LARGEST_WINDOW  # streams side by side, as the peer allows
        self._constants = Constants(authority)
        self._initial = WINDOW  # bytes the peer takes on a new stream
        self._frame = FRAME  # bytes the peer takes in a frame
        self._out: list[bytes] = []
        self.blocked: dict[int, H2Stream] = {}  # streams with unsent bytes of their body, oldest first

    def data_to_send(self) -> bytes:
        """Return the bytes to write now, and forget them."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def write(self, raw: bytes) -> None:
        """Append a whole frame."""
        self._out.append(raw)

    def open(self, stream: H2Stream) -> None:
        """Send a request, as much of it as the peer takes."""
        sid = stream.sid = self.next_sid
        self.next_sid = sid + 2
        block = self._constants.block(stream.method, stream.path, stream.authorization, stream.block)
        payload = stream.content
        size = len(payload)
        stream.window = self._initial
        if 0 < size <= self.window and size <= self._initial and size <= self._frame and len(block) <= FRAME:
            self.window -= size
            stream.window -= size
            pack = HEAD.pack
            self._out += (
                pack(len(block) << 8 | _HEADERS, END_HEADERS, sid),
                block,
                pack(size << 8 | _DATA, END_STREAM, sid),
                payload,
            )
            return
        self._write_block(sid, block, END_STREAM if not size else 0)
        if size:
            stream.unsent = payload
            self.blocked[sid] = stream
            self._send_body(stream)

    def _write_block(self, sid: int, block: bytes, flags: int) -> None:
        kind = Type.HEADERS
        while len(block) > FRAME:
            self._out.append(frame(kind, flags, sid, block[:FRAME]))
            block, kind, flags = block[FRAME:], Type.CONTINUATION, 0
        self._out.append(frame(kind, flags | END_HEADERS, sid, block))

    def _send_body(self, stream: H2Stream) -> None:
        while (size := min(len(stream.unsent), stream.window, self.window, self._frame)) > 0:
            self.window -= size
            stream.window -= size
            piece, stream.unsent = stream.unsent[:size], stream.unsent[size:]
            self._out.append(frame(Type.DATA, 0 if stream.unsent else END_STREAM, stream.sid, piece))
        if not stream.unsent:
            del self.blocked[stream.sid]

    def unblock(self) -> None:
        """Send what the windows let through now."""
        for stream in list(self.blocked.values()):
            if self.window <= 0:
                break
            self._send_body(stream)

    def widen(self, increment: int) -> None:
        """
        Take the peer's WINDOW_UPDATE for the connection.

        Raises:
            Violation: more than a window can hold.
        """
        self.window += increment
        if self.window > LARGEST_WINDOW:
            raise Violation(Code.FLOW_CONTROL_ERROR, "the connection's window overflows")
        self.unblock()

    def widen_stream(self, stream: H2Stream, increment: int) -> None:
        """
        Take the peer's WINDOW_UPDATE for a stream.

        Raises:
            StreamViolation: nothing, or more than a window can hold.
        """
        if not increment:
            raise StreamViolation(Code.PROTOCOL_ERROR, "a window widened by nothing")
        stream.window += increment
        if stream.window > LARGEST_WINDOW:
            raise StreamViolation(Code.FLOW_CONTROL_ERROR, "a stream's window overflows")
        if stream.sid in self.blocked:
            self._send_body(stream)

    def configure(self, name: int, value: int, live: dict[int, H2Stream]) -> None:
        """
        Take one setting of the peer's.

        Raises:
            Violation: a value that it must not have.
        """
        if name == Setting.HEADER_TABLE_SIZE:
            self._constants.resize(value)
        elif name == Setting.MAX_CONCURRENT_STREAMS:
            self.allowed = value
        elif name == Setting.INITIAL_WINDOW_SIZE:
            self._set_initial(value, live)
        elif name == Setting.MAX_FRAME_SIZE:
            if not FRAME <= value <= LARGEST_FRAME:
                raise Violation(Code.PROTOCOL_ERROR, "a frame size out of bounds")
            self._frame = value
        elif name == Setting.ENABLE_PUSH and value != 0:
            raise Violation(Code.PROTOCOL_ERROR, "a server that wants pushes")

    def _set_initial(self, value: int, live: dict[int, H2Stream]) -> None:
        if value > LARGEST_WINDOW:
            raise Violation(Code.FLOW_CONTROL_ERROR, "a window out of bounds")
        change, self._initial = value - self._initial, value
        for stream in live.values():
            stream.window += change
            if stream.window > LARGEST_WINDOW:
                raise Violation(Code.FLOW_CONTROL_ERROR, "a stream's window overflows")

    def reset(self, sid: int, code: Code) -> None:
        """End a stream."""
        self.blocked.pop(sid, None)
        self._out.append(frame(Type.RST_STREAM, 0, sid, U32.pack(code)))
