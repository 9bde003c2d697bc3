"""The /v1 API: send, read states, dead tokens, webhooks. Errors name the field (problems.py)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hushbell.api.http.auth import ApiClient, ApiKeys, Forbidden, Unauthorized
from hushbell.api.http.problems import TITLES, Problem
from hushbell.api.v1 import openapi, requests, responses
from hushbell.config.settings import Settings
from hushbell.core.delivery.changes import IdempotentResponse
from hushbell.core.delivery.job import Job
from hushbell.core.delivery.notification import Draft
from hushbell.core.delivery.submission import Submission
from hushbell.core.delivery.webhook import Webhook
from hushbell.errors import CallerError, Overloaded, StoreError
from hushbell.ports.clock import Clock
from hushbell.ports.delivery import Delivery
from hushbell.types import Random

JSON = "application/json"
MAX_WEBHOOKS = 16  # of one app
MAX_PAGE = 1000  # dead tokens in one response
MAX_KEY = 255  # characters of an Idempotency-Key
SECRET_BYTES = 32  # bytes

Handle = Callable[[Request, ApiClient], Awaitable[Response]]

log = logging.getLogger(__name__)


class V1:
    """Routes under /v1."""

    def __init__(
        self,
        delivery: Delivery,
        keys: ApiKeys,
        settings: Settings,
        *,
        clock: Clock,
        random: Random,
        count: Callable[[str, int], None],
        version: str,
    ) -> None:
        self._delivery = delivery
        self._keys = keys
        self._max_notifications = settings.gateway.notifications
        self._clock = clock
        self._random = random
        self._count = count
        self._under_way: dict[bytes, asyncio.Future[None]] = {}  # keys of requests under way
        self._document = orjson.dumps(openapi.document(settings, version))
        self.app = Starlette(
            routes=[
                Route("/v1/openapi.json", self._openapi, methods=["GET"]),
                self._route("/v1/notifications", "POST", "send", self._send),
                self._route("/v1/notifications/{ident}", "GET", "read", self._read_state),
                self._route("/v1/dead-tokens", "GET", "read", self._list_dead_tokens),
                self._route("/v1/webhooks", "GET", "webhooks", self._list_webhooks),
                self._route("/v1/webhooks", "POST", "webhooks", self._subscribe),
                self._route("/v1/webhooks/{name}", "DELETE", "webhooks", self._unsubscribe),
            ],
            exception_handlers={Problem: _render_problem, HTTPException: _render_http_error},
        )
        self.app.router.redirect_slashes = False

    def _route(self, path: str, method: str, scope: str, handle: Handle) -> Route:
        async def guarded(request: Request) -> Response:
            try:
                client = self._keys.client(request.headers.get("authorization", "").encode("latin-1", "replace"))
                client.require(scope)
                return await handle(request, client)
            except Unauthorized as error:
                raise Problem(401, str(error), headers={"www-authenticate": "Bearer"}) from None
            except Forbidden as error:
                raise Problem(403, str(error)) from None
            except Overloaded as error:
                self._count("rates_exceeded", 1)
                status = 503 if "queue" in str(error) else 429
                headers = {"retry-after": str(max(1, round(error.after)))}
                raise Problem(status, str(error), headers=headers) from None
            except StoreError as error:
                log.error("the queue fails a request: %s", error)  # noqa: TRY400  the text names the cause
                raise Problem(503, "the queue cannot be read or written", headers={"retry-after": "5"}) from None

        return Route(path, guarded, methods=[method])

    async def _openapi(self, _: Request) -> Response:
        return Response(self._document, headers={"content-type": JSON})

    async def _send(self, request: Request, client: ApiClient) -> Response:
        body = await request.body()
        named, drafts = requests.send(requests.parse(body), max_notifications=self._max_notifications)
        app = client.app(named)
        for index, draft in enumerate(drafts):
            try:
                self._delivery.check(app, draft.message)
            except CallerError as error:
                raise Problem(422, error.rule, field=f"notifications[{index}].{_ours(error.field)}") from None
        key = request.headers.get("idempotency-key")
        if key is None:
            return await self._submit(client, app, drafts, None, b"")
        if not 1 <= len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
            raise Problem(400, f"must be 1 to {MAX_KEY} visible characters", field="Idempotency-Key")
        digest = sha256(b"\0".join((app.encode(), client.name.encode(), key.encode()))).digest()
        while (pending := self._under_way.get(digest)) is not None:
            await asyncio.wait([pending])
        done = self._under_way[digest] = asyncio.get_running_loop().create_future()
        try:
            known = await self._delivery.idempotent_response(digest)
            if known is None:
                return await self._submit(client, app, drafts, digest, body)
        finally:
            del self._under_way[digest]
            done.set_result(None)
        if known.request_digest != sha256(body).digest():
            raise Problem(409, "was used for another body before", field="Idempotency-Key")
        return Response(known.body, 202, {"content-type": JSON, "idempotency-replayed": "true"})

    async def _submit(
        self, client: ApiClient, app: str, drafts: Sequence[Draft], digest: bytes | None, body: bytes
    ) -> Response:
        client.charge(sum(len(draft.targets) for draft in drafts), self._clock.now())
        stored: asyncio.Future[StoreError | None] = asyncio.get_running_loop().create_future()

        def done(_: Submission, error: StoreError | None) -> None:
            if not stored.done():
                stored.set_result(error)

        def idempotent(jobs: Sequence[Job]) -> IdempotentResponse:
            response = _accepted(app, drafts, jobs)
            return IdempotentResponse(digest or b"", sha256(body).digest(), response, self._clock.now())

        submission = self._delivery.submit(app, drafts, done, idempotent=idempotent if digest else None)
        error = await stored
        if error is not None:
            raise error
        return Response(_accepted(app, drafts, submission.jobs), 202, {"content-type": JSON})

    async def _read_state(self, request: Request, client: ApiClient) -> Response:
        try:
            ident = bytes.fromhex(request.path_params["ident"])
        except ValueError:
            ident = b""
        found = await self._delivery.find(ident)
        if found is None or responses.app_of(found) not in client.apps:
            raise Problem(404)
        shows = "tokens" in client.scopes and request.query_params.get("tokens") == "true"
        return _json(responses.notification(ident, found, shows_tokens=shows))

    async def _list_dead_tokens(self, request: Request, client: ApiClient) -> Response:
        app = client.app(request.query_params.get("app"))
        since, limit = _number(request, "since", 0, 2**63 - 1), _number(request, "limit", 100, MAX_PAGE)
        page = await self._delivery.dead_tokens(app, since, limit) if limit else ()
        return _json(responses.dead_tokens(page, since, limit, shows_tokens="tokens" in client.scopes))

    async def _list_webhooks(self, request: Request, client: ApiClient) -> Response:
        app = client.app(request.query_params.get("app"))
        return _json({"webhooks": [responses.webhook_body(webhook) for webhook in await self._delivery.webhooks(app)]})

    async def _subscribe(self, request: Request, client: ApiClient) -> Response:
        wanted = requests.webhook(requests.parse(await request.body()))
        app = client.app(wanted.app)
        if wanted.shape == "tokens":
            client.require("tokens")
        if len(await self._delivery.webhooks(app)) >= MAX_WEBHOOKS:
            raise Problem(422, f"an app has at most {MAX_WEBHOOKS} webhooks", field="app")
        secret = self._random(SECRET_BYTES)
        webhook = Webhook(self._random(12).hex(), app, wanted.url, secret, wanted.events, wanted.shape)
        await self._delivery.save_webhook(webhook)
        return _json(responses.webhook_body(webhook) | {"secret": secret.hex()}, 201)

    async def _unsubscribe(self, request: Request, client: ApiClient) -> Response:
        name = request.path_params["name"]
        if name not in [webhook.name for app in client.apps for webhook in await self._delivery.webhooks(app)]:
            raise Problem(404)
        await self._delivery.drop_webhook(name)
        return Response(b"", 204)


def _accepted(app: str, drafts: Sequence[Draft], jobs: Sequence[Job]) -> bytes:
    """Return the response: identifiers of the notifications, in the order of the drafts."""
    parts = {job.provider: iter(job.notifications) for job in jobs}
    notes = [next(parts[draft.message.provider]) for draft in drafts]
    listed = [
        {"id": note.ident.hex(), "pushes": len(note.targets)} | ({"name": note.reference} if note.reference else {})
        for note in notes
    ]
    return orjson.dumps({"app": app, "notifications": listed})


def _ours(field: str) -> str:
    """Return the path of a field as the request has it."""
    return "payload" + field.removeprefix("body") if field.startswith("body") else field


def _number(request: Request, name: str, default: int, maximum: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > maximum:
        raise Problem(400, f"must be a whole number from 0 to {maximum}", field=name)
    return int(text)


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, {"content-type": JSON})


async def _render_problem(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem.response()


async def _render_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code if error.status_code in TITLES else 400
    return Problem(status, headers=dict(error.headers or {})).response()
