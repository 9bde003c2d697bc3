"""When a push is given up."""

import pytest

from hushbell.core.delivery.notification import MIN_LIFE_MS, Draft, Message, expiry, notifications
from hushbell.types import Millis

NOW = Millis(1_700_000_000_000)
MESSAGE = Message("apns", b"{}")


@pytest.mark.parametrize(
    "ttl, expires, lifetime, life_ms",
    [
        pytest.param(60, None, None, 60_000, id="the app's own"),
        pytest.param(2, None, None, 2_000, id="the app's own, however short"),
        pytest.param(60, None, 30.0, 30_000, id="a shorter one of its submitter"),
        pytest.param(60, None, 3600.0, 60_000, id="never longer than the app's"),
        pytest.param(60, NOW // 1000 + 20, None, 20_000, id="a time"),
        pytest.param(60, 1, None, MIN_LIFE_MS, id="a time long ago: the submitter's clock may be wrong"),
        pytest.param(60, None, 0.0, MIN_LIFE_MS, id="none at all: it is attempted once"),
        pytest.param(2, 1, None, 2_000, id="a time long ago, in an app of short lives"),
    ],
)
def test_a_push_expires_in_time(ttl: int, expires: int | None, lifetime: float | None, life_ms: int) -> None:
    draft = Draft("token", ("a",), MESSAGE, expires=expires, lifetime=lifetime)

    [named] = notifications([draft], "chat", [bytes(16)], NOW, ttl=ttl, retries=None)

    assert expiry(draft, NOW, ttl) == named.expires_at == NOW + life_ms
