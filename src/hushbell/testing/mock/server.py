"""
A stand-in for every push provider: HTTP/2 and HTTP/1.1 over TLS, their checks, answers as its rules say.

In a test: ``async with MockProviders() as mock:`` and then ``mock.apns.app()``, ``mock.fcm.app()`` … with
``http=mock.http()``; ``mock.rule({…})``; ``mock.log``. As a process: ``hushbell mock-providers``. Scripts use the
control API, on the TLS port and on a plain one: ``PUT /_mock/rules``, ``GET /_mock/log?since=N``,
``GET /_mock/stats``, ``POST /_mock/clear``, ``POST /_mock/goaway``, ``POST /_mock/down`` with ``{"seconds": S}``,
``POST /_mock/subscriptions``.
"""

import asyncio
import json
import random
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, Self, cast
from urllib.parse import parse_qs, urlsplit

from hushbell.config.gateway import HttpSettings
from hushbell.testing.certificates import Authority
from hushbell.testing.mock.apns import KEY_ID, TEAM_ID, MockApns
from hushbell.testing.mock.fcm import PROJECT, MockFcm
from hushbell.testing.mock.gorush import MockGorush
from hushbell.testing.mock.h2 import Http2
from hushbell.testing.mock.http import Fault, Reply, Request
from hushbell.testing.mock.http1 import Http1
from hushbell.testing.mock.huawei import APP_ID, MockHuawei
from hushbell.testing.mock.pushy import MockPushy
from hushbell.testing.mock.record import FIELDS, Record
from hushbell.testing.mock.rules import FINE, RecordedPush, Rule, ScriptedReply, parse
from hushbell.testing.mock.sns import MockSns
from hushbell.testing.mock.webpush import SUBJECT, MockWebPush

STREAMS = 1000  # side by side on one connection, as Apple allows
KEPT = 200_000  # requests remembered; a longer run should read the log as it goes
NOBODY = Reply(404, (), b'{"error": "no provider has this path"}')


class Provider(Protocol):
    """One provider's checks and words."""

    provider: str

    def takes(self, request: Request) -> bool:
        """Say whether a request is for it."""
        ...

    def look(self, request: Request, now: int) -> tuple[RecordedPush, ScriptedReply | None]:
        """Return what the request is about, and the answer if the provider would not take it."""
        ...

    def reply(self, request: Request, seen: RecordedPush, said: ScriptedReply) -> Reply:
        """Say it as the provider does."""
        ...


