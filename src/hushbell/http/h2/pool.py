"""All connections to one server: who waits, who is under way, when to open another and when to let one go."""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hushbell.config.gateway import HttpSettings
from hushbell.http.h2.connection import H2Connection
from hushbell.http.h2.protocol import H2Protocol
from hushbell.http.h2.stream import Bounds, H2Stream, Result
from hushbell.ports.http import FailureKind, HttpFailure, ResponseHandler

TRIES = 3  # of a request that the server has not looked at; it is told to the caller after that

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionTimeouts:
    """How long connections are waited for and kept, in seconds."""

    connect: float = 10.0  # until the server has said what it allows
    first_pause: float = 0.05  # after a connection that came to nothing; doubled each time, half of it random
    longest_pause: float = 1.0
    quiet: float = 10.0  # without a byte while answers are awaited, then a PING
    idle: float = 60.0  # the same while none is
    pong: float = 5.0  # for the answer to a PING, then the connection is dead
    age: float = 3600.0  # then a connection is replaced, so that the server can spread its load
    spare: float = 300.0  # without a request, then only one connection is kept


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a server is."""

    host: str  # for its certificate
    port: int
    authority: str


class Pool:
    """Requests to one server, over as few connections as carry them."""

    def __init__(
        self,
        place: Origin,
        settings: HttpSettings,
        bounds: Bounds,
        patience: ConnectionTimeouts,
        *,
        context: Callable[[], ssl.SSLContext],
        jitter: Callable[[], float],
        wake_by: Callable[[float], None],
    ) -> None:
        self.waiting: deque[H2Stream] = deque()
        self.links: list[H2Connection] = []
        self._place = place
        self._settings = settings
        self._bounds = bounds
        self._patience = patience
        self._context = context
        self._jitter = jitter
        self._wake_by = wake_by
        self._loop = asyncio.get_running_loop()
        self._opening: asyncio.Task[None] | None = None
        self._failures = 0  # connections in a row that answered nothing
        self._next_try = 0.0
        self._pumping = False
        self._pings: dict[H2Connection, float] = {}  # when they were sent
        self._closed = False

    # Requests.

    def add(self, stream: H2Stream) -> None:
        """Send a request with all the others of this turn."""
        self.waiting.append(stream)
        self._pump_soon()

    def add_all(self, streams: Sequence[H2Stream]) -> None:
        """Send requests with all the others of this turn."""
        self.waiting.extend(streams)
        self._pump_soon()

    def _pump_soon(self) -> None:
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self.pump)

    def pump(self) -> None:
        """Begin what there is room for."""
        self._pumping = False
        waiting = self.waiting
        if not waiting:
            return
        allowed = self._settings.in_flight - sum(len(link.core.live) for link in self.links)
        for link in self.links:
            room = min(link.room(), allowed)
            if room > 0:
                allowed -= self._begin(link, room)
                if not waiting:
                    return
        if allowed > 0:
            self._grow()

    def _begin(self, link: H2Connection, room: int) -> int:
        """Begin requests on a connection and return how many."""
        waiting, begin, begun = self.waiting, link.core.open, 0
        while waiting and begun < room:
            begun += 1
            if not begin(waiting.popleft()):
                break
        link.begun = self._loop.time()
        self._wake_by(link.begun + self._patience.quiet)
        link.flush()
        return begun

    def forget(self, taker: ResponseHandler) -> None:
        """End all requests of somebody who does not wait any more."""
        self.waiting = deque(stream for stream in self.waiting if stream.taker is not taker)
        for link in self.links:
            for stream in [stream for stream in link.core.live.values() if stream.taker is taker]:
                link.core.cancel(stream)
            link.flush()
        self.pump()

    # What connections tell.

    def progressed(self, link: H2Connection) -> None:
        """Take the results of a connection that may have room again."""
        core = link.core
        if core.done:
            self._failures = 0
            self._settle(core)
        if core.untouched:
            self._again(core)
        if core.draining and link in self.links:
            self._judge(link)
        if self.waiting:
            self._pump_soon()

    def lost(self, link: H2Connection) -> None:
        """Take the results of a connection that is no more."""
        self._pings.pop(link, None)
        if link in self.links:
            self.links.remove(link)
            self._judge(link)
        self._settle(link.core)
        self._again(link.core)
        if self.waiting and not self._closed:
            self.pump()

    def _settle(self, core: H2Protocol) -> None:
        done, core.done = core.done, []
        for stream, result in done:
            self._tell(stream, result)

    def _tell(self, stream: H2Stream, result: Result) -> None:
        try:
            stream.taker.take(stream.index, result)
        except Exception as error:  # noqa: BLE001  # the others must still hear of theirs
            self._loop.call_exception_handler({"message": "a callback of an HTTP request raised", "exception": error})

    def _again(self, core: H2Protocol) -> None:
        """Let what the server has not looked at wait for another turn, in front of what came later."""
        untouched, core.untouched = core.untouched, []
        for stream in reversed(untouched):
            stream.renew()
            if stream.tries >= TRIES or self._closed:
                self._tell(stream, HttpFailure(FailureKind.CLOSED, sent=False))
            else:
                self.waiting.appendleft(stream)

    # Connections.

    def _grow(self) -> None:
        """Open another connection, if there may be one."""
        most = self._settings.connections
        if self._opening is not None or self._usable() >= most or len(self.links) > 2 * most or self._closed:
            return
        now = self._loop.time()
        if now < self._next_try:
            self._wake_by(self._next_try)
            return
        self._opening = self._loop.create_task(self._open())
        self._opening.add_done_callback(self._opened)

    def _usable(self) -> int:
        return sum(not link.core.draining for link in self.links)

    async def _open(self) -> None:
        failure = None
        try:
            async with asyncio.timeout(self._patience.connect):
                failure = await self._connect()
        except TimeoutError:
            failure = FailureKind.TIMEOUT
        except ssl.SSLError:  # before OSError, which it is; a wrong certificate is one, too
            failure = FailureKind.TLS
        except OSError:
            failure = FailureKind.REFUSED
        if failure is not None:
            self._not_connected(failure)

    async def _connect(self) -> FailureKind | None:
        """Return once the server has said what it allows, or why it did not."""
        link = H2Connection(H2Protocol(self._place.authority, self._bounds), self, self._loop)
        host, port = self._place.host, self._place.port
        if self._settings.connect:
            name, _, number = self._settings.connect.rpartition(":")
            host, port = name.strip("[]"), int(number)
        try:
            context = self._context()
        except OSError:
            return FailureKind.TLS
        try:
            await self._loop.create_connection(lambda: link, host, port, ssl=context, server_hostname=self._place.host)
            await link.started
        except BaseException:
            link.abort()
            raise
        if not link.core.ready or link.core.draining:
            return link.failure
        self.links.append(link)
        self._wake_by(self._loop.time() + self._patience.idle)
        return None

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._not_connected(FailureKind.UNKNOWN)
            log.error("connecting failed: %s", type(error).__name__)
        if self.waiting and not self._closed:
            self.pump()

    def _not_connected(self, kind: FailureKind) -> None:
        """Fail what waits, unless another connection carries it."""
        self._slow_down()
        log.warning("no connection to %s: %s", self._place.host, kind.value)
        if not any(link.core.ready and not link.core.draining for link in self.links):
            self._fail_waiting(HttpFailure(kind, sent=False))

    def _judge(self, link: H2Connection) -> None:
        """Slow down once for a connection that came to nothing."""
        if not link.core.answered and not link.judged:
            link.judged = True
            self._slow_down()

    def _slow_down(self) -> None:
        """Wait longer before the next connection."""
        pause = min(self._patience.longest_pause, self._patience.first_pause * 2.0 ** min(self._failures, 32))
        self._failures += 1
        self._next_try = self._loop.time() + pause * (1 - self._jitter() / 2)

    def _fail_waiting(self, failure: HttpFailure) -> None:
        waiting, self.waiting = self.waiting, deque()
        for stream in waiting:
            self._tell(stream, failure)

    # Time.

    def sweep(self, now: float) -> float:
        """End what took too long and return when to look again."""
        again = now + self._patience.idle
        late = [stream for stream in self.waiting if stream.deadline <= now]
        if late:
            self.waiting = deque(stream for stream in self.waiting if stream.deadline > now)
        again = min(again, min((stream.deadline for stream in self.waiting), default=again))
        for stream in late:
            self._tell(stream, HttpFailure(FailureKind.TIMEOUT, sent=False))
        for link in list(self.links):
            again = min(again, self._sweep_streams(link, now), self._sweep_link(link, now))
            link.flush()
        if self.waiting:
            self.pump()
            if now < self._next_try:
                again = min(again, self._next_try)
        return again

    def _sweep_streams(self, link: H2Connection, now: float) -> float:
        core = link.core
        late = [stream for stream in core.live.values() if stream.deadline <= now]
        for stream in late:
            core.cancel(stream)
            self._tell(stream, HttpFailure(FailureKind.TIMEOUT, sent=True))
        return min((stream.deadline for stream in core.live.values()), default=now + self._patience.idle)

    def _sweep_link(self, link: H2Connection, now: float) -> float:
        """Ask a silent connection whether it lives, and retire one that is old or spare."""
        patience, core = self._patience, link.core
        pinged = self._pings.pop(link, None)
        if pinged is not None and link.heard <= pinged:  # not a byte since
            if now >= pinged + patience.pong:
                link.abort()
            else:
                self._pings[link] = pinged
            return pinged + patience.pong
        quiet = patience.quiet if core.live else patience.idle
        spare = not core.live and self._usable() > 1 and now >= link.begun + patience.spare
        if spare or now >= link.made + patience.age:
            core.draining = True
        if core.draining and not core.live:
            link.close()
        elif now >= link.heard + quiet:
            core.ping()
            self._pings[link] = now
            return now + patience.pong
        return link.heard + quiet

    # The end.

    def close(self) -> Sequence["asyncio.Future[None]"]:
        """End everything and return what to wait for."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
        self._fail_waiting(HttpFailure(FailureKind.CLOSED, sent=False))
        for link in list(self.links):
            link.core.lose()
            self._settle(link.core)
            link.close()
        return [link.closed for link in self.links]

    def abort(self) -> None:
        """Cut what does not end."""
        for link in list(self.links):
            link.abort()
