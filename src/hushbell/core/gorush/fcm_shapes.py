"""The blocks of an FCM message that gorush hands on, as Google's SDK for Go reads and writes them (gateway.md 1.13)."""

import re
from datetime import datetime
from typing import Any

from hushbell.core.gorush.fields import (
    ABSENT,
    Read,
    a_record,
    anything,
    boolean,
    exact_integer,
    exact_number,
    integers,
    number,
    one_of,
    record,
    records,
    text,
    text_map,
    texts,
)
from hushbell.errors import Undecodable

_DURATION = re.compile(r"([+-]?[0-9]{1,10})(?:\.([0-9]{1,9}))?s?", re.ASCII)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z", re.ASCII)
_SHADES = 255


def duration(value: Any) -> Any:
    """Read seconds such as ``3600s`` or ``0.5s`` and return them in Google's form."""
    if text(value) is ABSENT:
        return ABSENT
    match = _DURATION.fullmatch(value)
    if match is None:
        raise Undecodable("not a duration")
    seconds, fraction = int(match[1]), (match[2] or "").ljust(9, "0")
    return f"{seconds}.{fraction}s" if int(fraction) else f"{seconds}s"


def required_duration(value: Any) -> Any:
    """Read a duration that must be given."""
    found = duration(value)
    if found is ABSENT:
        raise Undecodable("a duration is missing")
    return found


def durations(value: Any) -> Any:
    """Read a list of durations."""
    given = texts(value)
    return given if given is ABSENT else [required_duration(one) for one in given]


def moment(value: Any) -> Any:
    """Read a time in UTC with nine digits after the point."""
    if text(value) is ABSENT:
        return ABSENT
    try:
        if not _MOMENT.fullmatch(value):
            raise Undecodable("not a time in UTC with nanoseconds")
        datetime.fromisoformat(value[:19])
    except ValueError:
        raise Undecodable("not a time") from None
    return value


def colour(value: Any) -> Any:
    """Read shares of red, green, blue and alpha; the SDK keeps them as hexadecimal numbers of two digits."""
    given = record(COLOUR, value)
    return {name: int(given.get(name, 0) * _SHADES) / _SHADES for name in COLOUR}


def lights(value: Any) -> Any:
    """Read light settings, of which every field is required."""
    given = record(LIGHTS, value)
    if len(given) < len(LIGHTS):
        raise Undecodable("incomplete light settings")
    return given


def web_notification(value: Any) -> Any:
    """Read a web notification: known fields must have their types, others are the web page's own."""
    record(WEB_NOTIFICATION, value)
    return value


def aps(value: Any) -> Any:
    """Read Apple's dictionary: known fields must have their types, others are the app's own."""
    known = record(APS, value)
    return {**value, **{key: known[key] for key in ("alert", "sound") if known.get(key)}}


def payload(value: Any) -> Any:
    """Read a payload for Apple: its ``aps`` and what the app adds."""
    known = record({"aps": aps}, value)
    return {**value, "aps": known.get("aps")}


def alert(value: Any) -> Any:
    """Read an alert: words, or an object."""
    return value if isinstance(value, str) else record(ALERT, value)


def sound(value: Any) -> Any:
    """Read a sound: its name, or a critical sound."""
    if isinstance(value, str):
        return value
    given = record(CRITICAL_SOUND, value)
    if given.get("critical") != 1:
        given.pop("critical", None)
    return given


COLOUR: dict[str, Read] = {"red": number, "green": number, "blue": number, "alpha": number}
LIGHTS: dict[str, Read] = {
    "color": colour,
    "light_on_duration": required_duration,
    "light_off_duration": required_duration,
}
NOTIFICATION: dict[str, Read] = {"title": text, "body": text, "image": text}
FCM_OPTIONS: dict[str, Read] = {"analytics_label": text}

ANDROID_NOTIFICATION: dict[str, Read] = {
    "title": text,
    "body": text,
    "icon": text,
    "color": text,
    "sound": text,
    "tag": text,
    "click_action": text,
    "body_loc_key": text,
    "body_loc_args": texts,
    "title_loc_key": text,
    "title_loc_args": texts,
    "channel_id": text,
    "image": text,
    "ticker": text,
    "sticky": boolean,
    "event_time": moment,
    "local_only": boolean,
    "notification_priority": one_of(
        "PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH", "PRIORITY_MAX"
    ),
    "vibrate_timings": durations,
    "default_vibrate_timings": boolean,
    "default_sound": boolean,
    "light_settings": lights,
    "default_light_settings": boolean,
    "visibility": one_of("PRIVATE", "PUBLIC", "SECRET"),
    "notification_count": exact_integer,
    "proxy": one_of("ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
}

ANDROID: dict[str, Read] = {
    "collapse_key": text,
    "priority": text,
    "ttl": duration,
    "restricted_package_name": text,
    "data": text_map,
    "notification": a_record(ANDROID_NOTIFICATION),
    "fcm_options": a_record(FCM_OPTIONS),
    "direct_boot_ok": boolean,
}

WEB_NOTIFICATION: dict[str, Read] = {
    "actions": records({"action": text, "title": text, "icon": text}),
    "title": text,
    "body": text,
    "icon": text,
    "badge": text,
    "dir": text,
    "data": anything,
    "image": text,
    "lang": text,
    "renotify": boolean,
    "requireInteraction": boolean,
    "silent": boolean,
    "tag": text,
    "timestamp": exact_integer,
    "vibrate": integers,
}

WEBPUSH: dict[str, Read] = {
    "headers": text_map,
    "data": text_map,
    "notification": web_notification,
    "fcm_options": a_record({"link": text}),
}

ALERT: dict[str, Read] = {
    "title": text,
    "subtitle": text,
    "body": text,
    "loc-key": text,
    "loc-args": texts,
    "title-loc-key": text,
    "title-loc-args": texts,
    "subtitle-loc-key": text,
    "subtitle-loc-args": texts,
    "action-loc-key": text,
    "launch-image": text,
}
CRITICAL_SOUND: dict[str, Read] = {"critical": exact_integer, "name": text, "volume": exact_number}
APS: dict[str, Read] = {
    "alert": alert,
    "badge": exact_integer,
    "sound": sound,
    "content-available": exact_integer,
    "mutable-content": exact_integer,
    "category": text,
    "thread-id": text,
}
APNS: dict[str, Read] = {
    "headers": text_map,
    "payload": payload,
    "fcm_options": a_record({"analytics_label": text, "image": text}),
    "live_activity_token": text,
}
