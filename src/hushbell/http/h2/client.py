"""
The HTTP port on an own HTTP/2 sender, for the few hosts that carry the load (Apple, Google).

https only, and only to servers that speak HTTP/2; libcurl does everything else. A request costs no task and no
future: one future stands for everything that a caller hands over, and ``post`` needs none. All requests of a turn of
the event loop are written together, one timer watches all deadlines.
"""

import asyncio
import random
import re
import ssl
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from hushbell.config.gateway import HttpSettings
from hushbell.http.h2.connection import client_context
from hushbell.http.h2.hpack import Literals, path
from hushbell.http.h2.pool import ConnectionTimeouts, Origin, Pool
from hushbell.http.h2.stream import Bounds, H2Stream, Result
from hushbell.ports.http import FailureKind, HttpFailure, HttpRequest, Member, OnAnswer, ResponseHandler, Series

HOSTS = 64  # servers; a sender for few hosts that meets many is in the wrong place
RESOLUTION = 0.005  # seconds between two looks at the deadlines, and a microsecond for each request that waits
FAREWELL = 1.0  # seconds for connections to end in good order

_REFUSED = HttpFailure(FailureKind.REFUSED, sent=False)
_NO_REQUEST = HttpFailure(FailureKind.UNKNOWN, sent=False)
_TARGET = re.compile(r'[!"$-~]*', re.ASCII)  # without "#" and spaces
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+", re.ASCII)
_METHOD = re.compile(r"[A-Z]{1,16}", re.ASCII)


class _Batch:
    """What one caller of ``send`` waits for."""

    __slots__ = ("done", "left", "results")

    def __init__(self, size: int, done: "asyncio.Future[None]") -> None:
        self.results: list[Result] = [_REFUSED] * size
        self.left = size
        self.done = done

    def take(self, index: int, result: Result) -> None:
        self.results[index] = result
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)


class _Single:
    """What one caller of ``post`` wants to be told."""

    __slots__ = ("on_answer",)

    def __init__(self, on_answer: OnAnswer) -> None:
        self.on_answer = on_answer

    def take(self, _index: int, result: Result) -> None:
        self.on_answer(result)


class _Common(NamedTuple):
    """What all requests of a series have in common, as it is sent."""

    host: Pool | None
    start: str  # of the path
    authorization: str
    rest: bytes  # the block of all other headers

    def __repr__(self) -> str:
        """Return what is no secret."""
        return "_Common()"


