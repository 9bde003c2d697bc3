"""The server's side of one HTTP/1.1 connection."""

import asyncio
from collections import deque

from hushbell.testing.mock.http import MAX_BODY_BYTES, Fault, Handler, Request, Response

MAX_HEAD_BYTES = 64 * 1024


class MockHttp1:
    """Reads requests one after another and responds in their order."""

    def __init__(self, transport: asyncio.Transport, handle: Handler, *, number: int, is_certified: bool) -> None:
        self._transport = transport
        self._handle = handle
        self._number = number
        self._is_certified = is_certified
        self._buffer = bytearray()
        self._requests = 0
        self._waiting: deque[Request] = deque()
        self._is_busy = False
        self._is_going_away = False
        self.max_streams = 1

    def feed(self, data: bytes) -> None:
        """Read bytes and handle every request that is complete."""
        self._buffer += data
        while (request := self._next()) is not None:
            self._waiting.append(request)
        self._handle_waiting()

    def go_away(self) -> None:
        """Accept no more requests."""
        self._is_going_away = True
        if not self._is_busy:
            self._transport.close()

    def _next(self) -> Request | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                self._transport.abort()
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            headers["duplicate" if name in headers else name] = value.strip()
        length = headers.get("content-length", "0")
        parts = first.split(" ")
        if len(parts) != 3 or not length.isdigit() or int(length) > MAX_BODY_BYTES or "transfer-encoding" in headers:
            self._transport.abort()
            return None
        if headers.pop("expect", ""):
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        stop = end + 4 + int(length)
        if len(self._buffer) < stop:
            return None
        body = bytes(self._buffer[end + 4 : stop])
        del self._buffer[:stop]
        self._requests += 1
        return Request(
            parts[0], parts[1], headers, body, self._number, self._requests, self._is_certified, is_http2=False
        )

    def _handle_waiting(self) -> None:
        while self._waiting and not self._is_busy and not self._transport.is_closing():
            self._is_busy = True
            response = self._handle(self._waiting.popleft())
            if response.delay:
                asyncio.get_running_loop().call_later(response.delay, self._respond_late, response)
            else:
                self._respond(response)

    def _respond_late(self, response: Response) -> None:
        self._respond(response)
        self._handle_waiting()

    def _respond(self, response: Response) -> None:
        if self._transport.is_closing() or response.fault is Fault.BLACKHOLE:
            return
        if response.fault in (Fault.CLOSE, Fault.RESET, Fault.REFUSE):
            self._transport.abort()
            return
        lines = [f"HTTP/1.1 {response.status} Status", f"content-length: {len(response.body)}"]
        lines += [f"{name}: {value}" for name, value in response.headers]
        self._transport.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + response.body)
        self._is_busy = False
        if response.fault is Fault.GOAWAY or self._is_going_away:
            self._transport.close()
