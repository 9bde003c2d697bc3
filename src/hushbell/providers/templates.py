"""Many requests that are nearly alike, through whatever client a provider has."""

from collections.abc import Hashable, Iterable, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from hushbell.http.h2.client import H2Client
from hushbell.ports.http import HttpClient, HttpRequest, Member, Series

WAYS = 1024  # that are remembered


class RequestTemplate(Protocol):
    """How all messages with the same headers go, with the credential of now."""

    @property
    def bearer(self) -> str:
        """Return the credential in it."""
        ...


W = TypeVar("W", bound=RequestTemplate)


class TemplateCache(Generic[W]):
    """Those that were used, while their credential is the one of now."""

    def __init__(self) -> None:
        self._known: dict[Hashable, W] = {}

    def find(self, key: Hashable, bearer: str) -> W | None:
        """Return the way of a key, unless it was made for another credential."""
        known = self._known.get(key)
        return known if known is not None and known.bearer is bearer else None

    def keep(self, key: Hashable, way: W) -> W:
        """Remember a way, and return it."""
        if len(self._known) >= WAYS:
            self._known.clear()
        self._known[key] = way
        return way


def post_series(http: HttpClient, series: Series, members: Sequence[Member]) -> None:
    """Send each request and tell its taker what came of it, never before this returns."""
    if isinstance(http, H2Client):
        http.post_series(series, members)
        return
    for taker, index, end, value, body in members:
        headers = (*series.headers, (series.differs, value)) if series.differs else series.headers
        http.post(HttpRequest(series.url + end, headers, body, series.timeout), partial(taker.take, index))


def post_all(http: HttpClient, parts: Iterable[tuple[Series, list[Member]]]) -> None:
    """Send requests of several series, as one where the same follows."""
    together: Series | None = None
    members: list[Member] = []
    for series, some in parts:
        if series is together:
            members += some
            continue
        if together is not None:
            post_series(http, together, members)
        together, members = series, some
    if together is not None:
        post_series(http, together, members)
