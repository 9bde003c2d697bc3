"""Every HTTP route of the gateway: gorush's API and ours on one port."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hushbell.api.gorush import routes as gorush_routes
from hushbell.api.gorush.push import GorushPush
from hushbell.api.gorush.statistics import Statistics
from hushbell.api.http.auth import ApiKeys
from hushbell.api.http.head_cache import RequestHead
from hushbell.api.http.server import HttpServer
from hushbell.api.http.types import Asgi, HttpLimits
from hushbell.api.v1.routes import V1
from hushbell.config.settings import Settings
from hushbell.observability.metrics import Counters
from hushbell.ports.clock import Clock
from hushbell.ports.delivery import Delivery
from hushbell.types import Random

GORUSH = "v1.22.0"
"""The release of gorush whose API is served; clients compare the number."""


class GatewayApi:
    """Everything that is served over HTTP."""

    def __init__(
        self, delivery: Delivery, settings: Settings, *, clock: Clock, random: Random, counters: Counters, version: str
    ) -> None:
        self.keys = ApiKeys(settings.keys, [app.name for app in settings.apps], counters.count)
        self.push = GorushPush(delivery, self.keys, settings.gateway, clock, counters.count)
        full_version = f"{GORUSH}-hushbell.{version}"
        statistics = Statistics(delivery, self.push, counters, clock, full_version)
        self._table = gorush_routes.table(settings, statistics, self.keys, full_version)
        self._known = frozenset(path for _, path in self._table) | {settings.gateway.paths.push}
        self._v1 = V1(
            delivery, self.keys, settings, clock=clock, random=random, count=counters.count, version=version
        ).app
        self.server = HttpServer(
            path=settings.gateway.paths.push.encode(),
            direct=self.push.handle,
            app=self._serve,
            limits=HttpLimits(body=settings.gateway.body),
            own_headers=b"X-Gorush-Version: " + full_version.encode() + b"\r\n",
            count=counters.count,
        )
        self._push_path = settings.gateway.paths.push

    async def _serve(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer everything but the hot route."""
        app: Asgi
        if scope["path"] == "/v1" or scope["path"].startswith("/v1/"):
            app = self._v1
        else:
            app = await self._gorush(Request(scope, receive))
        await app(scope, receive, send)

    async def _gorush(self, request: Request) -> Response:
        # The path as it was sent: gorush takes none for another that only decodes to the same.
        path = request.scope["raw_path"].decode("latin-1")
        handle = self._table.get((request.method, path))
        if handle is not None:
            return handle(request)
        if path == self._push_path and request.method == "POST":
            return await self._push_with_query(request)
        return gorush_routes.not_found(request, self._known)

    async def _push_with_query(self, request: Request) -> Response:
        """Push for a client that puts a query behind the path, which means nothing."""
        answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def respond(
            status: int,
            body: bytes,
            content_type: bytes = b"application/json; charset=utf-8",
            headers: list[tuple[bytes, bytes]] | None = None,
        ) -> None:
            response = Response(body, status, {"content-type": content_type.decode()})
            response.raw_headers.extend(headers or ())
            if not answered.done():
                answered.set_result(response)

        head = RequestHead(b"POST", b"", list(request.scope["headers"]), keeps_alive=True)
        self.push.handle(head, await request.body(), respond)
        return await answered
