"""Many requests that are nearly alike, through whatever client a provider has."""

from collections.abc import Iterable, Sequence
from functools import partial

from hushbell.ports.http import Http, HttpRequest, Member, Series
from hushbell.providers.http2 import Http2


def post_series(http: Http, series: Series, members: Sequence[Member]) -> None:
    """Send each request and tell its taker what came of it, never before this returns."""
    if isinstance(http, Http2):
        http.post_series(series, members)
        return
    for taker, index, end, value, body in members:
        headers = (*series.headers, (series.differs, value)) if series.differs else series.headers
        http.post(HttpRequest(series.url + end, headers, body, series.timeout), partial(taker.take, index))


def post_all(http: Http, parts: Iterable[tuple[Series, list[Member]]]) -> None:
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
