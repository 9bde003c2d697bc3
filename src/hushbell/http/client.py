"""Which HTTP client serves a provider, and single requests through either."""

import asyncio

from hushbell.config.gateway import HttpSettings
from hushbell.http.curl import CurlHttp
from hushbell.http.h2.client import H2Client
from hushbell.ports.http import HttpClient, HttpFailure, HttpRequest, HttpResponse, RequestTemplate, ResponseHandler


def open_http(settings: HttpSettings, *, hosts: tuple[str, ...] = ()) -> HttpClient:
    """
    Return a client; no connection is made yet.

    Args:
        settings: of the provider.
        hosts: the few servers that receive all requests and speak HTTP/2, if they are known. Requests to them are
            sent by our own HTTP/2 client, at a sixth of libcurl's cost; without them libcurl sends to any server.
    """
    return H2Client(settings) if hosts else CurlHttp(settings)


def submit_request(client: HttpClient, request: HttpRequest, handler: ResponseHandler, key: object = None) -> None:
    """Send one request; ``handler.on_response(key, result)`` is called once, never before this returns."""
    template = RequestTemplate(
        request.url, request.headers, request.timeout, method=request.method, address=request.address
    )
    client.submit(template, ((handler, key, "", (), request.body),))


async def fetch(client: HttpClient, request: HttpRequest) -> HttpResponse | HttpFailure:
    """Send one request and return its result. Cancelling the call ends the request."""
    waiter = _Waiter()
    submit_request(client, request, waiter)
    try:
        return await waiter.result
    except asyncio.CancelledError:
        client.cancel(waiter)
        raise


class _Waiter:
    """One call of ``fetch``."""

    __slots__ = ("result",)

    def __init__(self) -> None:
        self.result: asyncio.Future[HttpResponse | HttpFailure] = asyncio.get_running_loop().create_future()

    def on_response(self, _key: object, result: HttpResponse | HttpFailure) -> None:
        if not self.result.done():
            self.result.set_result(result)
