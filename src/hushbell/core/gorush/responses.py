"""What ``POST /api/push`` answers (reference/gateway.md 1.1)."""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from hushbell.core.gorush.platform import NAMES, Platform

HIDDEN: Final = 10  # characters hidden at each end of a token
HIDDEN_WORDS: Final = "(message redacted)"

_ONE_ACCEPTED: Final = b'{"counts":1,"logs":[],"success":"ok"}'


def accepted(counts: int, logs: Sequence[Mapping[str, object]] = ()) -> bytes:
    """Return the body of a 200."""
    if counts == 1 and not logs:
        return _ONE_ACCEPTED
    return orjson.dumps({"counts": counts, "logs": list(logs), "success": "ok"})


def refused(code: int, words: str) -> bytes:
    """Return the body of an error."""
    return orjson.dumps({"code": code, "message": words})


def failed_push(
    platform: Platform, token: str, *, notif_id: str, words: str, error: str, hide_token: bool, hide_words: bool
) -> dict[str, str]:
    """Return a log entry, which the feedback hook gets too."""
    entry = {"notif_id": notif_id} if notif_id else {}
    return entry | {
        "type": "failed-push",
        "platform": NAMES[platform],
        "token": masked(token) if hide_token else token,
        "message": HIDDEN_WORDS if hide_words else words,
        "error": error,
    }


def masked(token: str) -> str:
    """Return a token with its ends replaced by stars, and all other occurrences of these ends."""
    if len(token) < 2 * HIDDEN:
        return "*" * len(token)
    return token.replace(token[-HIDDEN:], "*" * HIDDEN).replace(token[:HIDDEN], "*" * HIDDEN)
