"""One HTTP/1.1 connection to the stand-in."""

import asyncio
from collections import deque

from hushbell.testing.mock.http import BODY, Fault, Handle, Reply, Request

HEAD = 64 * 1024  # bytes


class Http1:
    """Reads requests one after another and answers them in their order."""

    def __init__(self, transport: asyncio.Transport, handle: Handle, *, number: int, certified: bool) -> None:
        self._transport = transport
        self._handle = handle
        self._number = number
        self._certified = certified
        self._buffer = bytearray()
        self._requests = 0
        self._waiting: deque[Request] = deque()
        self._busy = False
        self._leaving = False
        self.most = 1

    def feed(self, data: bytes) -> None:
        """Take bytes and answer everything that is complete."""
        self._buffer += data
        while (request := self._next()) is not None:
            self._waiting.append(request)
        self._go_on()

    def go_away(self) -> None:
        """Take no more requests."""
        self._leaving = True
        if not self._busy:
            self._transport.close()

    def _next(self) -> Request | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD:
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
        if len(parts) != 3 or not length.isdigit() or int(length) > BODY or "transfer-encoding" in headers:
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
        return Request(parts[0], parts[1], headers, body, self._number, self._requests, self._certified)

    def _go_on(self) -> None:
        while self._waiting and not self._busy and not self._transport.is_closing():
            self._busy = True
            reply = self._handle(self._waiting.popleft())
            if reply.delay:
                asyncio.get_running_loop().call_later(reply.delay, self._answer_late, reply)
            else:
                self._answer(reply)

    def _answer_late(self, reply: Reply) -> None:
        self._answer(reply)
        self._go_on()

    def _answer(self, reply: Reply) -> None:
        if self._transport.is_closing() or reply.act is Fault.BLACKHOLE:
            return
        if reply.act in (Fault.CLOSE, Fault.RESET, Fault.REFUSE):
            self._transport.abort()
            return
        lines = [f"HTTP/1.1 {reply.status} Status", f"content-length: {len(reply.body)}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        self._transport.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + reply.body)
        self._busy = False
        if reply.act is Fault.GOAWAY or self._leaving:
            self._transport.close()
