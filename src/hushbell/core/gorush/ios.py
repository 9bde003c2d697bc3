"""
A notification of gorush's for Apple (reference/gateway.md 1.13).

Three things are better than there: a message keeps its words beside a subtitle, a silent push says that it is one,
and ``expiration: 0`` reaches Apple.
"""

import re
from functools import lru_cache
from typing import Any, Final

import orjson

from hushbell.core.delivery.notification import Message
from hushbell.core.gorush.platform import Fields

PRIORITIES: Final = {"normal": "5", "high": "10"}
_HEADER = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,1022}[\x21-\x7e])?", re.ASCII)

_ALERT_KEYS: Final = (
    "title",
    "body",
    "subtitle",
    "title-loc-key",
    "title-loc-args",
    "loc-key",
    "loc-args",
    "action-loc-key",
    "launch-image",
    "action",
    "summary-arg",
)
# Fields that stand in Apple's dictionary as they are given, and under which name.
_AS_GIVEN: Final = {
    "category": "category",
    "thread-id": "thread-id",
    "url-args": "url-args",
    "content-state": "content-state",
    "event": "event",
    "attributes-type": "attributes-type",
    "attributes": "attributes",
    "relevance-score": "relevance-score",
    "interruption_level": "interruption-level",
}
# With nothing beyond these, nothing more stands in Apple's dictionary than the words and the badge.
_PLAIN: Final = frozenset(
    {"tokens", "platform", "message", "title", "topic", "badge", "alert", "data", "notif_id", "priority", "retry"}
    | {"production", "development", "collapse_id", "apns_id", "push_type", "expiration", "to"}
)
_HEADER_NAMES: Final = (("apns_id", "apns-id"), ("topic", "apns-topic"), ("collapse_id", "apns-collapse-id"))
_DATES: Final = ("stale-date", "dismissal-date", "timestamp")


def message(fields: Fields) -> Message | str:
    """Return the message, or why there can be none."""
    data = fields.get("data", {})
    if "aps" in data:
        return "data must not contain aps: it would replace the whole notification"
    aps = _aps(fields)
    headers = _headers(fields, aps)
    if (wrong := _unfit(headers)) is not None:
        return f"{wrong} holds characters that no header can carry"
    body = orjson.dumps({"aps": aps, **data} if data else {"aps": aps})
    route = "production" if "production" in fields else "development" if "development" in fields else ""
    return Message("apns", body, route, headers)


@lru_cache(maxsize=1024)  # the headers of an app's notifications are few
def _unfit(headers: tuple[tuple[str, str], ...]) -> str | None:
    """Return the name of a header that cannot be sent, or None."""
    return next((name for name, value in headers if not _HEADER.fullmatch(value)), None)


def _aps(fields: Fields) -> dict[str, Any]:
    aps: dict[str, Any] = {}
    alert = _alert(fields)
    if alert:
        aps["alert"] = alert
    badge = fields.get("badge", -1)
    if badge >= 0:
        aps["badge"] = badge
    if fields.keys() <= _PLAIN:
        return aps
    if "mutable_content" in fields:
        aps["mutable-content"] = 1
    if "content_available" in fields:
        aps["content-available"] = 1
    _add_sound(aps, fields)
    for key, value in fields.items():
        if key in _AS_GIVEN:
            aps[_AS_GIVEN[key]] = value
    for key in _DATES:
        if fields.get(key, 0) > 0:
            aps[key] = fields[key]
    return aps


def _alert(fields: Fields) -> dict[str, Any] | str:
    given = fields.get("alert")
    words, title = fields.get("message", ""), fields.get("title", "")
    if not given:
        return {"title": title, "body": words} if title and words else {"title": title} if title else str(words)
    alert = {key: given[key] for key in _ALERT_KEYS if key in given}
    if given.get("summary-arg-count", 0) > 0:
        alert["summary-arg-count"] = given["summary-arg-count"]
    if not alert and not title:
        return str(words)
    if words:
        alert.setdefault("body", words)
    if title:
        alert.setdefault("title", title)
    return alert


def _add_sound(aps: dict[str, Any], fields: Fields) -> None:
    """A name or a volume beside the sound makes it a critical one."""
    sound = fields.get("sound")
    if isinstance(sound, str):
        aps["sound"] = sound
    elif isinstance(sound, dict):
        aps["sound"] = _critical(sound)
    if "name" in fields or fields.get("volume", 0) > 0:
        aps["sound"] = {"critical": 1, "name": fields.get("name", "default"), "volume": fields.get("volume", 1)}


def _critical(sound: dict[str, Any]) -> dict[str, Any]:
    """What has the wrong type is left out."""
    kept: dict[str, Any] = {}
    for key, value in sound.items():
        name, kinds = key.casefold(), (int, float)
        fits = isinstance(value, str) if name == "name" else isinstance(value, kinds) and not isinstance(value, bool)
        if name in ("critical", "name", "volume") and fits and value:
            kept[name] = int(value) if name == "critical" else value
    return kept


def _headers(fields: Fields, aps: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    silent = "content-available" in aps and not aps.keys() & {"alert", "badge", "sound"} and "push_type" not in fields
    headers = [(name, fields[field]) for field, name in _HEADER_NAMES if field in fields]
    if "expiration" in fields:
        headers.append(("apns-expiration", str(max(0, fields["expiration"]))))
    priority = PRIORITIES.get(fields.get("priority", ""), "5" if silent else "")
    if priority:
        headers.append(("apns-priority", priority))
    headers.append(("apns-push-type", fields.get("push_type") or ("background" if silent else "alert")))
    return tuple(headers)
