"""
The HTTP port on our own HTTP/2 client, for the few servers that receive most requests (Apple, Google).

It speaks https only, and only to servers that speak HTTP/2. A request costs no task and no future. All requests of one
turn of the event loop are written together, and one timer watches all deadlines.
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
from hushbell.http.h2.stream import Bounds, H2Stream
from hushbell.ports.http import FailureKind, HttpFailure, RequestItem, RequestTemplate, ResponseHandler

MAX_ORIGINS = 64  # servers of one client; a user of more needs libcurl
DEADLINE_INTERVAL = 0.005  # seconds between two looks at the deadlines, and a microsecond for each waiting request
CLOSE_TIMEOUT = 1.0  # seconds that closing connections may take

_REFUSED = HttpFailure(FailureKind.REFUSED, sent=False)
_NO_REQUEST = HttpFailure(FailureKind.UNKNOWN, sent=False)
_PATH = re.compile(r'[!"$-~]*', re.ASCII)  # without "#" and spaces
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+", re.ASCII)
_METHOD = re.compile(r"[A-Z]{1,16}", re.ASCII)


class _EncodedTemplate(NamedTuple):
    """A template as it is sent."""

    pool: Pool | None  # None: one server too many
    path_start: str
    authorization: str
    block: bytes  # of all other headers

    def __repr__(self) -> str:
        """Return what is no secret."""
        return "_EncodedTemplate()"


class H2Client:
    """An HTTP/2 client. Made anywhere, used in one event loop. The bounds of its settings are for each server."""

    def __init__(
        self,
        settings: HttpSettings,
        *,
        bounds: Bounds | None = None,
        timeouts: ConnectionTimeouts | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """
        Prepare the client; no connection is made before the first request.

        Args:
            settings: of the provider.
            bounds: of one connection; those of the settings if None.
            timeouts: of connections.
            jitter: returns numbers in [0, 1), so that many clients do not connect again at the same moment.
        """
        self._settings = settings
        self._bounds = bounds or Bounds(streams=settings.streams, answer=settings.answer)
        self._timeouts = timeouts or ConnectionTimeouts()
        self._jitter = jitter
        self._loop: asyncio.AbstractEventLoop | None = None
        self._literals = Literals()
        self._pools: dict[str, Pool] = {}
        self._tls: ssl.SSLContext | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = float("inf")
        self._closed = False
        self._last: tuple[RequestTemplate, _EncodedTemplate] | None = None

    def submit(self, template: RequestTemplate, items: Sequence[RequestItem]) -> None:
        """Send requests; each handler is called once, never before this returns."""
        loop = self._loop or self._open()
        deadline = loop.time() + template.timeout
        try:
            pool, streams = self._streams(template, items, deadline)
        except ValueError:
            if len(items) > 1:  # the others can be sent
                for item in items:
                    self.submit(template, (item,))
                return
            for handler, key, *_ in items:
                loop.call_soon(handler.on_response, key, _NO_REQUEST)
            return
        room = 0 if self._closed or pool is None else max(0, self._settings.waiting - len(pool.waiting))
        for stream in streams[room:]:
            loop.call_soon(stream.handler.on_response, stream.key, _REFUSED)
        if pool is None or not room:
            return
        pool.add(streams[:room] if len(streams) > room else streams)
        if deadline < self._wakes_at:
            self._wake_by(deadline)

    def cancel(self, handler: ResponseHandler) -> None:
        """End the requests of a handler without calling it. A result that is known already may still be reported."""
        for pool in self._pools.values():
            pool.cancel(handler)

    async def close(self) -> None:
        """Close all connections. Requests under way end with CLOSED."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        closing = [future for pool in self._pools.values() for future in pool.close()]
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)
        for pool in self._pools.values():
            pool.abort()

    def _open(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        return self._loop

    # Templates.

    def _streams(
        self, template: RequestTemplate, items: Sequence[RequestItem], deadline: float
    ) -> tuple[Pool | None, list[H2Stream]]:
        """Return the pool of a template's server, and a stream for each request. Raises ValueError: bad requests."""
        last = self._last
        encoded = last[1] if last is not None and last[0] is template else self._encode(template)
        pool, start, authorization, block = encoded
        method = template.method
        if not _PATH.fullmatch("".join([end for _, _, end, _, _ in items])):
            raise ValueError("not a path")
        if not template.varying:
            return pool, [
                H2Stream(handler, key, deadline, method, path(start + end), authorization, block, body)
                for handler, key, end, _, body in items
            ]
        blocks = self._literals.blocks(block, template.varying, [values for _, _, _, values, _ in items])
        return pool, [
            H2Stream(handler, key, deadline, method, path(start + end), authorization, whole, body)
            for (handler, key, end, _, body), whole in zip(items, blocks, strict=True)
        ]

    def _encode(self, template: RequestTemplate) -> _EncodedTemplate:
        """Return a template as it is sent. Raises ValueError."""
        last = self._last
        if last is not None and last[0] == template:
            return last[1]
        url, method = template.url, template.method
        slash = _end_of_authority(url)
        pool, start = self._pool(url[:slash]), url[slash:].partition("#")[0]
        if start[:1] != "/":
            start = "/" + start
        if not _PATH.fullmatch(start) or (method != "POST" and not _METHOD.fullmatch(method)) or template.address:
            raise ValueError("not a path, not a method, or an address that only libcurl can connect to")
        encoded = _EncodedTemplate(pool, start, *self._literals.encode(template.headers))
        if pool is not None:
            # The next template is nearly always the same: the same app's pushes, with the same authorization.
            self._last = template, encoded
        return encoded

    def _pool(self, origin: str) -> Pool | None:
        """Return the pool of a server, or None for one too many. Raises ValueError for what is no server."""
        pool = self._pools.get(origin)
        if pool is None and len(self._pools) < MAX_ORIGINS and not self._closed:
            pool = self._pools[origin] = Pool(
                _parse_origin(origin),
                self._settings,
                self._bounds,
                self._timeouts,
                context=self._context,
                jitter=self._jitter,
                wake_by=self._wake_by,
            )
        return pool

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
            self._timer = self._loop.call_at(when, self._check_deadlines)

    def _check_deadlines(self) -> None:
        assert self._loop is not None
        self._timer, self._wakes_at = None, float("inf")
        now = self._loop.time()
        pools = list(self._pools.values())
        next_check = min(pool.check_deadlines(now) for pool in pools)
        waiting = sum(len(pool.waiting) for pool in pools)
        self._wake_by(max(next_check, now + DEADLINE_INTERVAL + waiting * 1e-6))


def _end_of_authority(url: str) -> int:
    """Return where the path of a URL begins."""
    return min(at if (at := url.find(mark, 8)) >= 0 else len(url) for mark in "/?#")


def _parse_origin(origin: str) -> Origin:
    """Return where the server of ``https://host:port`` is. Raises ValueError for anything else."""
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if parts.scheme != "https" or "@" in parts.netloc or not _HOST.fullmatch(host):
        raise ValueError("not the address of a server")
    port = parts.port or 443
    authority = f"[{host}]" if ":" in host else host
    return Origin(host, port, authority if port == 443 else f"{authority}:{port}")
