"""
The HTTP port on libcurl: HTTP/2 streams side by side over TLS, HTTP/1.1 where the server has nothing else.

A request costs a callback, not a task or a future: one future stands for everything a caller hands over.
libcurl itself repeats a request whose idle connection turns out to be dead before a byte of the answer came;
pushes carry the same identifier on every attempt, so this is harmless.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pycurl

from hushbell.config.gateway import HttpSettings
from hushbell.ports.http import FailureKind, HttpFailure, HttpRequest, HttpResponse, OnAnswer

Result = HttpResponse | HttpFailure

# Where users choose the hosts there may be as many as they like; the files that a process may open are few.
CONNECTIONS = 512  # to all hosts together; more requests wait
IDLE = 128  # kept for the next request, to all hosts together

E_HTTP2_STREAM = 92  # libcurl's number; pycurl has no name for it

_KINDS = {
    pycurl.E_COULDNT_RESOLVE_HOST: FailureKind.REFUSED,
    pycurl.E_COULDNT_CONNECT: FailureKind.REFUSED,
    pycurl.E_OPERATION_TIMEDOUT: FailureKind.TIMEOUT,
    pycurl.E_GOT_NOTHING: FailureKind.CLOSED,
    pycurl.E_SEND_ERROR: FailureKind.CLOSED,
    pycurl.E_RECV_ERROR: FailureKind.CLOSED,
    pycurl.E_PARTIAL_FILE: FailureKind.CLOSED,
    pycurl.E_HTTP2: FailureKind.CLOSED,
    E_HTTP2_STREAM: FailureKind.CLOSED,
    pycurl.E_SSL_CONNECT_ERROR: FailureKind.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: FailureKind.TLS,
    pycurl.E_SSL_CACERT_BADFILE: FailureKind.TLS,
    pycurl.E_SSL_CIPHER: FailureKind.TLS,
}


@dataclass(slots=True)
class _Batch:
    """What one caller waits for."""

    results: list[Result | None]
    left: int
    done: asyncio.Future[None]

    def take(self, index: int, result: Result) -> None:
        self.results[index] = result
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)


@dataclass(frozen=True, slots=True)
class _Single:
    """What one caller of ``post`` wants to be told."""

    loop: asyncio.AbstractEventLoop
    on_answer: OnAnswer

    def take(self, _index: int, result: Result) -> None:
        self.loop.call_soon(self.on_answer, result)  # libcurl may be busy with others


@dataclass(slots=True)
class _Job:
    request: HttpRequest
    batch: _Batch | _Single
    index: int
    deadline: float  # of the event loop's time


@dataclass(slots=True)
class _Handle:
    """A libcurl handle with the places its answer is written to."""

    curl: Any
    cap: int
    headers: list[bytes] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    job: _Job | None = None
    pinned: bool = False

    def write(self, piece: bytes) -> int:
        room = self.cap - len(self.body)
        self.body += piece[:room]
        return len(piece) if len(piece) <= room else 0  # 0 ends the transfer


class CurlHttp:
    """An HTTP client for few hosts and many requests. Made anywhere, used in one event loop."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._multi: Any = None
        self._timer: asyncio.Handle | None = None
        self._idle: list[_Handle] = []
        self._active: dict[Any, _Handle] = {}
        self._waiting: deque[_Job] = deque()
        self._closed = False

    async def send(self, requests: Sequence[HttpRequest]) -> Sequence[Result]:
        """Send the requests side by side and return one result each, in order."""
        if not requests:
            return []
        if self._closed or len(self._waiting) + len(requests) > self._settings.waiting:
            return [HttpFailure(FailureKind.REFUSED, sent=False)] * len(requests)
        loop = self._open()
        now = loop.time()
        batch = _Batch([None] * len(requests), len(requests), loop.create_future())
        for index, request in enumerate(requests):
            self._waiting.append(_Job(request, batch, index, now + request.timeout))
        self._fill()
        try:
            await batch.done
        except asyncio.CancelledError:
            self._abandon(batch)
            raise
        return [result for result in batch.results if result is not None]

    def post(self, request: HttpRequest, on_answer: OnAnswer) -> None:
        """Send a request; the callback gets the result, never before this returns."""
        loop = self._open()
        if self._closed or len(self._waiting) >= self._settings.waiting:
            loop.call_soon(on_answer, HttpFailure(FailureKind.REFUSED, sent=False))
            return
        self._waiting.append(_Job(request, _Single(loop, on_answer), 0, loop.time() + request.timeout))
        self._fill()

    async def close(self) -> None:
        """Let go of connections. Requests under way end with CLOSED."""
        self._closed = True
        while self._waiting:
            self._settle(self._waiting.popleft(), HttpFailure(FailureKind.CLOSED, sent=False))
        for handle in list(self._active.values()):
            self._finish(handle, HttpFailure(FailureKind.CLOSED, sent=_was_sent(handle.curl)))
        for handle in self._idle:
            handle.curl.close()
        self._idle.clear()
        if self._multi is not None:
            self._multi.close()  # takes its sockets out of the loop through the callbacks
            self._multi = None
        if self._timer is not None:
            self._timer.cancel()

    def _open(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            multi = pycurl.CurlMulti()
            multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
            multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, self._settings.connections)
            multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, CONNECTIONS)
            multi.setopt(pycurl.M_MAXCONNECTS, IDLE)
            multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, self._settings.streams)
            multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
            multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
            self._multi = multi
        return self._loop

    # What libcurl asks of the event loop.

    def _watch(self, what: int, fd: int, _multi: Any, _data: Any) -> None:
        loop = self._loop
        assert loop is not None
        if what in (pycurl.POLL_IN, pycurl.POLL_INOUT):
            loop.add_reader(fd, self._act, fd, pycurl.CSELECT_IN)
        else:
            loop.remove_reader(fd)
        if what in (pycurl.POLL_OUT, pycurl.POLL_INOUT):
            loop.add_writer(fd, self._act, fd, pycurl.CSELECT_OUT)
        else:
            loop.remove_writer(fd)

    def _set_timer(self, milliseconds: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = self._loop
        if milliseconds < 0 or loop is None or self._closed:
            return
        # Never from inside this call: libcurl is still busy.
        if milliseconds == 0:
            self._timer = loop.call_soon(self._act, pycurl.SOCKET_TIMEOUT, 0)
        else:
            self._timer = loop.call_later(milliseconds / 1000, self._act, pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, fd: int, event: int) -> None:
        if self._multi is None:
            return
        self._multi.socket_action(fd, event)
        more = 1
        while more:
            more, fine, failed = self._multi.info_read()
            for curl in fine:
                handle = self._active[curl]
                self._finish(handle, _answer(handle))
            for curl, code, _text in failed:
                handle = self._active[curl]
                cut = code == pycurl.E_WRITE_ERROR and curl.getinfo(pycurl.RESPONSE_CODE) > 0
                self._finish(handle, _answer(handle) if cut else _failure(curl, code))
        if self._waiting:
            self._fill()

    # Jobs.

    def _fill(self) -> None:
        """Start what waits, as far as there is room."""
        loop = self._loop
        assert loop is not None
        while self._waiting and len(self._active) < self._settings.in_flight:
            job = self._waiting.popleft()
            left = job.deadline - loop.time()
            if left <= 0:
                self._settle(job, HttpFailure(FailureKind.TIMEOUT, sent=False))
                continue
            handle = self._idle.pop() if self._idle else self._new_handle()
            try:
                _prepare(handle.curl, job.request, left)
                if not self._settings.connect:
                    _pin(handle, job.request.address)
            except (ValueError, TypeError, pycurl.error):  # such as a header that is not ASCII
                self._idle.append(handle)
                self._settle(job, HttpFailure(FailureKind.UNKNOWN, sent=False))
                continue
            handle.job = job
            self._active[handle.curl] = handle
            self._multi.add_handle(handle.curl)

    def _finish(self, handle: _Handle, result: Result) -> None:
        self._multi.remove_handle(handle.curl)
        del self._active[handle.curl]
        job, handle.job = handle.job, None
        handle.headers.clear()
        handle.body = bytearray()
        self._idle.append(handle)
        if job is not None:
            self._settle(job, result)

    @staticmethod
    def _settle(job: _Job, result: Result) -> None:
        job.batch.take(job.index, result)

    def _abandon(self, batch: _Batch) -> None:
        """Nobody waits for the batch any more."""
        self._waiting = deque(job for job in self._waiting if job.batch is not batch)
        for handle in list(self._active.values()):
            if handle.job is not None and handle.job.batch is batch:
                self._finish(handle, HttpFailure(FailureKind.CLOSED, sent=True))

    def _new_handle(self) -> _Handle:
        curl = pycurl.Curl()
        handle = _Handle(curl, self._settings.answer)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.PROXY, "")  # the environment decides nothing here
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        curl.setopt(pycurl.PIPEWAIT, 1)
        curl.setopt(pycurl.USERAGENT, "hushbell")
        curl.setopt(pycurl.SSL_VERIFYPEER, 1)
        curl.setopt(pycurl.SSL_VERIFYHOST, 2)
        ca_file = self._settings.ca_file or ssl.get_default_verify_paths().cafile
        if ca_file:
            curl.setopt(pycurl.CAINFO, ca_file)
        if self._settings.certificate_file:
            curl.setopt(pycurl.SSLCERT, self._settings.certificate_file)
        if self._settings.connect:
            curl.setopt(pycurl.CONNECT_TO, [f"::{self._settings.connect}"])
        curl.setopt(pycurl.HEADERFUNCTION, handle.headers.append)
        curl.setopt(pycurl.WRITEFUNCTION, handle.write)
        return handle


