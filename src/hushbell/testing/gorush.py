"""A stand-in for gorush's ``POST /api/push``: keeps every body byte for byte and answers as scripted."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Self

BODY = 16 * 1024 * 1024  # bytes
FINE = b'{"counts":1,"logs":[],"success":"ok"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One scripted answer."""

    status: int = 200
    body: bytes = FINE
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0  # seconds
    hang: bool = False  # never answers
    close: bool = False  # cuts the connection instead of answering
    raw: bytes | None = None  # these bytes in place of HTTP


@dataclass(frozen=True, slots=True)
class Posted:
    """One request that arrived."""

    path: str
    headers: dict[str, str] = field(repr=False)  # names in lower case
    body: bytes = field(repr=False)

    @property
    def notifications(self) -> list[dict[str, Any]]:
        """The notifications in the body."""
        found: list[dict[str, Any]] = json.loads(self.body)["notifications"]
        return found


class MockGorush:
    """Scripted replies are used up in order; after them ``reply`` answers everything."""

    def __init__(self, *, port: int = 0) -> None:
        self.port = port
        self.posted: list[Posted] = []
        self.script: deque[Reply] = deque()
        self.reply = Reply()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Condition()

    @property
    def url(self) -> str:
        """What a client is configured with."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def bodies(self) -> list[bytes]:
        """Every body, in order of arrival."""
        return [posted.body for posted in self.posted]

    async def wait_for(self, number: int, *, patience: float = 10.0) -> list[bytes]:
        """Return the bodies once there are that many; TimeoutError after ``patience`` seconds."""
        async with asyncio.timeout(patience), self._arrived:
            await self._arrived.wait_for(lambda: len(self.posted) >= number)
        return self.bodies

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.refuse()

    async def listen(self) -> None:
        """Take connections, always on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Cut every connection and take no more until :meth:`listen`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass  # the client is gone or speaks something else
        except asyncio.CancelledError:
            pass  # the stand-in closes; nothing else ever cancels this task
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Take one request and answer it; return whether the connection lives on."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        length = int(headers.get("content-length", "0"))
        if not 0 <= length <= BODY:
            return False
        body = await reader.readexactly(length)
        self.posted.append(Posted(first.split(" ")[1], headers, body))
        async with self._arrived:
            self._arrived.notify_all()
        reply = self.script.popleft() if self.script else self.reply
        if reply.hang:
            await reader.read()
            return False
        await asyncio.sleep(reply.delay)
        if reply.close:
            return False
        writer.write(reply.raw if reply.raw is not None else _http(reply))
        await writer.drain()
        if reply.raw is not None:
            writer.close()
            await writer.wait_closed()
            return False
        return True


def _http(reply: Reply) -> bytes:
    extra = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
    head = f"HTTP/1.1 {reply.status} Status\r\nContent-Type: application/json\r\nContent-Length: {len(reply.body)}\r\n"
    return (head + extra + "\r\n").encode() + reply.body
