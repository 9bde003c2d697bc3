"""A notification of gorush's for FCM (reference/gateway.md 1.13): the message without its target, or why not."""

import re
from typing import Any

import orjson

from hushbell.core.delivery.notification import Message
from hushbell.core.gorush.platform import Fields

TOPIC = re.compile(r"(?:/topics/)?[a-zA-Z0-9\-_.~%]{1,900}", re.ASCII)
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}", re.ASCII)
_ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.\-]*:|/)[^\x00-\x20\x7f]*", re.ASCII)

Block = dict[str, Any]


class Unsendable(Exception):
    """Google's SDK would refuse the message before sending it; says why."""


def message(fields: Fields) -> Message | str:
    """Return the message, or why there can be none."""
    try:
        return Message(provider="fcm", body=orjson.dumps(_message(fields)))
    except Unsendable as why:
        return str(why)


def lifetime(fields: Fields) -> float | None:
    """Return the seconds that the caller allows, or None."""
    given = fields.get("android", {}).get("ttl")
    return None if given is None else max(0.0, float(given.rstrip("s")))


def _message(fields: Fields) -> Block:
    notification = _notification(fields)
    apns = _apns(fields, shown=notification is not None)
    android = fields.get("android")
    sound = fields.get("sound")
    if isinstance(sound, str):
        apns = _with_sound(apns, sound)
        if android is None:
            android = {"notification": {"sound": sound} if sound else {}}
    if "priority" in fields:
        android = {"priority": fields["priority"], **(android or {})}
    blocks = {
        "data": _strings(fields.get("data", {})) or None,
        "notification": notification,
        "android": android,
        "webpush": fields.get("webpush"),
        "apns": apns,
        "fcm_options": fields.get("fcm_options"),
    }
    made = {name: block for name, block in blocks.items() if block is not None}
    _check(made)
    return made


def _notification(fields: Fields) -> Block | None:
    """Return the notification with the common words over it; without either the message is data only."""
    common = {"title": "title", "body": "message", "image": "image"}
    given = {name: fields[field] for name, field in common.items() if field in fields}
    block: Block | None = fields.get("notification")
    return {**(block or {}), **given} if given else block


def _apns(fields: Fields, *, shown: bool) -> Block | None:
    """A silent or mutable push replaces the caller's own block, as gorush does."""
    if "content_available" in fields:
        aps = {"content-available": 1}
        data = fields.get("data", {})
        if "content-available" in data:
            raise Unsendable("content-available is given twice, as a field and in data")
        return {"headers": {"apns-priority": "5"}, "payload": {"aps": {**data, **aps}}}
    if "mutable_content" in fields and shown and fields.keys() & {"title", "message", "image"}:
        return {"payload": {"aps": {"mutable-content": 1}}}
    return fields.get("apns")


def _with_sound(apns: Block | None, sound: str) -> Block:
    block = dict(apns or {})
    payload = dict(block.get("payload") or {})
    aps = dict(payload.get("aps") or {})
    if isinstance(aps.get("sound"), dict):
        raise Unsendable("sound is given twice, by name and as a critical sound")
    if sound:
        aps["sound"] = sound
    return {**block, "payload": {**payload, "aps": aps}}


def _strings(data: Block) -> dict[str, str]:
    """FCM's data holds strings; everything else is handed on as JSON."""
    return {key: value if isinstance(value, str) else orjson.dumps(value).decode() for key, value in data.items()}


def _check(message: Block) -> None:
    android = message.get("android", {})
    if android.get("ttl", "").startswith("-"):
        raise Unsendable("android.ttl must not be negative")
    if android.get("priority", "normal") not in ("normal", "high"):
        raise Unsendable("priority must be normal or high")
    _check_image(message.get("notification", {}), "notification.image")
    _check_android(android.get("notification", {}))
    _check_webpush(message.get("webpush", {}))
    _check_apns(message.get("apns", {}))


def _check_android(block: Block) -> None:
    if "color" in block and not _COLOUR.fullmatch(block["color"]):
        raise Unsendable("android.notification.color must be #RRGGBB")
    _check_arguments(block, "title_loc_args", "title_loc_key")
    _check_arguments(block, "body_loc_args", "body_loc_key")
    _check_image(block, "android.notification.image")
    lights = block.get("light_settings", {})
    times = [*block.get("vibrate_timings", []), *(lights[key] for key in lights if key != "color")]
    if any(one.startswith("-") for one in times):
        raise Unsendable("timings of android.notification must not be negative")


def _check_webpush(block: Block) -> None:
    if "notification" not in block:
        return
    if (block["notification"].get("dir") or "auto") not in ("ltr", "rtl", "auto"):
        raise Unsendable("webpush.notification.dir must be ltr, rtl or auto")
    if "fcm_options" in block and not block["fcm_options"].get("link", "").startswith("https:"):
        raise Unsendable("webpush.fcm_options.link must be an https address")


def _check_apns(block: Block) -> None:
    _check_image(block.get("fcm_options", {}), "apns.fcm_options.image")
    aps = (block.get("payload") or {}).get("aps") or {}
    sound, alert = aps.get("sound"), aps.get("alert")
    if isinstance(sound, dict) and not 0 <= sound.get("volume", 0) <= 1:
        raise Unsendable("the volume of a critical sound must be between 0 and 1")
    if isinstance(alert, dict):
        _check_arguments(alert, "title-loc-args", "title-loc-key")
        _check_arguments(alert, "subtitle-loc-args", "subtitle-loc-key")
        _check_arguments(alert, "loc-args", "loc-key")


def _check_arguments(block: Block, arguments: str, key: str) -> None:
    if arguments in block and key not in block:
        raise Unsendable(f"{arguments} need {key}")


def _check_image(block: Block, name: str) -> None:
    if "image" in block and not _ADDRESS.fullmatch(block["image"]):
        raise Unsendable(f"{name} must be an address")