def _prepare(curl: Any, request: HttpRequest, seconds: float) -> None:
    lines = [f"{name}: {value}" for name, value in request.headers]
    text = "\n".join(lines)
    if "\r" in text or text.count("\n") >= max(1, len(lines)):
        raise ValueError("a header holds a line break")
    curl.setopt(pycurl.URL, request.url)
    curl.setopt(pycurl.HTTPHEADER, lines)
    curl.setopt(pycurl.TIMEOUT_MS, max(1, int(seconds * 1000)))
    if request.method == "GET":
        curl.setopt(pycurl.HTTPGET, 1)
        return
    curl.setopt(pycurl.POST, 1)
    curl.setopt(pycurl.POSTFIELDS, request.body)
    if request.method == "POST":
        curl.unsetopt(pycurl.CUSTOMREQUEST)
    else:
        curl.setopt(pycurl.CUSTOMREQUEST, request.method)


def _pin(handle: _Handle, address: str) -> None:
    """Connect to this address, whatever the name in the URL resolves to; "" lets the name decide again."""
    if address:
        handle.curl.setopt(pycurl.CONNECT_TO, [f"::[{address}]:" if ":" in address else f"::{address}:"])
    elif handle.pinned:
        handle.curl.unsetopt(pycurl.CONNECT_TO)
    handle.pinned = bool(address)


def _answer(handle: _Handle) -> HttpResponse:
    headers: list[tuple[str, str]] = []
    for line in handle.headers:
        name, colon, value = line.partition(b":")
        if colon:
            headers.append((name.strip().lower().decode("latin-1"), value.strip().decode("latin-1")))
        elif line.startswith(b"HTTP/"):
            headers.clear()  # an interim answer came before
    return HttpResponse(handle.curl.getinfo(pycurl.RESPONSE_CODE), tuple(headers), bytes(handle.body))


def _failure(curl: Any, code: int) -> HttpFailure:
    return HttpFailure(_KINDS.get(code, FailureKind.UNKNOWN), sent=_was_sent(curl))


def _was_sent(curl: Any) -> bool:
    """Say whether a byte of the request may have left, on this connection or on one that died before."""
    return bool(curl.getinfo(pycurl.REQUEST_SIZE) > 0)
