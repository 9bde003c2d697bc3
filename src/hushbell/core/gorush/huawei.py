"""A notification of gorush's for Huawei (reference/gateway.md 1.13): the message without its target, or why not."""

import re
from typing import Any

import orjson

from hushbell.core.delivery.notification import Message
from hushbell.core.gorush.platform import Fields

DEFAULT_TTL = "86400s"
_DEFAULT_CLICK = {"type": 1, "action": "Action"}
_DEFAULT = {
    "default_sound": True,
    "click_action": _DEFAULT_CLICK,
    "auto_cancel": True,
    "importance": "NORMAL",
    "use_default_vibrate": True,
    "use_default_light": True,
    "visibility": "PRIVATE",
    "foreground_show": True,
}
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?[sS]?", re.ASCII)
_CLICKS = {1: ("intent", "action"), 2: ("url",), 3: (), 4: ("rich_resource",)}
_VISIBILITIES = ("VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET")
_VIBRATIONS = 10

Block = dict[str, Any]


def message(fields: Fields) -> Message | str:
    """Return the message, or why there can be none."""
    android: Block = {"urgency": "HIGH" if fields.get("priority") == "high" else "NORMAL"}
    android["ttl"] = fields.get("huawei_ttl", DEFAULT_TTL)
    names = {
        "collapse_key": "huawei_collapse_key",
        "category": "category",
        "bi_tag": "bi_tag",
        "fast_app_target": "fast_app_target",
    }
    android.update({name: fields[field] for name, field in names.items() if field in fields})
    notification = _notification(fields)
    why = _wrong(android, notification)
    if why:
        return why
    if notification is not None:
        android["notification"] = notification
    data = {"data": fields["huawei_data"]} if "huawei_data" in fields else {}
    return Message(provider="huawei", body=orjson.dumps({**data, "android": android}))


def lifetime(fields: Fields) -> float | None:
    """Return the seconds that the caller allows, or None."""
    given = fields.get("huawei_ttl", "")
    return float(given.rstrip("sS")) if _SECONDS.fullmatch(given) else None


def _notification(fields: Fields) -> Block | None:
    """Return the caller's notification with the common words over it, or the default one with them."""
    given: Block | None = fields.get("huawei_notification")
    common = {"body": "message", "title": "title", "image": "image"}
    words = {name: fields[field] for name, field in common.items() if field in fields}
    sound = fields.get("sound")
    if isinstance(sound, str) and sound:
        words["sound"] = sound
    if given is None and not words:
        return None
    made = _completed(given) if given is not None else dict(_DEFAULT)
    made.update(words)
    if "sound" not in words:
        made["default_sound"] = True
    return made


def _completed(given: Block) -> Block:
    return {
        "click_action": _DEFAULT_CLICK,
        "visibility": "PRIVATE",
        "foreground_show": False,
        **given,
    }


def _wrong(android: Block, notification: Block | None) -> str:
    """Return which rule of Huawei's a message breaks, or ""."""
    if not -1 <= android.get("collapse_key", 0) <= 100:
        return "huawei_collapse_key must be between -1 and 100"
    if not _SECONDS.fullmatch(android["ttl"]):
        return "huawei_ttl must be seconds, such as 86400s"
    if android.get("fast_app_target", 1) not in (1, 2):
        return "fast_app_target must be 1 or 2"
    return "" if notification is None else _wrong_notification(notification)


def _wrong_notification(block: Block) -> str:
    rules = {
        "style 1 needs big_title and big_body": block.get("style") != 1 or {"big_title", "big_body"} <= block.keys(),
        "importance must be HIGH, NORMAL or LOW": block.get("importance", "LOW") in ("HIGH", "NORMAL", "LOW"),
        "vibrate_config holds at most 10 times": len(block.get("vibrate_config", ())) <= _VIBRATIONS,
        "vibrate_config holds seconds": all(_SECONDS.search(one) for one in block.get("vibrate_config", ())),
        "visibility must be PRIVATE, PUBLIC or SECRET": block["visibility"] in _VISIBILITIES,
        "color must be #RRGGBB": "color" not in block or _COLOUR.fullmatch(block["color"]),
        "light_settings are incomplete": _lights_fit(block.get("light_settings")),
        "click_action lacks what its type needs": _click_fits(block["click_action"]),
    }
    return next((f"huawei_notification: {rule}" for rule, kept in rules.items() if not kept), "")


def _lights_fit(lights: Block | None) -> bool:
    if lights is None:
        return True
    times = (lights.get("light_on_duration", ""), lights.get("light_off_duration", ""))
    return lights["color"] is not None and all(_SECONDS.search(one) for one in times)


def _click_fits(action: Block) -> bool:
    needed = _CLICKS.get(action["type"])
    return needed is not None and (not needed or any(name in action for name in needed))
