"""What a browser or a UnifiedPush distributor gave us to push to."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from hushbell.crypto.web_push import receiver
from hushbell.providers.responses import json_object

LONGEST = 4096  # characters


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where to push, and the keys only the receiver can open messages with."""

    endpoint: str = field(repr=False)
    key: ec.EllipticCurvePublicKey = field(repr=False)
    auth: bytes = field(repr=False)


def parse(token: str) -> Subscription | None:
    """
    Return the subscription that a token is, or None if it is none.

    The token is JSON: ``{"endpoint": URL, "keys": {"p256dh": …, "auth": …}}`` as browsers write it (``toJSON()``), or
    with the keys beside the endpoint. Keys are base64url.
    """
    if len(token) > LONGEST:
        return None
    fields = json_object(token.encode("utf-8", "replace"))
    keys = fields.get("keys", fields)
    endpoint = fields.get("endpoint")
    if not isinstance(endpoint, str) or not isinstance(keys, dict):
        return None
    auth, point = _bytes(keys.get("auth")), _bytes(keys.get("p256dh"))
    if len(auth) != 16:
        return None
    try:
        return Subscription(endpoint, receiver(point), auth)
    except ValueError:
        return None


def _bytes(text: Any) -> bytes:
    """Return what base64 stands for, in either alphabet and with or without padding; b"" if it is none."""
    if not isinstance(text, str) or not text.isascii():
        return b""
    plain = text.rstrip("=").translate(str.maketrans("+/", "-_"))
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return b""
