"""One request to an ASGI app, with its whole body and its whole response at once."""

from collections.abc import Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from hushbell.api.http.head_cache import RequestHead
from hushbell.api.http.types import Asgi, Headers


async def call_app(
    app: Asgi, head: RequestHead, body: bytes, count: Callable[[str], None]
) -> tuple[int, bytes, bytes, Headers]:
    """Return status, body, content type and further headers of the response; 500 if the app raises."""
    path, _, query = head.url.partition(b"?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": head.method.decode("latin-1"),
        "scheme": "http",
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": head.headers,
        "client": None,
        "server": None,
    }
    status, headers, parts = 500, [], []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message["headers"])
        else:
            parts.append(message.get("body", b""))

    try:
        await app(scope, receive, send)
    except Exception:  # noqa: BLE001  a bug in one route must not end the server; the app logs it
        count("http_failures")
        return 500, b"", b"", []
    kind = next((value for name, value in headers if name == b"content-type"), b"")
    rest = [(name, value) for name, value in headers if name not in (b"content-type", b"content-length")]
    return status, b"".join(parts), kind, rest
