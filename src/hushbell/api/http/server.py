"""
HTTP/1.1 in front of the gateway: the one route that carries the load is called directly, the others go to an ASGI app.

One request of a connection is handled at a time; what a client sends ahead waits in the kernel. Everything is bounded
before it is parsed: heads, bodies, connections, the bytes of all bodies together, and the time each part may take.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, MutableMapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

import httptools

from hushbell.api.http.fair_queue import FairQueue
from hushbell.api.http.head_cache import Direct, HeadCache, RequestHead
from hushbell.api.http.types import JSON, Asgi, Headers, HttpLimits


class HttpServer:
    """What all connections of a listener share."""

    def __init__(
        self, *, path: bytes, direct: Direct, app: Asgi, limits: HttpLimits, server: bytes, count: Callable[[str], None]
    ) -> None:
        self.path = path
        self.direct = direct
        self.app = app
        self.limits = limits
        self.connections: set[HttpConnection] = set()
        self.turns = FairQueue()
        self.heads = HeadCache()
        self.body_bytes = 0
        self.is_closing = False
        self.count = count
        self._server = server  # header lines that every answer of ours has, each ended by CRLF
        self._head = b""
        self._head_at = 0
        self._usual = self._usual_of = b""
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
        """Take no more connections, let requests under way end, then cut what is left after ``grace`` seconds."""
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
        """Return the head of an answer that says success in JSON, but for its length."""
        common = self.common_head()
        if self._usual_of is not common:
            self._usual_of = common
            self._usual = b"HTTP/1.1 200 OK\r\nContent-Type: " + JSON + b"\r\n" + common
        return self._usual

    def common_head(self) -> bytes:
        """Return the header lines that every answer has, with the date of this second."""
        now = int(time.time())
        if now != self._head_at:
            self._head_at = now
            self._head = self._server + b"Date: " + formatdate(now, usegmt=True).encode() + b"\r\n"
        return self._head

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self.connections):
            connection.check_time(now)
        self._sweeper = loop.call_later(1.0, self._sweep)


class HttpConnection(asyncio.Protocol):
    """One client."""

    def __init__(self, front: HttpServer) -> None:
        self._front = front
        self._limits = front.limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._deadline = 0.0
        self._writing_until = 0.0
        self._task: asyncio.Task[None] | None = None
        self._is_busy = False
        self._ends = False  # no further request is taken
        self._ahead: list[bytes] = []  # what came while a request is being handled
        self._requests: deque[tuple[RequestHead, bytes]] = deque()  # of one read, in order, with their bodies
        self._now: RequestHead | None = None  # of the one that is being handled
        self._body = b""
        self._held = 0  # bytes of bodies
        self._wrong: HTTPStatus | None = None  # why the connection ends, once a bound is passed
        self._begin()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or refuse one connection too many."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by their class
        if len(self._front.connections) >= self._limits.connections or self._front.is_closing:
            self._front.count("http_connections_refused")
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        self._front.connections.add(self)
        self._deadline = self._loop.time() + self._limits.idle

    def data_received(self, data: bytes) -> None:
        """Parse, unless a request is being handled: then it waits."""
        if self._is_busy or self._ahead or self._requests:
            self._ahead.append(data)
            if self._transport is not None:
                self._transport.pause_reading()
            return
        known = None if self._in_request else self._front.heads.find(data)
        if known is None or self._front.body_bytes + len(known[1]) > self._limits.bodies:
            self._feed(data)
            return
        self._held += len(known[1])
        self._front.body_bytes += len(known[1])
        self._handle(*known)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget everything."""
        self._front.connections.discard(self)
        self._transport = None
        self._give_back()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self._writing_until = self._loop.time() + self._limits.write_time

    def resume_writing(self) -> None:
        """The client has read."""
        self._writing_until = 0.0

    def check_time(self, now: float) -> None:
        """Cut a client that takes too long."""
        if self._transport is None:
            return
        if self._writing_until and now > self._writing_until:
            self._front.count("http_clients_too_slow")
            self.abort()
        elif not self._is_busy and now > self._deadline:
            if self._in_request:
                self._front.count("http_clients_too_slow")
                self._refuse(HTTPStatus.REQUEST_TIMEOUT)
            else:
                self._transport.close()

    def close_when_idle(self) -> None:
        """Take no further request."""
        self._ends = True
        if not self._is_busy and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    # httptools' side

    def on_message_begin(self) -> None:
        """Time a request from its first byte."""
        self._in_request = True
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
        self._head_done = True
        if self._head_size + len(self._url) > self._limits.head:
            self._wrong = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        self._deadline = self._loop.time() + self._limits.head_time
        for name, value in self._headers:
            if name == b"content-length":
                length = int(value) if value.isdigit() and len(value) < 12 else 1 << 40
                if length > self._limits.body:
                    self._wrong = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                self._deadline += length / self._limits.body_rate
            elif name == b"expect" and value.lower() == b"100-continue" and not self._wrong:
                assert self._transport is not None
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        """Gather the body within its bounds."""
        self._size += len(part)
        self._held += len(part)
        self._front.body_bytes += len(part)
        if self._size > self._limits.body:
            self._wrong = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        elif self._front.body_bytes > self._limits.bodies:
            self._wrong = HTTPStatus.SERVICE_UNAVAILABLE
        else:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        """Keep the request until its turn comes."""
        if self._wrong is not None:
            return
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        keeps = self._parser.should_keep_alive()
        self._requests.append((RequestHead(self._parser.get_method(), self._url, self._headers, keeps=keeps), body))
        self._begin()

    # inside

    def _begin(self) -> None:
        """Be ready for a request."""
        self._url = b""
        self._headers: Headers = []
        self._parts: list[bytes] = []
        self._size = 0
        self._head_size = 0  # of the headers that are whole
        self._partial_size = 0  # of everything that came without completing a head
        self._head_done = False
        self._in_request = False

    def _feed(self, data: bytes) -> None:
        fresh = not self._in_request
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._front.count("http_requests_malformed")
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        if self._in_request and not self._head_done:
            self._partial_size += len(data)
            if self._partial_size > self._limits.head:
                self._wrong = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        if self._wrong:
            self._front.count("http_requests_too_large")
            self._refuse(self._wrong)
        elif self._requests and not self._is_busy:
            head, body = self._requests.popleft()
            if fresh and self._is_direct(head):
                self._front.heads.remember(data, head, body)
            self._handle(head, body)

    def _is_direct(self, head: RequestHead) -> bool:
        return head.url == self._front.path and head.method == b"POST"

    def _handle(self, head: RequestHead, body: bytes) -> None:
        self._is_busy = True
        self._now, self._body = head, body
        if self._is_direct(head):
            self._front.turns.do(head.caller, self._push)
        else:
            self._task = self._loop.create_task(self._run(head, body))

    def _push(self) -> None:
        if self._now is not None:
            self._front.direct(self._now, self._body, self.respond)

    async def _run(self, request: RequestHead, body: bytes) -> None:
        """Let the ASGI app answer; its answer is written when it is whole."""
        path, _, query = request.url.partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method.decode("latin-1"),
            "scheme": "http",
            "path": unquote(path.decode("latin-1")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": request.headers,
            "client": None,
            "server": None,
        }
        status, headers, parts = 500, [], []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message["headers"])
            else:
                parts.append(message.get("body", b""))

        try:
            await self._front.app(scope, receive, send)
        except Exception:  # noqa: BLE001  a bug in one route must not end the server; the app logs it
            self._front.count("http_failures")
            status, headers, parts = 500, [], []
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        rest = [(name, value) for name, value in headers if name not in (b"content-type", b"content-length")]
        self.respond(status, b"".join(parts), kind, rest)

    def respond(self, status: int, body: bytes, content_type: bytes = JSON, headers: Headers | None = None) -> None:
        """Answer the request under way and take the next one."""
        transport, request = self._transport, self._now
        if transport is None or request is None:
            return
        if status == 200 and content_type is JSON and not headers and request.keeps and not self._ends:
            transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (self._front.usual_head(), len(body), body))
            self._answered(keeps=True)
            return
        head = b"HTTP/1.1 200 OK\r\n" if status == 200 else _first_line(status)
        if content_type:
            head += b"Content-Type: " + content_type + b"\r\n"
        for name, value in headers or ():
            head += name + b": " + value + b"\r\n"
        keeps = request.keeps and not self._ends
        end = b"\r\n" if keeps else b"Connection: close\r\n\r\n"
        if request.method == b"HEAD":
            transport.write(b"%b%b%b" % (head, self._front.common_head(), end))
        else:
            transport.write(b"%b%bContent-Length: %d\r\n%b%b" % (head, self._front.common_head(), len(body), end, body))
        self._answered(keeps=keeps)

    def _answered(self, *, keeps: bool) -> None:
        """Take the next request."""
        self._held -= len(self._body)
        self._front.body_bytes -= len(self._body)
        self._is_busy = False
        self._now = self._task = None
        self._body = b""
        if not keeps:
            self._refuse(None)
            return
        if not self._in_request:
            self._deadline = self._loop.time() + self._limits.idle
        if self._requests or self._ahead:
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Handle what came meanwhile."""
        if self._is_busy or self._transport is None:
            return
        if self._requests:
            self._handle(*self._requests.popleft())
            return
        data, self._ahead = b"".join(self._ahead), []
        self._transport.resume_reading()
        if data:
            self._feed(data)

    def _refuse(self, status: HTTPStatus | None) -> None:
        """Hang up, with an answer if there is one to give. Whatever still comes is not looked at."""
        if self._transport is not None:
            if status is not None and not self._is_busy:
                self._transport.write(_first_line(status) + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
            self._transport.close()
        self._requests.clear()
        self._now = None
        self._is_busy = True
        self._give_back()

    def _give_back(self) -> None:
        self._front.body_bytes -= self._held
        self._held = 0


def _first_line(status: int) -> bytes:
    try:
        words = HTTPStatus(status).phrase
    except ValueError:
        words = "Status"
    return f"HTTP/1.1 {status} {words}\r\n".encode()
