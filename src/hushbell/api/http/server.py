"""
An HTTP/1.1 server: the one route that carries the load is called directly, the others go to an ASGI app.

One request of a connection is handled at a time; what a client sends ahead waits in the kernel. Everything is bounded
before it is parsed: heads, bodies, connections, the bytes of all bodies together, and the time each part may take.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from http.client import responses
from typing import cast

import httptools

from hushbell.api.http.asgi import call_app
from hushbell.api.http.fair_queue import FairQueue
from hushbell.api.http.head_cache import DirectHandler, HeadCache, RequestHead
from hushbell.api.http.types import JSON, Asgi, Headers, HttpLimits


class HttpServer:
    """A listener, and what its connections share."""

    def __init__(
        self,
        *,
        path: bytes,
        direct: DirectHandler,
        app: Asgi,
        limits: HttpLimits,
        own_headers: bytes,
        count: Callable[[str], None],
    ) -> None:
        self.path = path
        self.direct = direct
        self.app = app
        self.limits = limits
        self.connections: set[HttpConnection] = set()
        self.fair_queue = FairQueue()
        self.head_cache = HeadCache()
        self.body_bytes = 0
        self.is_closing = False
        self.count = count
        self._own_headers = own_headers  # lines that every response has, each ended by CRLF
        self._common = b""
        self._common_at = 0
        self._usual = self._usual_common = b""
        self._sweeper: asyncio.TimerHandle | None = None
        self._server_object: asyncio.AbstractServer | None = None

    async def listen(self, host: str, port: int) -> int:
        """Accept connections; return the port, which the system chose if it was 0."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: HttpConnection(self), host, port, backlog=1024)
        self._server_object = server
        self._sweeper = loop.call_later(1.0, self._sweep)
        return int(server.sockets[0].getsockname()[1])

    async def close(self, grace: float) -> None:
        """Accept no more connections, let requests under way end, then abort what is left after ``grace`` seconds."""
        self.is_closing = True
        if self._server_object is not None:
            self._server_object.close()
        end = asyncio.get_running_loop().time() + grace
        for connection in list(self.connections):
            connection.close_when_idle()
        while self.connections and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110  once in a program's life
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def usual_head(self) -> bytes:
        """Return the head of a successful JSON response without its length."""
        common = self.common_head()
        if self._usual_common is not common:
            self._usual_common = common
            self._usual = b"HTTP/1.1 200 OK\r\nContent-Type: " + JSON + b"\r\n" + common
        return self._usual

    def common_head(self) -> bytes:
        """Return the header lines of every response, with the date of this second."""
        now = int(time.time())
        if now != self._common_at:
            self._common_at = now
            self._common = self._own_headers + b"Date: " + formatdate(now, usegmt=True).encode() + b"\r\n"
        return self._common

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self.connections):
            connection.check_time(now)
        self._sweeper = loop.call_later(1.0, self._sweep)


