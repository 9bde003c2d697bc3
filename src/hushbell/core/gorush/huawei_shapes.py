"""The notification of a Huawei message as gorush hands it on (reference/gateway.md 1.13)."""

from typing import Any

from hushbell.core.gorush.fields import Read, a_record, boolean, exact_integer, integer, objects, record, text, texts

COLOUR: dict[str, Read] = dict.fromkeys(("alpha", "red", "green", "blue"), exact_integer)


def colour(value: Any) -> Any:
    """Read a colour; shares that are not given are 0."""
    return dict.fromkeys(COLOUR, 0) | record(COLOUR, value)


def lights(value: Any) -> Any:
    """Read light settings; their colour is always written."""
    return {"color": None} | record(LIGHTS, value)


def click_action(value: Any) -> Any:
    """Read what a tap does; its type is always written."""
    return {"type": 0} | record(CLICK_ACTION, value)


LIGHTS: dict[str, Read] = {"color": colour, "light_on_duration": text, "light_off_duration": text}
CLICK_ACTION: dict[str, Read] = {
    "type": exact_integer,
    "intent": text,
    "action": text,
    "url": text,
    "rich_resource": text,
}
NOTIFICATION: dict[str, Read] = {
    "title": text,
    "body": text,
    "icon": text,
    "color": text,
    "sound": text,
    "default_sound": boolean,
    "tag": text,
    "click_action": click_action,
    "body_loc_key": text,
    "body_loc_args": texts,
    "title_loc_key": text,
    "title_loc_args": texts,
    "multi_lang_key": objects,
    "channel_id": text,
    "notify_summary": text,
    "image": text,
    "style": integer,
    "big_title": text,
    "big_body": text,
    "auto_clear": integer,
    "notify_id": integer,
    "group": text,
    "badge": a_record({"add_num": integer, "set_num": integer, "class": text}),
    "ticker": text,
    "auto_cancel": boolean,
    "importance": text,
    "use_default_vibrate": boolean,
    "use_default_light": boolean,
    "vibrate_config": texts,
    "visibility": text,
    "light_settings": lights,
    "foreground_show": boolean,
}
