"""The checks of push services have their statuses."""

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from hushbell.crypto.web_push import encrypt, new_key
from hushbell.providers.webpush.vapid import Vapid
from hushbell.testing.mock.http import Request
from hushbell.testing.mock.webpush import MockWebPush
from hushbell.types import Millis

NOW = 1_700_000_000_000

GOOD = {"ttl": "60", "content_encoding": "aes128gcm", "host": "push.example.net"}


@pytest.mark.parametrize(
    "path,changes,status",
    [
        ("/wpush/x/y", {}, 404),
        ("/wpush/x", {"method": "GET"}, 405),
        ("/wpush/x", {"ttl": ""}, 400),
        ("/wpush/x", {"ttl": "-1"}, 400),
        ("/wpush/x", {"topic": "x" * 33}, 400),
        ("/wpush/x", {"topic": "a b"}, 400),
        ("/wpush/x", {"urgency": "now"}, 400),
        ("/wpush/x", {"body": b"x" * 4097}, 413),
        ("/wpush/x", {"authorization": ""}, 401),
        ("/wpush/x", {"authorization": "vapid t=a.b.c, k=AAAA"}, 401),
        ("/wpush/x", {"host": "other.example.net"}, 401),
        ("/wpush/x", {"now": NOW + 13 * 3_600_000}, 401),
        ("/wpush/nobody", {}, 404),
        ("/wpush/x", {"content_encoding": "aesgcm"}, 415),
        ("/wpush/x", {"body": b"not encrypted"}, 400),
        ("/wpush/x", {"body": bytes(200)}, 400),
        ("/up/x", {"body": b""}, 400),
        ("/up/x", {"body": b"raw"}, None),
    ],
)
def test_each_of_the_push_services_checks_has_its_status(
    tmp_path: Path, path: str, changes: dict[str, Any], status: int | None
) -> None:
    mock = MockWebPush(tmp_path)
    mock.subscribe("x")
    vapid = Vapid(mock.key_file.read_bytes(), "mailto:operator@example.org")
    given = GOOD | {"authorization": vapid.header("https://push.example.net", Millis(NOW))} | changes
    body, method, now = given.pop("body", b"x"), given.pop("method", "POST"), given.pop("now", NOW)

    headers = {name.replace("_", "-"): value for name, value in given.items()}
    _, refusal = mock.check(Request(method, path, headers, body, 1, 1), now)

    assert (refusal.status if refusal else None) == status


def test_a_subscription_opens_only_what_is_meant_for_it(tmp_path: Path) -> None:
    mock = MockWebPush(tmp_path)
    alice, mallory = mock.subscribe(), mock.subscribe()
    sent = encrypt(b"hi", alice.key.public_key(), alice.auth, new_key(os.urandom), os.urandom(16))

    assert alice.open(sent) == b"hi"
    with pytest.raises(InvalidTag):
        mallory.open(sent)
