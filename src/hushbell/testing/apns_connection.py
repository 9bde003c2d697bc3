"""One HTTP/2 connection to the stand-in for Apple's push service."""

import asyncio
from collections.abc import Callable
from typing import cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from hushbell.testing.apns_rules import Act, Answer

WINDOW = 1 << 30  # bytes; pushes are small, so the connection's window is opened once and again when half used
BODY = 64 * 1024  # bytes kept of a body, so that a wrong sender cannot fill the memory

Judged = Callable[[str, dict[str, str], bytes], Answer]


class Connection(asyncio.Protocol):
    """Reads pushes and answers as it is told."""

    def __init__(self, judge: Judged, connections: set["Connection"], streams: int) -> None:
        self._judge = judge
        self._connections = connections
        self._streams = streams
        self._h2 = H2Connection(
            H2Configuration(
                client_side=False,
                header_encoding="utf-8",
                validate_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_inbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self._open: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._read = 0
        self._timers: set[asyncio.TimerHandle] = set()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say how many streams are allowed."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        # Replaced, not updated: an update would only hold from the next SETTINGS on, unknown to the client.
        self._h2.local_settings = Settings(False, {SettingCodes.MAX_CONCURRENT_STREAMS: self._streams})
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """Forget what was waiting for an answer."""
        self._transport = None
        self._connections.discard(self)
        for timer in self._timers:
            timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Take frames and answer them together."""
        try:
            for event in self._h2.receive_data(data):
                self._on(event)
        except ProtocolError:
            self._flush()
            self.abort()
            return
        if self._read > WINDOW // 2:
            self._h2.increment_flow_control_window(self._read)
            self._read = 0
        self._flush()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def go_away(self) -> None:
        """Take no more streams."""
        self._h2.close_connection()
        self._flush()

    def _on(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            headers = cast("list[tuple[str, str]]", event.headers)
            self._open[event.stream_id] = (dict(headers), bytearray())
        elif isinstance(event, DataReceived):
            self._read += event.flow_controlled_length or 0
            stream = self._open.get(event.stream_id)
            if stream is not None and len(stream[1]) < BODY:
                stream[1].extend(event.data or b"")
        elif isinstance(event, StreamReset):
            self._open.pop(event.stream_id, None)
        elif isinstance(event, StreamEnded):
            stream = self._open.pop(event.stream_id, None)
            if stream is not None:
                self._push(event.stream_id, *stream)

    def _push(self, stream: int, headers: dict[str, str], body: bytearray) -> None:
        path = headers.pop(":path", "")
        answer = self._judge(path, {name: headers[name] for name in headers if name[0] != ":"}, bytes(body))
        if answer.delay:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(answer.delay, self._late, stream, headers.get("apns-id", ""), answer)
            self._timers.add(timer)
        else:
            self._answer(stream, headers.get("apns-id", ""), answer)

    def _late(self, stream: int, apns_id: str, answer: Answer) -> None:
        if self._transport is not None:
            self._answer(stream, apns_id, answer)
            self._flush()

    def _answer(self, stream: int, apns_id: str, answer: Answer) -> None:
        if answer.act is Act.CLOSE:
            self.abort()
        elif answer.act is Act.RESET:
            self._h2.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
        elif answer.act is Act.REFUSE_STREAM:
            self._h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
        elif answer.act is not Act.HANG:
            self._say(stream, apns_id, answer)

    def _say(self, stream: int, apns_id: str, answer: Answer) -> None:
        body = answer.bytes()
        headers = [(":status", str(answer.status)), ("apns-id", apns_id)]
        if answer.retry_after is not None:
            headers.append(("retry-after", str(answer.retry_after)))
        try:
            self._h2.send_headers(stream, headers, end_stream=not body)
            if body:
                self._h2.send_data(stream, body, end_stream=True)
        except ProtocolError:
            return  # the client has given the stream up
        if answer.act is Act.GOAWAY:
            self.go_away()

    def _flush(self) -> None:
        if self._transport is not None:
            data = self._h2.data_to_send()
            if data:
                self._transport.write(data)
