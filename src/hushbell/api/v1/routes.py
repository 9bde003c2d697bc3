"""Our own API: send, see what became of it, dead tokens, webhooks. Errors name the field (problems.py)."""

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
from hushbell.core.delivery.notification import Draft
from hushbell.errors import CallerError, Overloaded, StoreError
from hushbell.ports.clock import Clock
from hushbell.ports.delivery import Delivery, IdempotentResponse, Job, Submission, Webhook
from hushbell.types import Random

JSON = "application/json"
HOOKS = 16  # of one app
PAGE = 1000  # dead tokens in one answer
KEY = 255  # characters of an Idempotency-Key
SECRET = 32  # bytes

Handle = Callable[[Request, ApiClient], Awaitable[Response]]

log = logging.getLogger(__name__)


class V1:
    """Routes under /v1."""

    def __init__(
        self,
        intake: Delivery,
        keys: ApiKeys,
        settings: Settings,
        *,
        clock: Clock,
        random: Random,
        count: Callable[[str, int], None],
        version: str,
    ) -> None:
        self._intake = intake
        self._keys = keys
        self._most = settings.gateway.notifications
        self._clock = clock
        self._random = random
        self._count = count
        self._asked_now: dict[bytes, asyncio.Future[None]] = {}  # keys of requests under way
        self._document = orjson.dumps(openapi.document(settings, version))
        self.app = Starlette(
            routes=[
                Route("/v1/openapi.json", self._openapi, methods=["GET"]),
                self._route("/v1/notifications", "POST", "send", self._send),
                self._route("/v1/notifications/{ident}", "GET", "read", self._state),
                self._route("/v1/dead-tokens", "GET", "read", self._dead),
                self._route("/v1/webhooks", "GET", "webhooks", self._hooks),
                self._route("/v1/webhooks", "POST", "webhooks", self._subscribe),
                self._route("/v1/webhooks/{name}", "DELETE", "webhooks", self._unsubscribe),
            ],
            exception_handlers={Problem: _told, HTTPException: _not_found},
        )
        self.app.router.redirect_slashes = False

    def _route(self, path: str, method: str, scope: str, handle: Handle) -> Route:
        async def guarded(request: Request) -> Response:
            try:
                caller = self._keys.caller(request.headers.get("authorization", "").encode("latin-1", "replace"))
                caller.must(scope)
                return await handle(request, caller)
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

    async def _send(self, request: Request, caller: ApiClient) -> Response:
        body = await request.body()
        named, drafts = requests.send(requests.parse(body), most=self._most)
        app = caller.app(named)
        for place, one in enumerate(drafts):
            try:
                self._intake.check(app, one.message)
            except CallerError as error:
                raise Problem(422, error.rule, field=f"notifications[{place}].{_ours(error.field)}") from None
        key = request.headers.get("idempotency-key")
        if key is None:
            return await self._accept(caller, app, drafts, None, b"")
        if not 1 <= len(key) <= KEY or not key.isascii() or not key.isprintable():
            raise Problem(400, f"must be 1 to {KEY} visible characters", field="Idempotency-Key")
        digest = sha256(b"\0".join((app.encode(), caller.name.encode(), key.encode()))).digest()
        while (pending := self._asked_now.get(digest)) is not None:
            await asyncio.wait([pending])
        done = self._asked_now[digest] = asyncio.get_running_loop().create_future()
        try:
            known = self._intake.repeated(digest)
            if known is None:
                return await self._accept(caller, app, drafts, digest, body)
        finally:
            del self._asked_now[digest]
            done.set_result(None)
        if known.request != sha256(body).digest():
            raise Problem(409, "was used for another body before", field="Idempotency-Key")
        return Response(known.answer, 202, {"content-type": JSON, "idempotency-replayed": "true"})

    async def _accept(
        self, caller: ApiClient, app: str, drafts: Sequence[Draft], digest: bytes | None, body: bytes
    ) -> Response:
        caller.spend(sum(len(one.targets) for one in drafts), self._clock.now())
        answered: asyncio.Future[StoreError | None] = asyncio.get_running_loop().create_future()
        answers: list[bytes] = []

        def told(_: Submission, error: StoreError | None) -> None:
            if not answered.done():
                answered.set_result(error)

        def repeatable(jobs: Sequence[Job]) -> IdempotentResponse:
            answers.append(_accepted(app, drafts, jobs))
            return IdempotentResponse(digest or b"", sha256(body).digest(), answers[0], self._clock.now())

        if digest is None:
            receipt = self._intake.accept(app, drafts, told)
            answers.append(_accepted(app, drafts, receipt.jobs))
        else:
            self._intake.accept(app, drafts, told, repeatable=repeatable)
        error = await answered
        if error is not None:
            raise error
        return Response(answers[0], 202, {"content-type": JSON})

    async def _state(self, request: Request, caller: ApiClient) -> Response:
        try:
            ident = bytes.fromhex(request.path_params["ident"])
        except ValueError:
            ident = b""
        found = self._intake.find(ident)
        if found is None or responses.app_of(found) not in caller.apps:
            raise Problem(404)
        shows = "tokens" in caller.scopes and request.query_params.get("tokens") == "true"
        return _json(responses.notification(ident, found, shows_tokens=shows))

    async def _dead(self, request: Request, caller: ApiClient) -> Response:
        app = caller.app(request.query_params.get("app"))
        since, limit = _number(request, "since", 0, 2**63 - 1), _number(request, "limit", 100, PAGE)
        page = self._intake.dead(app, since, limit) if limit else ()
        return _json(responses.dead_tokens(page, since, limit, shows_tokens="tokens" in caller.scopes))

    async def _hooks(self, request: Request, caller: ApiClient) -> Response:
        app = caller.app(request.query_params.get("app"))
        return _json({"webhooks": [responses.hook(one) for one in self._intake.hooks(app)]})

    async def _subscribe(self, request: Request, caller: ApiClient) -> Response:
        wanted = requests.webhook(requests.parse(await request.body()))
        app = caller.app(wanted.app)
        if wanted.shape == "tokens":
            caller.must("tokens")
        if len(self._intake.hooks(app)) >= HOOKS:
            raise Problem(422, f"an app has at most {HOOKS} webhooks", field="app")
        secret = self._random(SECRET)
        hook = Webhook(self._random(12).hex(), app, wanted.url, secret, wanted.events, wanted.shape)
        self._intake.save_hook(hook)
        return _json(responses.hook(hook) | {"secret": secret.hex()}, 201)

    async def _unsubscribe(self, request: Request, caller: ApiClient) -> Response:
        name = request.path_params["name"]
        if not any(one.name == name for app in caller.apps for one in self._intake.hooks(app)):
            raise Problem(404)
        self._intake.drop_hook(name)
        return Response(b"", 204)


def _accepted(app: str, drafts: Sequence[Draft], jobs: Sequence[Job]) -> bytes:
    """Return the answer: the notifications' names, in the order in which they were drafts for."""
    parts = {job.provider: iter(job.notifications) for job in jobs}
    notes = [next(parts[one.message.provider]) for one in drafts]
    told = [
        {"id": note.ident.hex(), "pushes": len(note.targets)} | ({"name": note.reference} if note.reference else {})
        for note in notes
    ]
    return orjson.dumps({"app": app, "notifications": told})


def _ours(field: str) -> str:
    """Return the path of a field as the request has it."""
    return "payload" + field.removeprefix("body") if field.startswith("body") else field


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > most:
        raise Problem(400, f"must be a whole number from 0 to {most}", field=name)
    return int(text)


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, {"content-type": JSON})


async def _told(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem.response()


async def _not_found(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code if error.status_code in TITLES else 400
    return Problem(status, headers=dict(error.headers or {})).response()
