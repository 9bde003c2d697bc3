"""
The HTTP port on libcurl: HTTP/2 streams side by side over TLS, HTTP/1.1 where the server has nothing else.

libcurl repeats a request by itself if its idle connection is found dead before a byte of the response came. Pushes
have the same identifier on every attempt, so this is harmless.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pycurl

from hushbell.config.gateway import HttpSettings
from hushbell.ports.http import FailureKind, HttpFailure, HttpResponse, RequestItem, RequestTemplate, ResponseHandler

Result = HttpResponse | HttpFailure

# Where users choose the hosts there may be as many as they like; the files that a process may open are few.
MAX_CONNECTIONS = 512  # to all hosts together; more requests wait
MAX_IDLE_CONNECTIONS = 128  # kept for the next request, to all hosts together

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


class _Request(NamedTuple):
    template: RequestTemplate
    item: RequestItem
    deadline: float  # of the event loop's time


@dataclass(slots=True)
class _Transfer:
    """A libcurl handle with what it has received."""

    curl: Any
    cap: int
    headers: list[bytes] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    request: _Request | None = None
    has_address: bool = False  # it connects to the address of its request, not to its host

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
        self._idle: list[_Transfer] = []
        self._active: dict[Any, _Transfer] = {}
        self._waiting: deque[_Request] = deque()
        self._closed = False

    def submit(self, template: RequestTemplate, items: Sequence[RequestItem]) -> None:
        """Send requests; each handler is called once, never before this returns."""
        loop = self._open()
        room = 0 if self._closed else max(0, self._settings.waiting - len(self._waiting))
        deadline = loop.time() + template.timeout
        self._waiting.extend([_Request(template, item, deadline) for item in items[:room]])
        for item in items[room:]:
            self._finish(item, HttpFailure(FailureKind.REFUSED, sent=False))
        self._send_waiting()

    def cancel(self, handler: ResponseHandler) -> None:
        """End the requests of a handler without calling it. A result that is known already may still be reported."""
        self._waiting = deque(request for request in self._waiting if request.item[0] is not handler)
        for transfer in list(self._active.values()):
            if transfer.request is not None and transfer.request.item[0] is handler:
                self._release(transfer)
        if self._loop is not None:
            self._loop.call_soon(self._send_waiting)

    async def close(self) -> None:
        """Close all connections. Requests under way end with CLOSED."""
        self._closed = True
        while self._waiting:
            self._finish(self._waiting.popleft().item, HttpFailure(FailureKind.CLOSED, sent=False))
        for transfer in list(self._active.values()):
            self._end(transfer, HttpFailure(FailureKind.CLOSED, sent=_was_sent(transfer.curl)))
        for transfer in self._idle:
            transfer.curl.close()
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
            multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, MAX_CONNECTIONS)
            multi.setopt(pycurl.M_MAXCONNECTS, MAX_IDLE_CONNECTIONS)
            multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, self._settings.streams)
            multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
            multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
            self._multi = multi
        return self._loop

    # Calls of libcurl.

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
                transfer = self._active[curl]
                self._end(transfer, _response(transfer))
            for curl, code, _text in failed:
                transfer = self._active[curl]
                is_cut = code == pycurl.E_WRITE_ERROR and curl.getinfo(pycurl.RESPONSE_CODE) > 0
                self._end(transfer, _response(transfer) if is_cut else _failure(curl, code))
        self._send_waiting()

    # Requests.

    def _send_waiting(self) -> None:
        """Send the requests that there is room for."""
        loop = self._loop
        while self._waiting and loop is not None and len(self._active) < self._settings.in_flight:
            request = self._waiting.popleft()
            seconds = request.deadline - loop.time()
            if seconds <= 0:
                self._finish(request.item, HttpFailure(FailureKind.TIMEOUT, sent=False))
                continue
            transfer = self._idle.pop() if self._idle else self._new_transfer()
            try:
                _prepare(transfer.curl, request.template, request.item, seconds)
                if not self._settings.connect:
                    _set_address(transfer, request.template.address)
            except (ValueError, TypeError, pycurl.error):  # such as a header that is not ASCII
                self._idle.append(transfer)
                self._finish(request.item, HttpFailure(FailureKind.UNKNOWN, sent=False))
                continue
            transfer.request = request
            self._active[transfer.curl] = transfer
            self._multi.add_handle(transfer.curl)

    def _end(self, transfer: _Transfer, result: Result) -> None:
        request = transfer.request
        self._release(transfer)
        if request is not None:
            self._finish(request.item, result)

    def _release(self, transfer: _Transfer) -> None:
        """Keep a transfer's handle for the next request."""
        self._multi.remove_handle(transfer.curl)
        del self._active[transfer.curl]
        transfer.request = None
        transfer.headers.clear()
        transfer.body = bytearray()
        self._idle.append(transfer)

    def _finish(self, item: RequestItem, result: Result) -> None:
        assert self._loop is not None
        self._loop.call_soon(item[0].on_response, item[1], result)  # libcurl may be amid a call of ours

    def _new_transfer(self) -> _Transfer:
        curl = pycurl.Curl()
        transfer = _Transfer(curl, self._settings.answer)
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
        curl.setopt(pycurl.HEADERFUNCTION, transfer.headers.append)
        curl.setopt(pycurl.WRITEFUNCTION, transfer.write)
        return transfer


