"""gorush's routes beside ``POST /api/push`` (reference/gateway.md 1.1, 10)."""

from collections.abc import Callable

import orjson
from starlette.requests import Request
from starlette.responses import Response

from hushbell.api.gorush.config_view import config_yaml
from hushbell.api.gorush.statistics import Statistics
from hushbell.api.http.auth import ApiKeys, Forbidden, Unauthorized
from hushbell.config.settings import Settings
from hushbell.core.gorush import responses

# Clients look for this name; ``server`` names the program that responds.
SOURCE = "https://github.com/appleboy/gorush"
JSON = "application/json; charset=utf-8"
METRICS = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"

Answer = Callable[[], Response]
Table = dict[tuple[str, str], Callable[[Request], Response]]
"""By method and path. gorush knows no other methods of a path, HEAD included."""


def table(settings: Settings, statistics: Statistics, keys: ApiKeys, version: str) -> Table:
    """Return the routes; those with figures and settings need the scope ``operate`` where keys are configured."""
    paths = settings.gateway.paths
    open_to_all: dict[str, Answer] = {
        "/": lambda: _json({"text": "Welcome to notification server."}),
        "/version": lambda: _json({"source": SOURCE, "version": version, "server": "hushbell"}),
        paths.health: lambda: Response(b""),
    }
    operators: dict[str, Answer] = {
        paths.stat_app: lambda: _json(statistics.app()),
        paths.stat_go: lambda: _json(statistics.go()),
        paths.sys_stats: lambda: _json(statistics.system()),
        paths.config: lambda: Response(config_yaml(settings), media_type="application/yaml; charset=utf-8"),
        paths.metrics: lambda: Response(statistics.metrics(), headers={"content-type": METRICS}),
    }
    made: Table = {("GET", path): _open(answer) for path, answer in open_to_all.items()}
    made |= {("GET", path): _guarded(answer, keys) for path, answer in operators.items()}
    made["HEAD", paths.health] = made["GET", paths.health]
    return made


def not_found(request: Request, known: frozenset[str]) -> Response:
    """Answer a path or a method that there is not, as gorush does; a path with one slash too many is redirected."""
    path = request.url.path
    if path.endswith("/") and path.rstrip("/") in known and path.rstrip("/"):
        location = path.rstrip("/")
        if request.method == "GET":
            page = f'<a href="{location}">Moved Permanently</a>.\n\n'
            return Response(page, 301, {"location": location, "content-type": "text/html; charset=utf-8"})
        return Response(b"", 307, {"location": location})
    return Response(b"404 page not found", 404, {"content-type": "text/plain"})


def _open(answer: Answer) -> Callable[[Request], Response]:
    return lambda _: answer()


def _guarded(answer: Answer, keys: ApiKeys) -> Callable[[Request], Response]:
    def handle(request: Request) -> Response:
        try:
            keys.client(request.headers.get("authorization", "").encode("latin-1", "replace")).require("operate")
        except Unauthorized as error:
            headers = {"content-type": JSON, "www-authenticate": "Bearer"}
            return Response(responses.refused(401, str(error)), 401, headers)
        except Forbidden as error:
            return Response(responses.refused(403, str(error)), 403, {"content-type": JSON})
        return answer()

    return handle


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), headers={"content-type": JSON})
