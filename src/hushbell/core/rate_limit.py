"""Rate limits: a token bucket as a value, time as an argument."""

from dataclasses import dataclass

from hushbell.types import Millis


@dataclass(frozen=True, slots=True)
class Bucket:
    """The tokens of a bucket, as they stood at one moment."""

    tokens: float
    at: Millis


def spend(bucket: Bucket | None, now: Millis, *, per_minute: int, burst: int) -> tuple[Bucket, bool]:
    """
    Return the bucket without one token, and whether there was one.

    No bucket means a full one. A clock that goes backwards adds nothing.
    """
    if bucket is None:
        return Bucket(burst - 1.0, now), True
    elapsed = max(0, now - bucket.at)
    tokens = min(float(burst), bucket.tokens + elapsed * per_minute / 60_000)
    if tokens < 1.0:
        return Bucket(tokens, now), False
    return Bucket(tokens - 1.0, now), True
