"""
The mock of every push provider: HTTP/2 and HTTP/1.1, the providers' checks, replies by rules.

In a test: ``async with MockProviders() as mock:`` and then ``mock.apns.app()``, ``mock.fcm.app()`` … with
``http=mock.http()``; ``mock.rule({…})``; ``mock.requests``. As a process: ``hushbell mock-providers``. Scripts use the
control API, on the TLS port and on the plain one: ``PUT /_mock/rules``, ``GET /_mock/log?since=N``,
``GET /_mock/stats``, ``POST /_mock/clear``, ``POST /_mock/goaway``, ``POST /_mock/down`` with ``{"seconds": S}``,
``POST /_mock/up``, ``POST /_mock/subscriptions``.
"""

import asyncio
import json
import random
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self
from urllib.parse import parse_qs, urlsplit

from hushbell.config.gateway import HttpSettings
from hushbell.testing.certificates import Authority
from hushbell.testing.mock.apns import KEY_ID, TEAM_ID, MockApns
from hushbell.testing.mock.fcm import PROJECT, MockFcm
from hushbell.testing.mock.gorush import MockGorush
from hushbell.testing.mock.http import Fault, Request, Response
from hushbell.testing.mock.huawei import APP_ID, MockHuawei
from hushbell.testing.mock.listener import MAX_STREAMS, MockListener
from hushbell.testing.mock.pushy import MockPushy
from hushbell.testing.mock.request_log import RecordedRequest, RequestLog
from hushbell.testing.mock.rules import SUCCESS, RecordedPush, Rule, ScriptedReply, parse_rules
from hushbell.testing.mock.sns import MockSns
from hushbell.testing.mock.webhook import MockWebhook
from hushbell.testing.mock.webpush import SUBJECT, MockWebPush

MAX_KEPT_REQUESTS = 200_000  # a longer run reads the log as it goes
NO_PROVIDER = Response(404, (), b'{"error": "no provider has this path"}')


class MockProvider(Protocol):
    """One provider's checks and the form of its replies."""

    provider: str

    def matches(self, request: Request) -> bool:
        """Say whether a request is for this provider."""

    def check(self, request: Request, now: int) -> tuple[RecordedPush, ScriptedReply | None]:
        """Return what the request asks for, and the provider's refusal or None. ``now`` is in ms."""

    def respond(self, request: Request, push: RecordedPush, reply: ScriptedReply) -> Response:
        """Return the reply in the provider's form."""


