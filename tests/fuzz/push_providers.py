"""What push services answer and what their users call an address, and the stand-in that plays them."""

import asyncio
import ipaddress
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.http.ssrf import AddressRefused, SsrfGuard
from hushbell.ports.http import FailureKind, HttpFailure, HttpResponse
from hushbell.providers import oauth
from hushbell.providers.fcm import outcome as fcm_outcome
from hushbell.providers.huawei import outcome as huawei_outcome
from hushbell.providers.hushbell.provider import HushbellProvider
from hushbell.providers.padding import padded, padded_data
from hushbell.providers.pushy import outcome as pushy_outcome
from hushbell.providers.sns import outcome as sns_outcome
from hushbell.providers.webpush import outcome as webpush_outcome
from hushbell.providers.webpush import subscription
from hushbell.testing.mock.h2 import PREFACE, MockHttp2
from hushbell.testing.mock.hpack import HeaderDecoder, MalformedBlock
from hushbell.testing.mock.http import Response

GUARD, OPEN = SsrfGuard(), SsrfGuard(("127.0.0.0/8",))
UPSTREAM = HushbellProvider.__new__(HushbellProvider)


def answers(data: bytes) -> None:
    """A status, a header, a body, read as every provider reads it."""
    status = 100 + int.from_bytes(data[:2], "little") % 500
    answer = HttpResponse(status, (("retry-after", data[2:8].decode("latin-1")),), data[8:])
    for read in (fcm_outcome.outcome, sns_outcome.outcome, webpush_outcome.outcome, oauth.refusal):
        _sane(read(answer), answer)
    for read_many in (huawei_outcome.outcome, pushy_outcome.outcome):
        told, dead = read_many(answer)
        _sane(told, answer)
        assert all(isinstance(token, str) for token in dead)
    if 200 <= status < 300:
        for told in UPSTREAM._logged(answer.body).values():
            _sane(told, answer)
    oauth._granted(answer)
    oauth.refusal(HttpFailure(FailureKind.CLOSED, sent=True))


def _sane(outcome: Outcome, answer: HttpResponse) -> None:
    """A word, never a text: texts quote tokens. And no token dies of a server's trouble."""
    assert len(outcome.reason) <= 80
    assert outcome.reason.isprintable()
    assert outcome.verdict is not Verdict.DEAD_TOKEN or answer.status < 500
    assert outcome.after is None or 0 <= outcome.after <= 86_400


def addresses(data: bytes) -> None:
    """A URL: refused, or in a form that stays what it is and leads to nobody inside."""
    text = data.decode("utf-8", "surrogateescape")
    for guard in (GUARD, OPEN):
        for url in (text, "https://" + text, "https://a.org" + text):
            with suppress(AddressRefused):
                place = guard.parse(url)
                assert guard.parse(place.url) == place
    with suppress(ValueError):
        address = ipaddress.ip_address(data[:16] if len(data) >= 16 else data[:4])
        assert not GUARD.is_open(address) or address.is_global or ipaddress.IPv6Address(int(address)).sixtofour


def subscriptions(data: bytes) -> None:
    """What a browser gave us."""
    found = subscription.parse(data.decode("utf-8", "replace"))
    assert found is None or len(found.auth) == 16


def paddings(data: bytes) -> None:
    """A payload with padding is still the payload, and JSON if it was."""
    for pad in (padded, padded_data):
        body = pad(data, (64, 256))
        before, after = _object(data), _object(body)
        if before is not None and after is not None and '"padding"' not in str(data):
            assert {name for name in before if name != "data"} <= set(after)
        # Written anew without its spaces, an object may be shorter than it came; it is never less of an object.
        assert body == data or after is not None or (before is None and body.startswith(data[:-1]))


def _object(data: bytes) -> dict[str, Any] | None:
    with suppress(ValueError, RecursionError):
        parsed = json.loads(data)
        return parsed if isinstance(parsed, dict) else None
    return None


class _Wire:
    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def is_closing(self) -> bool:
        return False


def mock(data: bytes) -> None:
    """What a client may send to the mock: header blocks, and frames in two pieces."""
    with suppress(MalformedBlock):
        HeaderDecoder().decode(data)
    transport: Any = _Wire()
    assert not isinstance(transport, asyncio.Transport)
    http = MockHttp2(transport, lambda _: Response(body=b"x" * 70_000), number=1, streams=3, is_certified=False)
    half = len(data) // 2
    for piece in (PREFACE, data[:half], data[half:]):
        http.feed(piece)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "answers": answers,
    "addresses": addresses,
    "subscriptions": subscriptions,
    "paddings": paddings,
    "mock": mock,
}