def _prepare(curl: Any, template: RequestTemplate, item: RequestItem, seconds: float) -> None:
    """
    Set everything that differs between requests.

    Raises:
        ValueError, TypeError, pycurl.error: the request cannot be sent.
    """
    _, _, path_end, values, body = item
    if any(ord(char) <= 32 or ord(char) > 126 for char in path_end):
        raise ValueError("not a path")
    fields = (*template.headers, *zip(template.varying, values, strict=True))
    lines = [f"{name}: {value}" for name, value in fields]
    text = "\n".join(lines)
    if "\r" in text or text.count("\n") >= max(1, len(lines)):
        raise ValueError("a header holds a line break")
    curl.setopt(pycurl.URL, template.url + path_end)
    curl.setopt(pycurl.HTTPHEADER, lines)
    curl.setopt(pycurl.TIMEOUT_MS, max(1, int(seconds * 1000)))
    if template.method == "GET":
        curl.setopt(pycurl.HTTPGET, 1)
        return
    curl.setopt(pycurl.POST, 1)
    curl.setopt(pycurl.POSTFIELDS, body)
    if template.method == "POST":
        curl.unsetopt(pycurl.CUSTOMREQUEST)
    else:
        curl.setopt(pycurl.CUSTOMREQUEST, template.method)


def _set_address(transfer: _Transfer, address: str) -> None:
    """Connect to this IP address whatever the host in the URL resolves to; "" resolves the host again."""
    if address:
        transfer.curl.setopt(pycurl.CONNECT_TO, [f"::[{address}]:" if ":" in address else f"::{address}:"])
    elif transfer.has_address:
        transfer.curl.unsetopt(pycurl.CONNECT_TO)
    transfer.has_address = bool(address)


def _response(transfer: _Transfer) -> HttpResponse:
    headers: list[tuple[str, str]] = []
    for line in transfer.headers:
        name, colon, value = line.partition(b":")
        if colon:
            headers.append((name.strip().lower().decode("latin-1"), value.strip().decode("latin-1")))
        elif line.startswith(b"HTTP/"):
            headers.clear()  # those of an interim response
    return HttpResponse(transfer.curl.getinfo(pycurl.RESPONSE_CODE), tuple(headers), bytes(transfer.body))


def _failure(curl: Any, code: int) -> HttpFailure:
    return HttpFailure(_KINDS.get(code, FailureKind.UNKNOWN), sent=_was_sent(curl))


def _was_sent(curl: Any) -> bool:
    """Say whether a byte of the request may have left, on this connection or on one that died before."""
    return bool(curl.getinfo(pycurl.REQUEST_SIZE) > 0)