class HttpConnection(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._limits = server.limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._deadline = 0.0
        self._write_deadline = 0.0
        self._task: asyncio.Task[None] | None = None
        self._is_busy = False
        self._is_last = False  # no further request is handled
        self._waiting_data: list[bytes] = []  # what came while a request is being handled
        self._requests: deque[tuple[RequestHead, bytes]] = deque()  # of one read, in order, with their bodies
        self._head: RequestHead | None = None  # of the one that is being handled
        self._body = b""
        self._body_bytes = 0  # bytes of bodies
        self._violation: HTTPStatus | None = None  # why the connection ends, once a bound is passed
        self._reset()

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection; refuse it over the bound."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by their class
        if len(self._server.connections) >= self._limits.connections or self._server.is_closing:
            self._server.count("http_connections_refused")
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        self._server.connections.add(self)
        self._deadline = self._loop.time() + self._limits.idle

    def data_received(self, data: bytes) -> None:
        """Parse, unless a request is being handled: then it waits."""
        if self._is_busy or self._waiting_data or self._requests:
            self._waiting_data.append(data)
            if self._transport is not None:
                self._transport.pause_reading()
            return
        known = None if self._is_in_request else self._server.head_cache.find(data)
        if known is None or self._server.body_bytes + len(known[1]) > self._limits.bodies:
            self._feed(data)
            return
        self._body_bytes += len(known[1])
        self._server.body_bytes += len(known[1])
        self._handle(*known)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Free what the connection holds."""
        self._server.connections.discard(self)
        self._transport = None
        self._free_bodies()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Begin the time that the client has to read."""
        self._write_deadline = self._loop.time() + self._limits.write_time

    def resume_writing(self) -> None:
        """End it."""
        self._write_deadline = 0.0

    def check_time(self, now: float) -> None:
        """Close the connection of a client that takes too long."""
        if self._transport is None:
            return
        if self._write_deadline and now > self._write_deadline:
            self._server.count("http_clients_too_slow")
            self.abort()
        elif not self._is_busy and now > self._deadline:
            if self._is_in_request:
                self._server.count("http_clients_too_slow")
                self._refuse(HTTPStatus.REQUEST_TIMEOUT)
            else:
                self._transport.close()

    def close_when_idle(self) -> None:
        """Handle no further request."""
        self._is_last = True
        if not self._is_busy and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    # Called by httptools.

    def on_message_begin(self) -> None:
        """Begin the time that the head may take."""
        self._is_in_request = True
        self._deadline = self._loop.time() + self._limits.head_time

    def on_url(self, url: bytes) -> None:
        """Gather the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Gather a header."""
        self._headers.append((name.lower(), value))
        self._head_size += len(name) + len(value)

    def on_headers_complete(self) -> None:
        """Refuse a body that is too large before it arrives."""
        self._is_head_complete = True
        if self._head_size + len(self._url) > self._limits.head:
            self._violation = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        self._deadline = self._loop.time() + self._limits.head_time
        for name, value in self._headers:
            if name == b"content-length":
                length = int(value) if value.isdigit() and len(value) < 12 else 1 << 40
                if length > self._limits.body:
                    self._violation = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                self._deadline += length / self._limits.body_rate
            elif name == b"expect" and value.lower() == b"100-continue" and not self._violation:
                assert self._transport is not None
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        """Gather the body within its bounds."""
        self._size += len(part)
        self._body_bytes += len(part)
        self._server.body_bytes += len(part)
        if self._size > self._limits.body:
            self._violation = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        elif self._server.body_bytes > self._limits.bodies:
            self._violation = HTTPStatus.SERVICE_UNAVAILABLE
        else:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        """Keep the request until its turn comes."""
        if self._violation is not None:
            return
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        keeps_alive = self._parser.should_keep_alive()
        self._requests.append(
            (RequestHead(self._parser.get_method(), self._url, self._headers, keeps_alive=keeps_alive), body)
        )
        self._reset()

    # Inside.

    def _reset(self) -> None:
        """Prepare for the next request."""
        self._url = b""
        self._headers: Headers = []
        self._parts: list[bytes] = []
        self._size = 0
        self._head_size = 0  # of the headers that are whole
        self._unparsed_size = 0  # of everything that came without completing a head
        self._is_head_complete = False
        self._is_in_request = False

    def _feed(self, data: bytes) -> None:
        is_first_byte = not self._is_in_request
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._server.count("http_requests_malformed")
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        if self._is_in_request and not self._is_head_complete:
            self._unparsed_size += len(data)
            if self._unparsed_size > self._limits.head:
                self._violation = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        if self._violation:
            self._server.count("http_requests_too_large")
            self._refuse(self._violation)
        elif self._requests and not self._is_busy:
            head, body = self._requests.popleft()
            if is_first_byte and self._is_direct(head):
                self._server.head_cache.remember(data, head, body)
            self._handle(head, body)

    def _is_direct(self, head: RequestHead) -> bool:
        return head.url == self._server.path and head.method == b"POST"

    def _handle(self, head: RequestHead, body: bytes) -> None:
        self._is_busy = True
        self._head, self._body = head, body
        if self._is_direct(head):
            self._server.fair_queue.run(head.caller, self._handle_direct)
        else:
            self._task = self._loop.create_task(self._run_app(head, body))

    def _handle_direct(self) -> None:
        if self._head is not None:
            self._server.direct(self._head, self._body, self.respond)

    async def _run_app(self, head: RequestHead, body: bytes) -> None:
        self.respond(*await call_app(self._server.app, head, body, self._server.count))

    def respond(self, status: int, body: bytes, content_type: bytes = JSON, headers: Headers | None = None) -> None:
        """Answer the request under way and handle the next one."""
        transport, request = self._transport, self._head
        if transport is None or request is None:
            return
        if status == 200 and content_type is JSON and not headers and request.keeps_alive and not self._is_last:
            transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (self._server.usual_head(), len(body), body))
            self._end_request(keeps_alive=True)
            return
        head = b"HTTP/1.1 200 OK\r\n" if status == 200 else _first_line(status)
        if content_type:
            head += b"Content-Type: " + content_type + b"\r\n"
        for name, value in headers or ():
            head += name + b": " + value + b"\r\n"
        keeps_alive = request.keeps_alive and not self._is_last
        end = b"\r\n" if keeps_alive else b"Connection: close\r\n\r\n"
        if request.method != b"HEAD":
            end = b"Content-Length: %d\r\n%b%b" % (len(body), end, body)
        transport.write(head + self._server.common_head() + end)
        self._end_request(keeps_alive=keeps_alive)

    def _end_request(self, *, keeps_alive: bool) -> None:
        """Account for the answered request and handle the next one."""
        self._body_bytes -= len(self._body)
        self._server.body_bytes -= len(self._body)
        self._is_busy = False
        self._head = self._task = None
        self._body = b""
        if not keeps_alive:
            self._refuse(None)
            return
        if not self._is_in_request:
            self._deadline = self._loop.time() + self._limits.idle
        if self._requests or self._waiting_data:
            self._loop.call_soon(self._handle_next)

    def _handle_next(self) -> None:
        """Handle what came while the request before was handled."""
        if self._is_busy or self._transport is None:
            return
        if self._requests:
            self._handle(*self._requests.popleft())
            return
        data, self._waiting_data = b"".join(self._waiting_data), []
        self._transport.resume_reading()
        if data:
            self._feed(data)

    def _refuse(self, status: HTTPStatus | None) -> None:
        """Close the connection, with a status if there is one. What still comes is ignored."""
        if self._transport is not None:
            if status is not None and not self._is_busy:
                self._transport.write(_first_line(status) + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
            self._transport.close()
        self._requests.clear()
        self._head = None
        self._is_busy = True
        self._free_bodies()

    def _free_bodies(self) -> None:
        self._server.body_bytes -= self._body_bytes
        self._body_bytes = 0


def _first_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {responses.get(status, 'Status')}\r\n".encode()
