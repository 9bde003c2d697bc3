"""A plain HTTP/1.1 server on loopback for stand-ins: on each connection one request after another."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

BODY = 16 * 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)  # names in lower case
    body: bytes = field(repr=False)


Answering = Callable[[RecordedRequest, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]
"""Answers a request; returns whether the connection lives on."""


class PlainHttp:
    """Listens from ``listen`` to ``refuse``, again and again, always on the same port."""

    def __init__(self, answering: Answering, *, port: int = 0) -> None:
        self.port = port
        self._answering = answering
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """What a client is configured with."""
        return f"http://127.0.0.1:{self.port}"

    async def listen(self) -> None:
        """Take connections."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Cut every connection and take no more."""
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
            while (asked := await _read(reader)) is not None and await self._answering(asked, reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass  # the client is gone or speaks something else
        except asyncio.CancelledError:
            pass  # the stand-in closes; nothing else ever cancels this task
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> RecordedRequest | None:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= BODY:
        return None
    method, target, _ = first.split(" ")
    return RecordedRequest(method, target, headers, await reader.readexactly(length))
