"""
Further requests, in the form that replay.py records: asked of the real gorush in each run, then of ours.

Beside the recorded corpus: every field alone, with wrong types, at its edges, and many at once.
"""

from typing import Any

HEAD: dict[str, Any] = {}
IOS = {"platform": 1, "tokens": ["aaaa0001"], "message": "M"}
ANDROID = {"platform": 2, "tokens": ["ffff0001"], "message": "M"}
HUAWEI = {"platform": 3, "tokens": ["cccc0001"], "message": "M"}


def push(name: str, *notifications: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A request with these notifications."""
    request = {
        "method": "POST",
        "path": "/api/push",
        "headers": {"Content-Type": "application/json"},
        "json": {"notifications": list(notifications)},
    }
    # Seconds without a request at the providers until a case is over; a busy machine takes its time.
    return {"name": name, "profile": "async", "request": request, "quiet": 1.0} | more


def text(name: str, body: str) -> dict[str, Any]:
    """A request with this body."""
    case = push(name)
    del case["request"]["json"]
    case["request"]["text"] = body
    return case


def get(name: str, path: str, method: str = "GET") -> dict[str, Any]:
    """A request for a path."""
    return {"name": name, "profile": "async", "request": {"method": method, "path": path, "headers": {}}}


_WRONG: dict[str, list[Any]] = {
    "tokens": [{}, "x", 1, [1], [[]]],
    "platform": ["1", 1.5, True, [], {}],
    "message": [1, [], {}, True],
    "title": [1, []],
    "badge": ["1", 1.5, [], True],
    "content_available": [1, "true", []],
    "mutable_content": [0, "x"],
    "data": ["x", 1, []],
    "retry": ["1", 1.5],
    "expiration": ["1", 1.5, {}],
    "alert": ["x", 1, []],
    "url-args": ["x", [1]],
    "notification": ["x", []],
    "android": ["x", 1],
    "apns": ["x"],
    "volume": ["x", []],
    "priority": [1],
    "huawei_ttl": [1],
    "huawei_collapse_key": ["x"],
    "relevance-score": ["x"],
    "stale-date": ["x"],
    "production": ["x", 1],
}
_IOS_FIELDS: dict[str, Any] = {
    "topic": "org.example.app",
    "title": "T",
    "priority": "high",
    "sound": "default",
    "badge": 2147483647,
    "category": "C",
    "thread-id": "t",
    "url-args": ["a", "b"],
    "interruption_level": "time-sensitive",
    "collapse_id": "c",
    "apns_id": "123e4567-e89b-12d3-a456-426614174000",
    "push_type": "voip",
    "expiration": 1893456000,
    "mutable_content": True,
    "data": {"k": {"deep": [1, "two", None, True, 2.5]}},
    "alert": {"loc-key": "K", "loc-args": ["a"], "title-loc-key": "TK", "title-loc-args": ["b"], "launch-image": "i"},
    "image": "https://example.org/i.png",
    "retry": 3,
    "relevance-score": 0.5,
    "notif_id": "n",
}
_ANDROID_FIELDS: dict[str, Any] = {
    "title": "T",
    "image": "https://example.org/i.png",
    "priority": "normal",
    "data": {"a": "b", "n": 1, "list": [1, 2], "null": None},
    "notification": {"title": "NT", "body": "NB"},
    "android": {"collapse_key": "k", "ttl": "60s", "restricted_package_name": "org.example"},
    "webpush": {"headers": {"TTL": "1"}, "notification": {"title": "W"}},
    "apns": {"headers": {"apns-priority": "10"}, "payload": {"aps": {"badge": 1}}},
    "fcm_options": {"analytics_label": "l"},
    "mutable_content": True,
    "content_available": True,
    "sound": "s",
    "condition": "'a' in topics && 'b' in topics",
    "to": "ffff0009",
}
_HUAWEI_FIELDS: dict[str, Any] = {
    "title": "T",
    "image": "https://example.org/i.png",
    "priority": "high",
    "sound": "s",
    "huawei_data": '{"k": "v"}',
    "huawei_collapse_key": 5,
    "huawei_ttl": "60s",
    "bi_tag": "b",
    "category": "IM",
    "to": "cccc0009",
}

CASES = [
    *(
        push(f"more-wrong-{name}-{place}", IOS | {name: value}, quiet=0.2)
        for name, all_ in _WRONG.items()
        for place, value in enumerate(all_)
    ),
    *(push(f"more-null-{name}", IOS | {name: None}) for name in _WRONG),
    *(push(f"more-ios-{name}", IOS | {name: value}) for name, value in _IOS_FIELDS.items()),
    *(push(f"more-android-{name}", ANDROID | {name: value}) for name, value in _ANDROID_FIELDS.items()),
    *(push(f"more-huawei-{name}", HUAWEI | {name: value}) for name, value in _HUAWEI_FIELDS.items()),
    push("more-three-platforms", IOS, ANDROID, HUAWEI),
    push("more-unknown-platforms", IOS | {"platform": 4}, IOS | {"platform": -1}, IOS),
    push("more-unknown-fields", IOS | {"colour": "red", "": 1}),
    push("more-many-tokens", IOS | {"tokens": [f"aaaa{number:04d}" for number in range(40)]}),
    push("more-silent", {"platform": 1, "tokens": ["aaaa0001"], "content_available": True, "push_type": "background"}),
    push("more-alert-over-words", IOS | {"title": "T", "alert": {"title": "AT", "body": "AB", "subtitle": "S"}}),
    push("more-sound-critical", IOS | {"sound": {"critical": 1, "name": "n", "volume": 0.25}}),
    push("more-empty-words", IOS | {"message": "", "title": ""}),
    push("more-emoji", IOS | {"message": "\U0001f514\u0000\u2028<&>"}),
    push("more-live-activity", IOS | {"event": "update", "timestamp": 1, "content-state": {"a": 1}, "stale-date": 2}),
    push("more-data-over-keys", IOS | {"data": {"alert": "x", "acme": 1}}),
    text("more-body-empty", ""),
    text("more-body-space", "  \n"),
    text("more-body-null", "null"),
    text("more-body-number", "1"),
    text("more-body-text", '"notifications"'),
    text("more-body-wrong-key", '{"notification":[]}'),
    text("more-body-nested", '{"notifications":{"notifications":[]}}'),
    text("more-body-comment", '{"notifications":[] /* */}'),
    text("more-body-single-quotes", "{'notifications':[]}"),
    text("more-body-comma", '{"notifications":[{"platform":1,"tokens":["aaaa0001"],"message":"M"},]}'),
    text("more-body-leading-zero", '{"notifications":[{"platform":01,"tokens":["aaaa0001"],"message":"M"}]}'),
    text(
        "more-body-escape", '{"notifications":[{"platform":1,"tokens":["aaaa0001"],"message":"\\u0041\\ud83d\\udd14"}]}'
    ),
    text("more-body-lone-surrogate", '{"notifications":[{"platform":1,"tokens":["aaaa0001"],"message":"\\ud83d"}]}'),
    get("more-options", "/api/push", "OPTIONS"),
    get("more-patch", "/api/push", "PATCH"),
    get("more-health-post", "/healthz", "POST"),
    get("more-metrics-head", "/metrics", "HEAD"),
    get("more-upper-case", "/API/PUSH"),
    get("more-favicon", "/favicon.ico"),
]
