"""The body of ``POST /api/push``: what it asks for, or the 400 it gets (reference/gateway.md 1.1, 1.3)."""

from collections.abc import Sequence

from hushbell.core.gorush import fcm_shapes, huawei_shapes
from hushbell.core.gorush.document import parse
from hushbell.core.gorush.fields import (
    Read,
    a_record,
    anything,
    boolean,
    exact_integer,
    exact_number,
    integer,
    number,
    objects,
    record,
    text,
    texts,
)
from hushbell.core.gorush.platform import Fields
from hushbell.errors import Undecodable

MISSING = "Missing notifications field."
EMPTY = "Notifications field is empty."

ALERT: dict[str, Read] = {
    "action": text,
    "action-loc-key": text,
    "body": text,
    "launch-image": text,
    "loc-args": texts,
    "loc-key": text,
    "title": text,
    "subtitle": text,
    "title-loc-args": texts,
    "title-loc-key": text,
    "summary-arg": text,
    "summary-arg-count": integer,
}

COMMON: dict[str, Read] = {
    "notif_id": text,
    "to": text,
    "topic": text,
    "tokens": texts,
    "platform": integer,
    "message": text,
    "title": text,
    "image": text,
    "priority": text,
    "content_available": boolean,
    "mutable_content": boolean,
    "sound": anything,
    "data": objects,
    "retry": integer,
}

FCM: dict[str, Read] = {
    "notification": a_record(fcm_shapes.NOTIFICATION),
    "android": a_record(fcm_shapes.ANDROID),
    "webpush": a_record(fcm_shapes.WEBPUSH),
    "apns": a_record(fcm_shapes.APNS),
    "fcm_options": a_record(fcm_shapes.FCM_OPTIONS),
    "condition": text,
}

HUAWEI: dict[str, Read] = {
    "app_id": text,
    "app_secret": text,
    "huawei_notification": a_record(huawei_shapes.NOTIFICATION),
    "huawei_data": text,
    "huawei_collapse_key": integer,
    "huawei_ttl": text,
    "bi_tag": text,
    "fast_app_target": integer,
}

IOS: dict[str, Read] = {
    "expiration": exact_integer,
    "apns_id": text,
    "collapse_id": text,
    "push_type": text,
    "badge": exact_integer,
    "category": text,
    "thread-id": text,
    "url-args": texts,
    "alert": a_record(ALERT),
    "production": boolean,
    "development": boolean,
    "name": text,
    "volume": number,
    "interruption_level": text,
    "content-state": objects,
    "stale-date": integer,
    "dismissal-date": integer,
    "event": text,
    "timestamp": integer,
    "attributes-type": text,
    "attributes": objects,
    "relevance-score": exact_number,
}

FIELDS: dict[str, Read] = COMMON | FCM | HUAWEI | IOS


def notifications(body: bytes, most: int) -> Sequence[Fields]:
    """
    Return the notifications of a request, at most ``most``.

    Raises:
        Undecodable: its text is the message of gorush's 400.
    """
    try:
        document = parse(body)
        # The usual one has this name as it is written, and no other.
        usual = type(document) is dict and len(document) == 1 and type(document.get("notifications")) is list
        found = document["notifications"] if usual else record(_DOCUMENT, document).get("notifications")
    except Undecodable:
        raise Undecodable(MISSING) from None
    if found is None:
        raise Undecodable(MISSING)
    if not found:
        raise Undecodable(EMPTY)
    if len(found) > most:
        raise Undecodable(f"Number of notifications({len(found)}) over limit({most})")
    try:
        # null stands for a notification without any field.
        return [{} if one is None else record(FIELDS, one) for one in found]
    except Undecodable:
        raise Undecodable(MISSING) from None


def _list(value: object) -> object:
    if type(value) is not list:
        raise Undecodable("not a list")
    return value


_DOCUMENT: dict[str, Read] = {"notifications": _list}