class MockProviders:
    """All providers on one port: a client's setting ``connect`` leads every host name here."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        control_port: int = 0,
        directory: Path | None = None,
        streams: int = STREAMS,
        keep: int = KEPT,
        echo: bool = True,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """
        Make keys and certificates; nothing listens yet.

        Args:
            host: address to listen on.
            port: 0 picks a free one.
            control_port: of the plain control API; 0 picks a free one.
            directory: where keys and certificates are written; a temporary one if None.
            streams: side by side on one HTTP/2 connection.
            keep: requests that are remembered; 0 only counts them.
            echo: whether good answers of Apple's carry apns-id.
            now: Unix time in milliseconds, for the age of tokens.
        """
        self.host, self.port, self.control_port = host, port, control_port
        self._temporary = tempfile.TemporaryDirectory() if directory is None else None
        self.directory = directory or Path(self._temporary.name if self._temporary else ".")
        authority = Authority(self.directory)
        self.ca_file = authority.ca_file
        self._context = authority.server_context(alpn=("h2", "http/1.1"), ask=True)
        self.apns = MockApns(self.directory, authority, echo=echo)
        self.fcm = MockFcm(self.directory)
        self.webpush = MockWebPush(self.directory)
        self.huawei = MockHuawei(self.directory)
        self.pushy = MockPushy(self.directory)
        self.sns = MockSns(self.directory)
        self.gorush = MockGorush(self.directory)
        # The busy ones first.
        self._providers: tuple[Provider, ...] = (
            *(self.apns, self.fcm, self.webpush, self.huawei),
            *(self.pushy, self.sns, self.gorush),
        )
        self.decide: Callable[[Request, RecordedPush], ScriptedReply | None] | None = None
        """Asked first about every request that a provider would take, before anything is answered. None: the rules."""
        self._rules: list[Rule] = []
        self._record = Record(keep)
        self._chance = random.Random(1)  # noqa: S311 - delays, and the same in every run
        self._streams = streams
        self._now = now
        self.connections_made = 0
        self._connections: set[_Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._back: asyncio.TimerHandle | None = None
        self._returning: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """HOST:PORT, as the setting ``connect`` of a provider takes it."""
        return f"{self.host}:{self.port}"

    @property
    def control(self) -> str:
        """Where the plain control API is."""
        return f"http://{self.host}:{self.control_port}"

    def http(self, **changes: Any) -> HttpSettings:
        """Return settings that lead a provider here."""
        return HttpSettings(**{"connect": self.address, "ca_file": str(self.ca_file)} | changes)

    def ready(self) -> dict[str, Any]:
        """Return what a script must know to use it."""
        return {
            "ready": True,
            "connect": self.address,
            "control": self.control,
            "ca_file": str(self.ca_file),
            "apns": {
                "key_file": str(self.apns.key_file),
                "key_id": KEY_ID,
                "team_id": TEAM_ID,
                "certificate_file": str(self.apns.certificate_file),
            },
            "fcm": {"credentials_file": str(self.fcm.credentials_file), "project": PROJECT},
            "webpush": {"key_file": str(self.webpush.key_file), "subject": SUBJECT},
            "huawei": {"app_id": APP_ID, "secret_file": str(self.huawei.secret_file)},
            "pushy": {"key_file": str(self.pushy.key_file)},
            "sns": {"credentials_file": str(self.sns.credentials_file)},
            "hushbell": {"key_file": str(self.gorush.key_file)},
        }

    # What tests and the control API do.

    def rule(self, *rules: dict[str, Any]) -> None:
        """Replace the rules. The form is that of ``PUT /_mock/rules``; raises ValueError for anything else."""
        self._rules = parse(list(rules))

    @property
    def log(self) -> list[dict[str, Any]]:
        """The requests that are remembered, oldest first."""
        return [dict(zip(FIELDS, line, strict=True)) for line in self._record.lines] if self._record.lines else []

    def stats(self) -> dict[str, Any]:
        """Return counts since the start or the last :meth:`clear`."""
        record = self._record
        most = max((connection.most for connection in self._connections), default=0)
        return {
            "requests": {name: {str(status): n for status, n in by.items()} for name, by in record.counts.items()},
            "connections": self.connections_made,
            "open": len(self._connections),
            "jwts": len(self.apns.judge.bearers),
            "access_tokens": len(self.fcm.tokens) + len(self.huawei.tokens),
            "duplicates": record.duplicates,
            "reordered": record.reordered,
            "max_concurrent_streams": max(record.most_streams, most),
        }

    def count(self, provider: str, status: int | None = None) -> int:
        """Return how many requests a provider got, or how many it answered like that."""
        by = self._record.counts.get(provider, {})
        return sum(by.values()) if status is None else by.get(status, 0)

    def clear(self) -> None:
        """Forget what was seen; rules, tokens and connections stay."""
        self._record.clear()
        self.connections_made = len(self._connections)

    def go_away(self) -> None:
        """Take no more requests on the connections there are."""
        for connection in list(self._connections):
            connection.go_away()

    # Listening.

    async def __aenter__(self) -> Self:
        try:
            await self.listen()
        except OSError:
            await self.__aexit__()  # one of two addresses may be had already
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.refuse(everything=True)
        if self._temporary is not None:
            self._temporary.cleanup()

    async def listen(self) -> None:
        """Take connections, always on the same ports."""
        if self._back is not None:
            self._back.cancel()
            self._back = None
        loop = asyncio.get_running_loop()
        if not self._servers:
            control = await loop.create_server(lambda: _Connection(self, None), self.host, self.control_port)
            self.control_port = control.sockets[0].getsockname()[1]
            self._servers.append(control)
        if len(self._servers) == 1:
            server = await loop.create_server(
                lambda: _Connection(self, self._context), self.host, self.port, ssl=self._context, backlog=1024
            )
            self.port = server.sockets[0].getsockname()[1]
            self._servers.append(server)

    async def refuse(self, *, everything: bool = False) -> None:
        """Cut every connection and take no more until :meth:`listen`; the control API goes on."""
        while len(self._servers) > (0 if everything else 1):
            self._servers.pop().close()
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)

    # Requests.

    def joined(self, connection: "_Connection") -> int:
        """Count a connection in and return its number."""
        self._connections.add(connection)
        self.connections_made += 1
        return self.connections_made

    def left(self, connection: "_Connection") -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        self._record.most_streams = max(self._record.most_streams, connection.most)

    @property
    def streams(self) -> int:
        """How many streams a connection may have side by side."""
        return self._streams

    def handle(self, request: Request) -> Reply:
        """Return what is answered to a request that came over TLS."""
        for provider in self._providers:
            if provider.takes(request):
                return self._provided(provider, request)
        return self.controlled(request) if request.path.startswith("/_mock/") else NOBODY

    def _provided(self, provider: Provider, request: Request) -> Reply:
        now = self._now()
        seen, said = provider.look(request, now)
        delay = 0.0
        if said is None:
            said, delay = self._said(request, seen)
        reply = provider.reply(request, seen, said)
        silent = said.act not in (Fault.ANSWER, Fault.GOAWAY)
        self._record.note(now, request, seen, 0 if silent else said.status)
        if said.retry_after is not None:
            reply = Reply(reply.status, (*reply.headers, ("retry-after", str(said.retry_after))), reply.body)
        if delay or said.act is not Fault.ANSWER:
            return Reply(reply.status, reply.headers, reply.body, said.act, delay)
        return reply

    def _said(self, request: Request, seen: RecordedPush) -> tuple[ScriptedReply, float]:
        """Return what a request is told that its provider would take, and after how many seconds."""
        decided = self.decide(request, seen) if self.decide is not None else None
        if decided is not None:
            return decided, decided.delay
        for rule in self._rules:
            if rule.applies(seen, request.headers.get("host", "")):
                return FINE if rule.said == FINE else rule.said, rule.delay(self._chance)
        return FINE, 0.0

    def controlled(self, request: Request) -> Reply:
        """Return the answer of the control API."""
        url = urlsplit(request.path)
        try:
            match (request.method, url.path):
                case ("PUT", "/_mock/rules"):
                    self._rules = parse(json.loads(request.body))
                case ("GET", "/_mock/log"):
                    since = int(parse_qs(url.query).get("since", ["0"])[0])
                    upto, lines = self._record.log(since)
                    return Reply(200, (("content-type", "application/x-ndjson"), ("x-next", str(upto))), lines)
                case ("GET", "/_mock/stats"):
                    return _json(self.stats())
                case ("POST", "/_mock/clear"):
                    self.clear()
                case ("POST", "/_mock/goaway"):
                    self.go_away()
                case ("POST", "/_mock/down"):
                    self._down(float(json.loads(request.body)["seconds"]))
                case ("POST", "/_mock/subscriptions"):
                    return Reply(201, (("content-type", "application/json"),), self.webpush.subscribe().token.encode())
                case _:
                    return Reply(404)
        except (ValueError, LookupError, TypeError) as error:
            return Reply(400, (), str(error).encode())
        return Reply(204)

    def _down(self, seconds: float) -> None:
        """Refuse connections for that long."""
        loop = asyncio.get_running_loop()
        while len(self._servers) > 1:
            self._servers.pop().close()
        for connection in list(self._connections):
            loop.call_soon(connection.abort)
        self._back = loop.call_later(seconds, self._return)

    def _return(self) -> None:
        self._returning = asyncio.get_running_loop().create_task(self.listen())


class _Connection(asyncio.Protocol):
    """One connection, of the protocol that TLS agreed upon."""

    def __init__(self, mock: MockProviders, context: ssl.SSLContext | None) -> None:
        self._mock = mock
        self.secure = context is not None
        self._http: Http1 | Http2 | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def most(self) -> int:
        """How many streams there were side by side."""
        return self._http.most if self._http is not None else 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to speak."""
        self._transport = made = cast("asyncio.Transport", transport)
        if not self.secure:
            self._http = Http1(made, self._mock.controlled, number=0, certified=False)
            return
        number = self._mock.joined(self)
        tls = transport.get_extra_info("ssl_object")
        certified = bool(transport.get_extra_info("peercert"))
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            self._http = Http2(made, self._mock.handle, number=number, streams=self._mock.streams, certified=certified)
        else:
            self._http = Http1(made, self._mock.handle, number=number, certified=certified)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """Forget the connection."""
        if self.secure:
            self._mock.left(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        if self._http is not None:
            self._http.feed(data)

    def abort(self) -> None:
        """Cut it."""
        if self._transport is not None:
            self._transport.abort()

    def go_away(self) -> None:
        """Take no more requests."""
        if self._http is not None:
            self._http.go_away()


def _json(value: Any) -> Reply:
    return Reply(200, (("content-type", "application/json"),), json.dumps(value).encode())
