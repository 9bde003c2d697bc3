"""Errors of the /v1 API: RFC 9457 documents that name the field."""

import orjson
from starlette.responses import Response

from hushbell.errors import HushbellError

TYPE = "application/problem+json"

TITLES = {
    400: "The request is not what this API takes",
    401: "An API key is needed",
    403: "This key may not do that",
    404: "There is no such thing",
    405: "This method is not known here",
    409: "The key of the request belongs to another one",
    413: "The request is too large",
    422: "A field is not what this API takes",
    429: "Too much for now",
    503: "Not now",
}


class Problem(HushbellError):
    """An error response."""

    def __init__(
        self, status: int, detail: str = "", *, field: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """``detail`` names the broken rule, ``field`` the path of the field it is about."""
        super().__init__(detail or TITLES[status])
        self.status = status
        self.detail = detail
        self.field = field
        self.headers = headers or {}

    def response(self) -> Response:
        """Return it as an HTTP response."""
        body: dict[str, object] = {"type": "about:blank", "title": TITLES[self.status], "status": self.status}
        if self.detail:
            body["detail"] = self.detail
        if self.field:
            body["field"] = self.field
        return Response(orjson.dumps(body), self.status, {"content-type": TYPE} | self.headers)
