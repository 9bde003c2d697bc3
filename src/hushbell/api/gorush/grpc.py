"""gorush's gRPC service on the same outbox: a reply means that the push is on the disk."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import orjson
from grpc import aio

from hushbell.api.gorush.push import GorushPush
from hushbell.api.http.auth import ApiClient, ApiKeys, Forbidden, Unauthorized
from hushbell.api.http.types import APP_HEADER, JSON, Headers
from hushbell.core.gorush.platform import Fields
from hushbell.errors import Undecodable
from hushbell.wire import gorush_rpc

# gorush's text; the space is one that does not break.
UNREADABLE = "grpc: error unmarshalling request: proto:\u00a0cannot parse invalid wire-format data"
MAX_STREAMS = 1000  # calls of one connection side by side
IDLE_TIMEOUT_MS = 300_000  # until a silent connection is closed

_STATUS = {401: grpc.StatusCode.UNAUTHENTICATED, 403: grpc.StatusCode.PERMISSION_DENIED}
_BUSY = {429: grpc.StatusCode.RESOURCE_EXHAUSTED, 503: grpc.StatusCode.UNAVAILABLE}


class GrpcServer:
    """The server, on a port of its own."""

    def __init__(self, push: GorushPush, keys: ApiKeys, *, max_message: int) -> None:
        """``max_message`` is the most bytes of a request."""
        self._push = push
        self._keys = keys
        self._options = [
            ("grpc.max_receive_message_length", max_message),
            ("grpc.max_concurrent_streams", MAX_STREAMS),
            ("grpc.max_connection_idle_ms", IDLE_TIMEOUT_MS),
            ("grpc.so_reuseport", 0),
        ]
        self._server: aio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Accept calls; return the port, which the system chose if it was 0. Raises OSError if it cannot be bound."""
        server = self._server = aio.server(options=self._options)
        server.add_generic_rpc_handlers((_Routes(self),))
        try:
            bound = server.add_insecure_port(f"{host}:{port}")
        except RuntimeError:  # its text is a page
            raise OSError("taken, or not an address of this machine") from None
        await server.start()
        return int(bound)

    async def close(self, grace: float) -> None:
        """Accept no more calls and let those under way end."""
        if self._server is not None:
            await self._server.stop(grace)

    async def send(self, data: bytes, context: Any) -> bytes:
        """Accept one notification."""
        authorization, app = b"", None
        for name, value in context.invocation_metadata() or ():
            if name == "authorization":
                authorization = value.encode() if isinstance(value, str) else value
            elif name == APP_HEADER.decode():
                app = value
        try:
            fields = gorush_rpc.decode_request(data)
            client = self._keys.client(authorization)
            client.require("send")
            counts = await self._submit(fields, client, client.app(app), context)
        except Undecodable:
            await context.abort(grpc.StatusCode.INTERNAL, UNREADABLE)
            raise
        except (Unauthorized, Forbidden) as error:
            await context.abort(_STATUS[401 if isinstance(error, Unauthorized) else 403], str(error))
            raise
        return gorush_rpc.encode_reply(counts)

    async def check(self, _data: bytes, _context: Any) -> bytes:
        """Respond to a health check: serving."""
        return gorush_rpc.encode_serving()

    async def reflect(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Respond to reflection requests."""
        async for request in requests:
            try:
                yield gorush_rpc.reflect(request)
            except Undecodable:
                await context.abort(grpc.StatusCode.INTERNAL, UNREADABLE)

    async def _submit(self, fields: Fields, client: ApiClient, app: str, context: Any) -> int:
        parsed = self._push.parse([fields], client, app)
        answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

        def respond(status: int, body: bytes, content_type: bytes = JSON, headers: Headers | None = None) -> None:
            del content_type, headers
            if not answered.done():
                answered.set_result((status, body))

        self._push.submit(parsed, client, respond)
        status, body = await answered
        if status != 200:
            message = orjson.loads(body)["message"]
            await context.abort(_BUSY.get(status, grpc.StatusCode.INTERNAL), message)
        # Over gRPC gorush counts tokens alone.
        return len(fields["tokens"])


class _Routes(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The methods of every service, and the error for unknown ones."""

    def __init__(self, server: GrpcServer) -> None:
        self._methods = {
            f"/{gorush_rpc.GORUSH}/Send": grpc.unary_unary_rpc_method_handler(server.send),
            f"/{gorush_rpc.HEALTH}/Check": grpc.unary_unary_rpc_method_handler(server.check),
        }
        for name in gorush_rpc.REFLECTIONS:
            handler = grpc.stream_stream_rpc_method_handler(server.reflect)
            self._methods[f"/{name}/ServerReflectionInfo"] = handler

    def service(self, handler_call_details: Any) -> Any:
        """Return the handler of a call."""
        path = handler_call_details.method
        known = self._methods.get(path)
        if known is not None:
            return known
        service, _, method = path[1:].rpartition("/")
        words = f"unknown service {service}"
        if service in gorush_rpc.SERVICES:
            words = f"unknown method {method} for service {service}"

        async def unknown(_data: bytes, context: Any) -> bytes:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, words)
            return b""

        return grpc.unary_unary_rpc_method_handler(unknown)