class H2Client:
    """An HTTP/2 client. Made anywhere, used in one event loop. The settings' bounds hold for each server."""

    def __init__(
        self,
        settings: HttpSettings,
        *,
        bounds: Bounds | None = None,
        patience: ConnectionTimeouts | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """
        Prepare the client; no connection is made before the first request.

        Args:
            settings: of the provider.
            bounds: of one connection; those of the settings if None.
            patience: with connections.
            jitter: returns numbers in [0, 1), so that many clients do not come back at the same moment.
        """
        self._settings = settings
        self._bounds = bounds or Bounds(streams=settings.streams, answer=settings.answer)
        self._patience = patience or ConnectionTimeouts()
        self._jitter = jitter
        self._loop: asyncio.AbstractEventLoop | None = None
        self._literals = Literals()
        self._hosts: dict[str, Pool] = {}
        self._tls: ssl.SSLContext | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = float("inf")
        self._closed = False
        self._last: tuple[Series, _Common] | None = None

    def post(self, request: HttpRequest, on_answer: OnAnswer) -> None:
        """Send a request; the callback gets the result, never before this returns."""
        loop = self._loop or self._open()
        failure = self._start(request, _Single(on_answer), 0, loop.time())
        if failure is not None:
            loop.call_soon(on_answer, failure)

    def post_series(self, series: Series, members: Sequence[Member]) -> None:
        """Send requests that are nearly alike. Each costs a fraction of one that is posted alone."""
        loop = self._loop or self._open()
        try:
            host, streams = self._streams(series, members, loop.time() + series.timeout)
        except ValueError:
            for taker, index, *_ in members:
                loop.call_soon(taker.take, index, _NO_REQUEST)
            return
        room = 0 if self._closed or host is None else max(0, self._settings.waiting - len(host.waiting))
        for stream in streams[room:]:
            loop.call_soon(stream.taker.take, stream.index, _REFUSED)
        if host is None or not room:
            return
        host.add_all(streams[:room] if len(streams) > room else streams)
        if streams[0].deadline < self._wakes_at:
            self._wake_by(streams[0].deadline)

    def _streams(
        self, series: Series, members: Sequence[Member], deadline: float
    ) -> tuple[Pool | None, list[H2Stream]]:
        """Return the server of a series, and its requests. Raises ValueError: they cannot be sent."""
        host, start, authorization, rest = self._common(series)
        if not _TARGET.fullmatch("".join([end for _, _, end, _, _ in members])):
            raise ValueError("not a path")
        if not series.differs:
            return host, [
                H2Stream(taker, index, deadline, "POST", path(start + end), authorization, rest, body)
                for taker, index, end, _, body in members
            ]
        varying = self._literals.literal(series.differs, [value for _, _, _, value, _ in members])
        return host, [
            H2Stream(taker, index, deadline, "POST", path(start + end), authorization, rest + one, body)
            for (taker, index, end, _, body), one in zip(members, varying, strict=True)
        ]

    def _common(self, series: Series) -> _Common:
        """Return server, beginning of the path, authorization and block of a series. Raises ValueError."""
        last = self._last
        if last is not None and (last[0] is series or last[0] == series):
            return last[1]
        url = series.url
        slash = _end_of_authority(url)
        host, start = self._host(url[:slash]), url[slash:] or "/"
        if not _TARGET.fullmatch(start):
            raise ValueError("not a path")
        found = _Common(host, start, *self._literals.encode(series.headers))
        if host is not None:
            # The next one is nearly always the same: the same app's pushes, with the same authorization.
            self._last = series, found
        return found

    async def send(self, requests: Sequence[HttpRequest]) -> Sequence[Result]:
        """Send the requests side by side and return one result each, in order."""
        if not requests:
            return []
        loop = self._loop or self._open()
        waiting = sum(len(host.waiting) for host in self._hosts.values())
        if self._closed or waiting + len(requests) > self._settings.waiting:
            return [_REFUSED] * len(requests)
        batch, now = _Batch(len(requests), loop.create_future()), loop.time()
        for index, request in enumerate(requests):
            failure = self._start(request, batch, index, now)
            if failure is not None:
                batch.take(index, failure)
        try:
            await batch.done
        except asyncio.CancelledError:
            for host in self._hosts.values():
                host.forget(batch)
            raise
        return batch.results

    async def close(self) -> None:
        """Let go of connections. Requests under way end with CLOSED."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        ending = [future for host in self._hosts.values() for future in host.close()]
        if ending:
            await asyncio.wait(ending, timeout=FAREWELL)
        for host in self._hosts.values():
            host.abort()

    def _open(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        return self._loop

    def _start(self, request: HttpRequest, taker: ResponseHandler, index: int, now: float) -> HttpFailure | None:
        """Let a request wait for its turn, or return why it cannot be sent."""
        url = request.url
        slash = url.find("/", 8)  # behind https://
        host = self._hosts.get(url[:slash]) if slash > 0 else None
        try:
            if host is None:
                slash = _end_of_authority(url)
                host = self._host(url[:slash])
            if self._closed or host is None or len(host.waiting) >= self._settings.waiting:
                return _REFUSED
            authorization, rest = self._literals.encode(request.headers)
            target = _target(request.method, url[slash:])
        except ValueError:
            return _NO_REQUEST
        deadline = now + request.timeout
        host.add(H2Stream(taker, index, deadline, request.method, target, authorization, rest, request.body))
        if deadline < self._wakes_at:
            self._wake_by(deadline)
        return None

    def _host(self, origin: str) -> Pool | None:
        """Return what is known of a server, or None for one too many. Raises ValueError for what is no server."""
        host = self._hosts.get(origin)
        if host is None and len(self._hosts) < HOSTS and not self._closed:
            host = self._hosts[origin] = Pool(
                _place(origin),
                self._settings,
                self._bounds,
                self._patience,
                context=self._context,
                jitter=self._jitter,
                wake_by=self._wake_by,
            )
        return host

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = client_context(self._settings.ca_file, self._settings.certificate_file)
        return self._tls

    # Deadlines.

    def _wake_by(self, when: float) -> None:
        """Look at the deadlines at this time of the event loop, if not earlier."""
        if when < self._wakes_at and not self._closed and self._loop is not None:
            if self._timer is not None:
                self._timer.cancel()
            self._wakes_at = when
            self._timer = self._loop.call_at(when, self._sweep)

    def _sweep(self) -> None:
        assert self._loop is not None
        self._timer, self._wakes_at = None, float("inf")
        now = self._loop.time()
        hosts = list(self._hosts.values())
        again = min(host.sweep(now) for host in hosts)
        waiting = sum(len(host.waiting) for host in hosts)
        self._wake_by(max(again, now + RESOLUTION + waiting * 1e-6))


def _end_of_authority(url: str) -> int:
    """Return where the path of a URL begins."""
    return min(at if (at := url.find(mark, 8)) >= 0 else len(url) for mark in "/?#")


def _place(origin: str) -> Origin:
    """Return where the server of ``https://host:port`` is. Raises ValueError for anything else."""
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if parts.scheme != "https" or "@" in parts.netloc or not _HOST.fullmatch(host):
        raise ValueError("not the address of a server")
    port = parts.port or 443
    authority = f"[{host}]" if ":" in host else host
    return Origin(host, port, authority if port == 443 else f"{authority}:{port}")


def _target(method: str, text: str) -> bytes:
    """Return ``:path`` for what follows the authority in a URL. Raises ValueError for what cannot be asked for."""
    if "#" in text:
        text = text.partition("#")[0]
    if text[:1] != "/":
        text = "/" + text
    if not _TARGET.fullmatch(text) or (method != "POST" and not _METHOD.fullmatch(method)):
        raise ValueError("not a method, or not a path")
    return path(text)
