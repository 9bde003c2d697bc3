"""Many requests that are nearly alike, through whatever client a provider has."""

from collections.abc import Sequence
from functools import partial

from hushbell.ports.http import Http, HttpRequest, Member, OnMember, Series
from hushbell.providers.http2 import Http2


def post_series(http: Http, series: Series, members: Sequence[Member], on_answer: OnMember) -> None:
    """Send each request and tell its number with what came of it, never before this returns."""
    if isinstance(http, Http2):
        http.post_series(series, members, on_answer)
        return
    for index, end, value, body in members:
        headers = (*series.headers, (series.differs, value)) if series.differs else series.headers
        http.post(HttpRequest(series.url + end, headers, body, series.timeout), partial(on_answer, index))
