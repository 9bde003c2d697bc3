"""Signature version 4 of Amazon's, for a POST without a query. Pure functions."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hushbell.types import Millis

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class AwsKey:
    """An access key, with the session token of a temporary one."""

    ident: str
    secret: str = field(repr=False)
    session: str = field(default="", repr=False)


def signed(
    key: AwsKey,
    *,
    host: str,
    region: str,
    service: str,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    now: Millis,
    method: str = "POST",
) -> tuple[tuple[str, str], ...]:
    """
    Return the headers of a request to ``/`` with its signature; ``host`` is signed, and not among them.

    Source: Amazon's documentation, "Create a signed AWS API request"; checked against its published examples.
    """
    moment = datetime.fromtimestamp(now // 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    given = {name.lower(): " ".join(value.split()) for name, value in headers} | {"x-amz-date": moment}
    if key.session:
        given["x-amz-security-token"] = key.session
    to_sign = given | {"host": host}
    names = ";".join(sorted(to_sign))
    request = canonical(method, to_sign, body)
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(signing_key(key.secret, moment[:8], region, service), text.encode(), "sha256").hex()
    given["authorization"] = (
        f"{_ALGORITHM} Credential={key.ident}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return tuple(given.items())


def canonical(method: str, headers: Mapping[str, str], body: bytes) -> str:
    """Return the request in the one form that is signed."""
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    return f"{method}\n/\n\n{lines}\n{';'.join(sorted(headers))}\n{hashlib.sha256(body).hexdigest()}"


def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """Return the key for a day, a region and a service, 32 bytes."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
