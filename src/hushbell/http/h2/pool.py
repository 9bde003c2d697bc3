"""All connections to one server: which requests wait, when a connection is opened, and when one is closed."""

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

MAX_TRIES = 3  # of a request that the server says it has not processed; then it fails

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionTimeouts:
    """When connections are given up, checked and replaced. All times are in seconds."""

    connect: float = 10.0  # until the server has sent its SETTINGS
    min_reconnect_interval: float = 0.05  # after a connection that answered nothing; doubled each time, half random
    max_reconnect_interval: float = 1.0
    ping_interval: float = 10.0  # without a byte while responses are awaited; then a PING is sent
    idle_ping_interval: float = 60.0  # the same while none is awaited
    pong: float = 5.0  # until the answer to a PING; then the connection is cut
    max_age: float = 3600.0  # then a connection is replaced, so that the server can spread its load
    spare: float = 300.0  # without a request; then all connections but one are closed


@dataclass(frozen=True, slots=True)
class Origin:
    """A server: its name, port and authority."""

    host: str  # for its certificate
    port: int
    authority: str


class Pool:
    """Requests to one server, over as few connections as have room for them."""

    def __init__(
        self,
        origin: Origin,
        settings: HttpSettings,
        bounds: Bounds,
        timeouts: ConnectionTimeouts,
        *,
        context: Callable[[], ssl.SSLContext],
        jitter: Callable[[], float],
        wake_by: Callable[[float], None],
    ) -> None:
        self.waiting: deque[H2Stream] = deque()
        self.connections: list[H2Connection] = []
        self._origin = origin
        self._settings = settings
        self._bounds = bounds
        self._timeouts = timeouts
        self._context = context
        self._jitter = jitter
        self._wake_by = wake_by
        self._loop = asyncio.get_running_loop()
        self._open_task: asyncio.Task[None] | None = None
        self._failures = 0  # connections in a row that answered nothing
        self._reconnect_at = 0.0
        self._will_send = False
        self._pings: dict[H2Connection, float] = {}  # when they were sent
        self._closed = False

    # Requests.

    def add(self, streams: Sequence[H2Stream]) -> None:
        """Send requests, together with all others of this turn of the event loop."""
        self.waiting.extend(streams)
        self._send_soon()

    def _send_soon(self) -> None:
        if not self._will_send:
            self._will_send = True
            self._loop.call_soon(self.send_waiting)

    def send_waiting(self) -> None:
        """Send the waiting requests that there is room for."""
        self._will_send = False
        waiting = self.waiting
        if not waiting:
            return
        allowed = self._settings.in_flight - sum(len(connection.protocol.streams) for connection in self.connections)
        for connection in self.connections:
            room = min(connection.room(), allowed)
            if room > 0:
                allowed -= self._send(connection, room)
                if not waiting:
                    return
        if allowed > 0:
            self._grow()

    def _send(self, connection: H2Connection, room: int) -> int:
        """Send requests on a connection and return how many."""
        waiting, open_stream, sent = self.waiting, connection.protocol.open, 0
        while waiting and sent < room:
            sent += 1
            if not open_stream(waiting.popleft()):
                break
        connection.requested_at = self._loop.time()
        self._wake_by(connection.requested_at + self._timeouts.ping_interval)
        connection.flush()
        return sent

    def cancel(self, handler: ResponseHandler) -> None:
        """End the requests of a handler without calling it."""
        self.waiting = deque(stream for stream in self.waiting if stream.handler is not handler)
        for connection in self.connections:
            for stream in [stream for stream in connection.protocol.streams.values() if stream.handler is handler]:
                connection.protocol.cancel(stream)
            connection.flush()
        self._send_soon()

    # Events of connections.

    def on_progress(self, connection: H2Connection) -> None:
        """Report the results of a connection, which may have room again."""
        protocol = connection.protocol
        if protocol.results:
            self._failures = 0
            self._report_all(protocol)
        if protocol.unprocessed:
            self._send_again(protocol)
        if protocol.going_away and connection in self.connections:
            self._count_failure(connection)
        if self.waiting:
            self._send_soon()

    def on_lost(self, connection: H2Connection) -> None:
        """Report the results of a connection that has ended."""
        self._pings.pop(connection, None)
        if connection in self.connections:
            self.connections.remove(connection)
            self._count_failure(connection)
        self._report_all(connection.protocol)
        self._send_again(connection.protocol)
        if self.waiting and not self._closed:
            self.send_waiting()

    def _report_all(self, protocol: H2Protocol) -> None:
        results, protocol.results = protocol.results, []
        for stream, result in results:
            self._report(stream, result)

    def _report(self, stream: H2Stream, result: Result) -> None:
        try:
            stream.handler.on_response(stream.key, result)
        except Exception as error:  # noqa: BLE001  # the other results must still be reported
            self._loop.call_exception_handler({"message": "a callback of an HTTP request raised", "exception": error})

    def _send_again(self, protocol: H2Protocol) -> None:
        """Send what the server has not processed once more, before the requests that came later."""
        unprocessed, protocol.unprocessed = protocol.unprocessed, []
        for stream in reversed(unprocessed):
            stream.reset()
            if stream.tries >= MAX_TRIES or self._closed:
                self._report(stream, HttpFailure(FailureKind.CLOSED, sent=False))
            else:
                self.waiting.appendleft(stream)

    # Connections.

    def _grow(self) -> None:
        """Open another connection, if there may be one."""
        limit = self._settings.connections
        is_full = self._usable() >= limit or len(self.connections) > 2 * limit
        if self._open_task is not None or is_full or self._closed:
            return
        now = self._loop.time()
        if now < self._reconnect_at:
            self._wake_by(self._reconnect_at)
            return
        self._open_task = self._loop.create_task(self._open())
        self._open_task.add_done_callback(self._on_open_done)

    def _usable(self) -> int:
        return sum(not connection.protocol.going_away for connection in self.connections)

    async def _open(self) -> None:
        failure = None
        try:
            async with asyncio.timeout(self._timeouts.connect):
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
        """Return None once the server has sent its SETTINGS, or why it did not."""
        connection = H2Connection(H2Protocol(self._origin.authority, self._bounds), self, self._loop)
        host, port = self._origin.host, self._origin.port
        if self._settings.connect:
            name, _, number = self._settings.connect.rpartition(":")
            host, port = name.strip("[]"), int(number)
        try:
            context = self._context()
        except OSError:
            return FailureKind.TLS
        try:
            await self._loop.create_connection(
                lambda: connection, host, port, ssl=context, server_hostname=self._origin.host
            )
            await connection.started
        except BaseException:
            connection.abort()
            raise
        if not connection.protocol.ready or connection.protocol.going_away:
            return connection.failure
        self.connections.append(connection)
        self._wake_by(self._loop.time() + self._timeouts.idle_ping_interval)
        return None

    def _on_open_done(self, task: asyncio.Task[None]) -> None:
        self._open_task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._not_connected(FailureKind.UNKNOWN)
            log.error("connecting failed: %s", type(error).__name__)
        if self.waiting and not self._closed:
            self.send_waiting()

    def _not_connected(self, kind: FailureKind) -> None:
        """Fail the waiting requests, unless there is another connection for them."""
        self._delay_reconnect()
        log.warning("no connection to %s: %s", self._origin.host, kind.value)
        if not any(other.protocol.ready and not other.protocol.going_away for other in self.connections):
            self._fail_waiting(HttpFailure(kind, sent=False))

    def _count_failure(self, connection: H2Connection) -> None:
        """Delay the next connection, once for each that answered nothing."""
        if not connection.protocol.answered and not connection.is_counted:
            connection.is_counted = True
            self._delay_reconnect()

    def _delay_reconnect(self) -> None:
        """Double the interval before the next connection."""
        timeouts = self._timeouts
        interval = min(
            timeouts.max_reconnect_interval, timeouts.min_reconnect_interval * 2.0 ** min(self._failures, 32)
        )
        self._failures += 1
        self._reconnect_at = self._loop.time() + interval * (1 - self._jitter() / 2)

    def _fail_waiting(self, failure: HttpFailure) -> None:
        waiting, self.waiting = self.waiting, deque()
        for stream in waiting:
            self._report(stream, failure)

    # Deadlines.

    def check_deadlines(self, now: float) -> float:
        """End what took too long and return when to check next."""
        latest = now + self._timeouts.idle_ping_interval
        late = [stream for stream in self.waiting if stream.deadline <= now]
        if late:
            self.waiting = deque(stream for stream in self.waiting if stream.deadline > now)
        next_check = min(latest, min((stream.deadline for stream in self.waiting), default=latest))
        for stream in late:
            self._report(stream, HttpFailure(FailureKind.TIMEOUT, sent=False))
        for connection in list(self.connections):
            next_check = min(next_check, self._end_late_streams(connection, now))
            next_check = min(next_check, self._check_connection(connection, now))
            connection.flush()
        if self.waiting:
            self.send_waiting()
            if now < self._reconnect_at:
                next_check = min(next_check, self._reconnect_at)
        return next_check

    def _end_late_streams(self, connection: H2Connection, now: float) -> float:
        """End streams after their deadline and return the next deadline."""
        protocol, latest = connection.protocol, now + self._timeouts.idle_ping_interval
        late = [stream for stream in protocol.streams.values() if stream.deadline <= now]
        for stream in late:
            protocol.cancel(stream)
            self._report(stream, HttpFailure(FailureKind.TIMEOUT, sent=True))
        return min((stream.deadline for stream in protocol.streams.values()), default=latest)

    def _check_connection(self, connection: H2Connection, now: float) -> float:
        """Send a PING on a silent connection, close an old or spare one, and return when to check next."""
        timeouts, protocol = self._timeouts, connection.protocol
        pinged = self._pings.pop(connection, None)
        if pinged is not None and connection.received_at <= pinged:  # not a byte since
            if now >= pinged + timeouts.pong:
                connection.abort()
            else:
                self._pings[connection] = pinged
            return pinged + timeouts.pong
        quiet = timeouts.ping_interval if protocol.streams else timeouts.idle_ping_interval
        spare = not protocol.streams and self._usable() > 1 and now >= connection.requested_at + timeouts.spare
        if spare or now >= connection.opened_at + timeouts.max_age:
            protocol.going_away = True
        if protocol.going_away and not protocol.streams:
            connection.close()
        elif now >= connection.received_at + quiet:
            protocol.ping()
            self._pings[connection] = now
            return now + timeouts.pong
        return connection.received_at + quiet

    # Close.

    def close(self) -> Sequence["asyncio.Future[None]"]:
        """End all requests and connections; return a future for each connection, done when it is closed."""
        self._closed = True
        if self._open_task is not None:
            self._open_task.cancel()
        self._fail_waiting(HttpFailure(FailureKind.CLOSED, sent=False))
        for connection in list(self.connections):
            connection.protocol.connection_lost()
            self._report_all(connection.protocol)
            connection.close()
        return [connection.closed for connection in self.connections]

    def abort(self) -> None:
        """Cut all connections."""
        for connection in list(self.connections):
            connection.abort()
