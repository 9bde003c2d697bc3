"""
The bus over a Unix socket, for a server and its phones in different processes: JSON lines both ways.

What one connection writes reaches the server and every other connection; nothing is echoed to its writer, and
nothing sent before a connection was made is repeated. A line that is no envelope is counted and ignored, because
a piped peer mixes events with its messages; a line that is too long cuts the connection, as does a reader that
is more than 16 MiB behind. A busy server pauses reading.
"""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self, cast

from hushbell.errors import ConfigError, TransportError
from hushbell.ports.transport import ReceivedMessage
from hushbell.transports import lines
from hushbell.transports.mailbox import Mailbox
from hushbell.types import Envelope

BEHIND = 16 * 1024 * 1024  # bytes a reader may be behind before it is cut
CONNECTIONS = 1024  # at once; each may hold one unfinished line
SLICE = 1024 * 1024  # bytes handed to the readers before the loop runs them
PATIENCE = 0.1  # seconds the server waits, a slice long, for a reader more than half of that behind
GRACE = 2.0  # seconds the last lines have to leave after close
BACKLOG = 128  # connections that wait to be accepted

Count = Callable[[str], None]
"""Raises the counter of that name by one."""


def _uncounted(_: str) -> None:
    return None


def _slices(envelopes: Sequence[Envelope]) -> Iterator[list[bytes]]:
    """Return the envelopes as lines, about a ``SLICE`` of bytes at a time."""
    batch: list[bytes] = []
    size = 0
    for envelope in envelopes:
        line = lines.encode(envelope)
        if len(line) > lines.LINE:
            raise TransportError("the envelope is too large for a line of the bus")
        batch.append(line)
        size += len(line)
        if size >= SLICE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Connection(asyncio.Protocol):
    """One end of one connection: lines in, lines out, and who must wait."""

    _transport: asyncio.Transport

    def __init__(self, *, received: Callable[["_Connection", list[Envelope]], None], count: Count) -> None:
        self._received = received
        self._count = count
        self._splitter = lines.Splitter()
        self._pending: list[bytes] = []
        self._writable = asyncio.Event()
        self._writable.set()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # What create_unix_* promise; uvloop's transports are no asyncio.Transport by class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _: Exception | None) -> None:
        self.lost.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        complete = self._splitter.feed(data)
        if complete is None:
            self._count("bus_lines_too_long")
            self.cut()
            return
        envelopes = []
        for line in complete:
            envelope = lines.decode(line)
            if envelope is None:
                self._count("bus_lines_ignored")
            else:
                envelopes.append(envelope)
        if envelopes:
            self._received(self, envelopes)

    def write(self, data: Sequence[bytes]) -> None:
        """Write lines at the end of this turn of the loop, together with what else comes."""
        if self.lost.is_set() or self._transport.is_closing():
            return
        if not self._pending:
            asyncio.get_running_loop().call_soon(self.flush)
        self._pending += data

    def flush(self) -> None:
        """Write what was collected."""
        if self._pending and not self._transport.is_closing():
            self._transport.write(b"".join(self._pending))
        self._pending.clear()

    def behind(self) -> int:
        """Return how many bytes the reader has not taken."""
        return 0 if self.lost.is_set() else self._transport.get_write_buffer_size()

    @property
    def slow(self) -> bool:
        """Say whether more waits for the reader than its write buffer should hold."""
        return not self._writable.is_set()

    async def drained(self) -> None:
        """Return when the other side takes more, or is gone."""
        self.flush()
        while not self._writable.is_set():
            await self._writable.wait()

    def pause(self) -> None:
        """Read nothing more for now."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def cut(self) -> None:
        """End the connection now."""
        self._transport.abort()

    async def close(self) -> None:
        """Let what was written leave, then end the connection."""
        self.flush()
        self._transport.close()
        try:
            async with asyncio.timeout(GRACE):
                await self.lost.wait()
        except TimeoutError:
            self.cut()
            await self.lost.wait()


class _ServerConnection(_Connection):
    """A connection that a server accepted."""

    def __init__(self, server: "SocketBusServer", count: Count) -> None:
        super().__init__(received=server.spread, count=count)
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport.set_write_buffer_limits(high=BEHIND // 2)
        self._server.joined(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._server.left(self)

    def flush(self) -> None:
        super().flush()
        if self.behind() > BEHIND:
            self._count("bus_readers_cut")
            self.cut()


class SocketBusServer:
    """The end that listens; one more member of the bus. A ``Transport``."""

    def __init__(self, path: Path, *, count: Count = _uncounted) -> None:
        self._path = path
        self._count = count
        self._connections: set[_ServerConnection] = set()
        self._paused: set[_ServerConnection] = set()
        self._mailbox = Mailbox(on_room=self._resume)
        self._listener: asyncio.Server | None = None
        self._inode = 0

    @classmethod
    async def listen(cls, path: Path, *, count: Count = _uncounted) -> Self:
        """Return a server that listens. Raises ConfigError, see :meth:`start`."""
        server = cls(path, count=count)
        await server.start()
        return server

    async def start(self) -> None:
        """
        Listen on the path, mode 0600. A socket nobody listens on any more is replaced.

        Raises:
            ConfigError: another program listens there, it is not a socket, or it cannot be made.
        """
        bound = _bind(self._path)
        self._inode = self._path.stat().st_ino
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_unix_server(
            lambda: _ServerConnection(self, self._count), sock=bound, backlog=BACKLOG
        )

    @property
    def connections(self) -> int:
        """Return how many are connected. One that just connected counts once the loop has accepted it."""
        return len(self._connections)

    async def receive(self, limit: int) -> Sequence[ReceivedMessage]:
        """Wait for at least one envelope and return up to ``limit``; nothing once closed and emptied."""
        return await self._mailbox.receive(limit)

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Write the envelopes to every connection. Raises TransportError after ``close``."""
        if self._mailbox.closed:
            raise TransportError("the bus is closed")
        for batch in _slices(envelopes):
            for connection in self._connections:
                connection.write(batch)
            await self._turn()

    async def close(self) -> None:
        """Stop listening, let the last lines leave, and remove the socket."""
        self._mailbox.close()
        if self._listener:
            self._listener.close()
            self._listener = None
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_ino == self._inode:
                    self._path.unlink()
        await asyncio.gather(*(connection.close() for connection in tuple(self._connections)))

    def joined(self, connection: _ServerConnection) -> None:
        """Take a new connection in, if there is room."""
        if len(self._connections) >= CONNECTIONS or self._mailbox.closed:
            self._count("bus_connections_refused")
            connection.cut()
            return
        self._connections.add(connection)

    def left(self, connection: _ServerConnection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        self._paused.discard(connection)

    def spread(self, writer: _Connection, envelopes: list[Envelope]) -> None:
        """Hand what one connection wrote to the server and to every other connection."""
        if len(self._connections) > 1:
            # written anew, so that a reader sees the two fields and nothing else a writer put beside them
            encoded = [lines.encode(envelope) for envelope in envelopes]
            for connection in self._connections:
                if connection is not writer:
                    connection.write(encoded)
        self._mailbox.put(envelopes)
        if self._mailbox.full and isinstance(writer, _ServerConnection):
            writer.pause()
            self._paused.add(writer)

    async def _turn(self) -> None:
        """Let the readers read, so that a large batch cuts those only that do not."""
        await asyncio.sleep(0)
        slow = [connection for connection in self._connections if connection.slow]
        if slow:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    for connection in slow:
                        await connection.drained()

    def _resume(self) -> None:
        for connection in self._paused:
            connection.resume()
        self._paused.clear()


class SocketBusTransport:
    """A phone's end of a bus in another process. A ``Transport``."""

    def __init__(self, connection: _Connection, mailbox: Mailbox) -> None:
        self._connection = connection
        self._mailbox = mailbox

    @classmethod
    async def connect(cls, path: Path, *, count: Count = _uncounted) -> Self:
        """Return a new end. Raises TransportError if nobody listens there."""
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_unix_connection(lambda: _ClientConnection(count), str(path))
        except OSError as error:
            raise TransportError(f"nobody listens on {path}") from error
        return cls(connection, connection.mailbox)

    async def receive(self, limit: int) -> Sequence[ReceivedMessage]:
        """Wait for at least one envelope and return up to ``limit``; nothing once the connection has ended."""
        return await self._mailbox.receive(limit)

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Write the envelopes, waiting while the bus is busy. Raises TransportError if the connection ended."""
        for batch in _slices(envelopes):
            self._connection.write(batch)
            await self._connection.drained()
        if self._mailbox.closed:
            raise TransportError("the connection to the bus has ended")

    async def close(self) -> None:
        """Let what was written leave and end the connection. What waits can still be received."""
        self._mailbox.close()
        await self._connection.close()


class _ClientConnection(_Connection):
    """A connection that was made to a server."""

    def __init__(self, count: Count) -> None:
        super().__init__(received=self._keep, count=count)
        self.mailbox = Mailbox(on_room=self.resume)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.mailbox.close()

    def _keep(self, _: _Connection, envelopes: list[Envelope]) -> None:
        self.mailbox.put(envelopes)
        if self.mailbox.full:
            self.pause()


def _bind(path: Path) -> socket.socket:
    """Return a socket bound to the path and not yet listening, so that nobody connects before its mode is set."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear(path)
        bound.bind(str(path))
        path.chmod(0o600)
    except ConfigError:
        bound.close()
        raise
    except OSError as error:
        bound.close()
        raise ConfigError(f"{path}: cannot listen there: {error.strerror or error}") from error
    return bound


def _clear(path: Path) -> None:
    """Remove a stale socket. Raises ConfigError if the path is anything else."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{path}: exists and is not a socket; choose another path or remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise ConfigError(f"{path}: another program listens there; stop it or choose another path")