class MockProviders:
    """All providers on one port: a client's setting ``connect`` leads every host name here."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        control_port: int = 0,
        directory: Path | None = None,
        streams: int = MAX_STREAMS,
        keep: int = MAX_KEPT_REQUESTS,
        keep_bodies: bool = True,
        log: BinaryIO | None = None,
        echo_apns_id: bool = True,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """
        Make keys and certificates; nothing listens yet.

        Args:
            host: address to listen on.
            port: of TLS; 0 picks a free one.
            control_port: of plain HTTP; 0 picks a free one.
            directory: where keys and certificates are written; a temporary one if None.
            streams: side by side on one HTTP/2 connection.
            keep: requests that are kept; 0 only counts them.
            keep_bodies: whether their headers and bodies are kept too.
            log: an unbuffered file that gets the line of each request before the response is sent.
            echo_apns_id: whether Apple's good responses carry apns-id.
            now: Unix time in ms, for the age of tokens.
        """
        self._temporary = tempfile.TemporaryDirectory() if directory is None else None
        self.directory = directory or Path(self._temporary.name if self._temporary else ".")
        authority = Authority(self.directory)
        self.ca_file = authority.ca_file
        context = authority.server_context(alpn=("h2", "http/1.1"), ask=True)
        self._tls = MockListener(self._respond, host=host, port=port, context=context, streams=streams)
        self._plain = MockListener(self._respond, host=host, port=control_port)
        self.apns = MockApns(self.directory, authority, echo_apns_id=echo_apns_id)
        self.fcm = MockFcm(self.directory)
        self.webpush = MockWebPush(self.directory)
        self.huawei = MockHuawei(self.directory)
        self.pushy = MockPushy(self.directory)
        self.sns = MockSns(self.directory)
        self.gorush = MockGorush(self.directory)
        self.webhook = MockWebhook()
        # The busy ones first.
        self._providers: tuple[MockProvider, ...] = (
            *(self.apns, self.fcm, self.webpush, self.huawei),
            *(self.pushy, self.sns, self.gorush, self.webhook),
        )
        self.decide: Callable[[Request, RecordedPush], ScriptedReply | None] | None = None
        """Called for each request that a provider accepts, before the rules; None as its result: the rules decide."""
        self._rules: list[Rule] = []
        self._log = RequestLog(keep, keep_bodies=keep_bodies, file=log)
        self._dice = random.Random(1)  # noqa: S311 - delays, and the same in every run
        self._now = now
        self._arrived = asyncio.Event()
        self._up_timer: asyncio.TimerHandle | None = None
        self._up_task: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """HOST:PORT of TLS, as the setting ``connect`` of a provider takes it."""
        return self._tls.address

    @property
    def port(self) -> int:
        """The port of TLS."""
        return self._tls.port

    @property
    def plain_url(self) -> str:
        """URL of plain HTTP: the control API and every provider."""
        return f"http://{self._plain.address}"

    @property
    def connections_made(self) -> int:
        """How many TLS connections there were since the start or the last :meth:`clear`."""
        return self._tls.connections_made

    def http(self, **changes: Any) -> HttpSettings:
        """Return settings that make a provider connect to the mock."""
        return HttpSettings(**{"connect": self.address, "ca_file": str(self.ca_file)} | changes)

    def ready(self) -> dict[str, Any]:
        """Return the ready line: addresses, files and names that a script needs."""
        return {
            "ready": True,
            "connect": self.address,
            "control": self.plain_url,
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

    # For tests and the control API.

    def rule(self, *rules: dict[str, Any]) -> None:
        """Replace the rules. The form is that of ``PUT /_mock/rules``; raises ValueError for anything else."""
        self._rules = parse_rules(list(rules))

    @property
    def requests(self) -> deque[RecordedRequest]:
        """The requests that are kept, oldest first."""
        return self._log.requests

    @property
    def log(self) -> list[dict[str, Any]]:
        """The requests that are kept, oldest first, as ``GET /_mock/log`` shows them."""
        return [one.line() for one in self._log.requests]

    async def wait_for(self, count: int, provider: str, *, patience: float = 10.0) -> None:
        """Wait until a provider has got that many requests. Raises TimeoutError after ``patience`` seconds."""
        async with asyncio.timeout(patience):
            while self.count(provider) < count:
                self._arrived.clear()
                await self._arrived.wait()

    def stats(self) -> dict[str, Any]:
        """Return counts since the start or the last :meth:`clear`."""
        log = self._log
        return {
            "requests": {name: {str(status): n for status, n in by.items()} for name, by in log.counts.items()},
            "connections": self._tls.connections_made,
            "open": len(self._tls.connections),
            "jwts": len(self.apns.provider_tokens),
            "access_tokens": len(self.fcm.tokens) + len(self.huawei.tokens),
            "duplicates": log.duplicates,
            "reordered": log.reordered,
            "max_concurrent_streams": self._tls.max_streams,
        }

    def count(self, provider: str, status: int | None = None) -> int:
        """Return how many requests a provider got, or how many got that status; 0: no response."""
        counts = self._log.counts.get(provider, {})
        return sum(counts.values()) if status is None else counts.get(status, 0)

    def clear(self) -> None:
        """Forget the requests; rules, tokens and connections stay."""
        self._log.clear()
        self._tls.connections_made = len(self._tls.connections)

    def go_away(self) -> None:
        """Accept no more requests on the open connections."""
        self._tls.go_away()

    # Listening.

    async def __aenter__(self) -> Self:
        try:
            await self.listen()
        except OSError:
            await self.__aexit__()  # the first of the two ports may be open already
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._up_timer is not None:
            self._up_timer.cancel()
        self._tls.refuse()
        self._plain.refuse()
        await asyncio.sleep(0)
        if self._temporary is not None:
            self._temporary.cleanup()

    async def listen(self) -> None:
        """Accept connections, always on the same ports."""
        if self._up_timer is not None:
            self._up_timer.cancel()
            self._up_timer = None
        await self._plain.listen()
        await self._tls.listen()

    async def refuse(self) -> None:
        """Cut every TLS connection and accept none until :meth:`listen`; plain HTTP goes on."""
        self._tls.refuse()
        await asyncio.sleep(0)

    # Requests.

    def _respond(self, request: Request) -> Response:
        for provider in self._providers:
            if provider.matches(request):
                return self._handle(provider, request)
        return self._control(request) if request.path.startswith("/_mock/") else NO_PROVIDER

    def _handle(self, provider: MockProvider, request: Request) -> Response:
        now = self._now()
        push, refusal = provider.check(request, now)
        reply, delay = self._scripted(request, push) if refusal is None else (refusal, 0.0)
        response = provider.respond(request, push, reply)
        is_answered = reply.fault is Fault.ANSWER or reply.fault is Fault.GOAWAY
        self._log.add(now, request, push, reply.status if is_answered else 0, reply.fault)
        self._arrived.set()
        if reply is SUCCESS and not delay:
            return response
        headers = response.headers + reply.headers
        if reply.retry_after is not None:
            headers = (*headers, ("retry-after", str(reply.retry_after)))
        body = response.body if reply.body is None else reply.body
        return Response(response.status, headers, body, reply.fault, delay)

    def _scripted(self, request: Request, push: RecordedPush) -> tuple[ScriptedReply, float]:
        """Return the reply to a request that its provider accepts, and the seconds to wait before it."""
        reply = self.decide(request, push) if self.decide is not None else None
        if reply is not None:
            return reply, reply.delay
        for rule in self._rules:
            if rule.applies(push, request.headers.get("host", "")):
                return rule.reply, rule.delay(self._dice)
        return SUCCESS, 0.0

    def _control(self, request: Request) -> Response:
        """Return the response of the control API."""
        url = urlsplit(request.path)
        try:
            match (request.method, url.path):
                case ("PUT", "/_mock/rules"):
                    self._rules = parse_rules(json.loads(request.body))
                case ("GET", "/_mock/log"):
                    since = int(parse_qs(url.query).get("since", ["0"])[0])
                    number, lines = self._log.lines(since)
                    return Response(200, (("content-type", "application/x-ndjson"), ("x-next", str(number))), lines)
                case ("GET", "/_mock/stats"):
                    return _json(self.stats())
                case ("POST", "/_mock/clear"):
                    self.clear()
                case ("POST", "/_mock/goaway"):
                    self.go_away()
                case ("POST", "/_mock/down"):
                    self._go_down(float(json.loads(request.body)["seconds"]))
                case ("POST", "/_mock/up"):
                    self._go_up()
                case ("POST", "/_mock/subscriptions"):
                    return Response(
                        201, (("content-type", "application/json"),), self.webpush.subscribe().token.encode()
                    )
                case _:
                    return Response(404)
        except (ValueError, LookupError, TypeError) as error:
            return Response(400, (), str(error).encode())
        return Response(204)

    def _go_down(self, seconds: float) -> None:
        """Refuse TLS connections for that long."""
        loop = asyncio.get_running_loop()
        loop.call_soon(self._tls.refuse)  # the request may have come over TLS
        if self._up_timer is not None:
            self._up_timer.cancel()
        self._up_timer = loop.call_later(seconds, self._go_up)

    def _go_up(self) -> None:
        self._up_task = asyncio.get_running_loop().create_task(self.listen())


def _json(value: Any) -> Response:
    return Response(200, (("content-type", "application/json"),), json.dumps(value).encode())
