"""Bodies of the /v1 API: every field is known, checked, and named when it is wrong."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from hushbell.api.http.problems import Problem
from hushbell.core.delivery.notification import Draft, Message
from hushbell.core.delivery.state import FIRST_FINAL, LABELS
from hushbell.core.gorush import android, huawei, ios
from hushbell.types import SECONDS_PER_DAY

MAX_TOKENS = 10_000  # in one notification
MAX_TOKEN = 4096  # characters
MAX_HEADERS = 32
MAX_TTL = 28 * SECONDS_PER_DAY  # seconds, the longest of any provider
MAX_RETRIES = 250
MAX_NAME = 128  # characters of a caller's own name for a notification
MAX_URL = 2048
EVENTS = LABELS[FIRST_FINAL:]
SHAPES = ("event", "tokens")

_RENDER: Mapping[str, Callable[[dict[str, Any]], Message | str]] = {
    "apns": ios.message,
    "fcm": android.message,
    "huawei": huawei.message,
}
# Our names of the fields that every platform has, and gorush's, which the payloads are made from.
_WORDS = {
    "title": "title",
    "body": "message",
    "image": "image",
    "data": "data",
    "badge": "badge",
    "sound": "sound",
    "category": "category",
    "thread": "thread-id",
    "priority": "priority",
    "collapse_key": "collapse_id",
}


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """The body of a request to make a webhook."""

    app: str | None
    url: str = field(repr=False)
    events: tuple[str, ...]
    shape: str


class Fields:
    """A JSON object whose fields are read one by one; unread ones are refused."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise Problem(422, "must be an object", field=path or "body")
        self._left = dict(value)
        self._path = path

    def path(self, name: str) -> str:
        """Return the path of a field."""
        return f"{self._path}.{name}" if self._path else name

    def wrong(self, name: str, rule: str) -> Problem:
        """Return the problem of a field."""
        return Problem(422, rule, field=self.path(name))

    def has(self, name: str) -> bool:
        """Whether a field is given."""
        return self._left.get(name) is not None

    def pop(self, name: str) -> Any:
        """Return a field, None if it is not given, and mark it as read."""
        return self._left.pop(name, None)

    def text(self, name: str, *, max_length: int, default: str | None = None) -> str:
        """Read a text of so many characters."""
        value = self.pop(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not 1 <= len(value) <= max_length or not _is_text(value):
            raise self.wrong(name, f"must be a text of 1 to {max_length} characters")
        return value

    def one_of(self, name: str, allowed: Sequence[str], *, default: str | None = None) -> str:
        """Read one of some words."""
        value = self.pop(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or value not in allowed:
            raise self.wrong(name, "must be one of " + ", ".join(allowed))
        return value

    def integer(self, name: str, *, maximum: int) -> int | None:
        """Read a whole number from 0."""
        value = self.pop(name)
        if value is None:
            return None
        if type(value) is not int or not 0 <= value <= maximum:
            raise self.wrong(name, f"must be a whole number from 0 to {maximum}")
        return value

    def texts(self, name: str, *, max_texts: int, max_length: int) -> tuple[str, ...]:
        """Read a list of texts."""
        value = self.pop(name)
        if not isinstance(value, list) or not 1 <= len(value) <= max_texts:
            raise self.wrong(name, f"must be a list of 1 to {max_texts} texts")
        for index, text in enumerate(value):
            if not isinstance(text, str) or not 1 <= len(text) <= max_length or not _is_text(text):
                raise self.wrong(f"{name}[{index}]", f"must be a text of 1 to {max_length} characters")
        return tuple(value)

    def end(self) -> None:
        """Refuse fields that were not read."""
        for name in self._left:
            shown = name if name.isascii() and name.isprintable() else "?"
            raise self.wrong(shown[:64], "is not known here")


def parse(body: bytes) -> Any:
    """Return the JSON of a body."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Problem(400, "the body must be JSON") from None


def send(value: Any, *, max_notifications: int) -> tuple[str | None, list[Draft]]:
    """Return the app that is named, if one is, and what to send."""
    fields = Fields(value, "")
    app = fields.text("app", max_length=64, default="") or None
    listed = fields.pop("notifications")
    if not isinstance(listed, list) or not 1 <= len(listed) <= max_notifications:
        raise fields.wrong("notifications", f"must be a list of 1 to {max_notifications} objects")
    fields.end()
    return app, [_draft(Fields(one, f"notifications[{index}]")) for index, one in enumerate(listed)]


def webhook(value: Any) -> NewWebhook:
    """Return the webhook to make."""
    fields = Fields(value, "")
    app = fields.text("app", max_length=64, default="") or None
    url = fields.text("url", max_length=MAX_URL)
    if not url.startswith(("https://", "http://")):
        raise fields.wrong("url", "must begin with https://")
    events = fields.texts("events", max_texts=len(EVENTS), max_length=64) if fields.has("events") else EVENTS[1:]
    fields.pop("events")
    for index, event in enumerate(events):
        if event not in EVENTS:
            raise fields.wrong(f"events[{index}]", "must be one of " + ", ".join(EVENTS))
    shape = fields.one_of("shape", SHAPES, default=SHAPES[0])
    fields.end()
    return NewWebhook(app, url, tuple(dict.fromkeys(events)), shape)


def _draft(fields: Fields) -> Draft:
    provider = fields.text("provider", max_length=64)
    kind, targets = _target(fields)
    route = fields.text("route", max_length=64, default="")
    headers = _headers(fields)
    lifetime = fields.integer("ttl", maximum=MAX_TTL)
    draft = Draft(
        target_kind=kind,
        targets=targets,
        message=_message(fields, provider, route, headers),
        reference=fields.text("id", max_length=MAX_NAME, default=""),
        retries=fields.integer("retries", maximum=MAX_RETRIES),
        lifetime=lifetime,
    )
    fields.end()
    return draft


def _target(fields: Fields) -> tuple[str, tuple[str, ...]]:
    given = [name for name in ("tokens", "topic", "condition") if fields.has(name)]
    if len(given) != 1:
        raise fields.wrong("tokens", "give exactly one of tokens, topic and condition")
    for name in ("tokens", "topic", "condition"):
        if name != given[0]:
            fields.pop(name)
    if given[0] == "tokens":
        return "token", fields.texts("tokens", max_texts=MAX_TOKENS, max_length=MAX_TOKEN)
    return given[0], (fields.text(given[0], max_length=MAX_TOKEN),)


def _headers(fields: Fields) -> tuple[tuple[str, str], ...]:
    value = fields.pop("headers")
    if value is None:
        return ()
    if not isinstance(value, dict) or len(value) > MAX_HEADERS:
        raise fields.wrong("headers", f"must be an object of at most {MAX_HEADERS} texts")
    for name, text in value.items():
        if not isinstance(text, str) or not _fits_a_header(name, letters=True) or not _fits_a_header(text):
            shown = name[:64] if name.isascii() and name.isprintable() else "?"
            raise fields.wrong(f"headers.{shown}", "must be a text of visible ASCII characters and spaces")
    return tuple((name.lower(), text) for name, text in value.items())


def _message(fields: Fields, provider: str, route: str, headers: tuple[tuple[str, str], ...]) -> Message:
    """Return the message, from the one of four fields that is given."""
    given = [name for name in ("message", "payload", "text", "binary") if fields.has(name)]
    if len(given) != 1:
        raise fields.wrong("payload", "give exactly one of message, payload, text and binary")
    for name in ("message", "payload", "text", "binary"):
        if name != given[0]:
            fields.pop(name)
    if given[0] == "message":
        return _rendered(fields, provider, route, headers)
    value = fields.pop(given[0])
    if given[0] == "payload":
        if not isinstance(value, dict):
            raise fields.wrong("payload", "must be an object, as the provider documents it")
        body = orjson.dumps(value)
    elif not isinstance(value, str):
        raise fields.wrong(given[0], "must be a text")
    elif given[0] == "text":
        body = value.encode()
    else:
        try:
            body = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise fields.wrong("binary", "must be base64") from None
    return Message(provider=provider, route=route, headers=headers, body=body)


def _rendered(fields: Fields, provider: str, route: str, headers: tuple[tuple[str, str], ...]) -> Message:
    """Return the payload of a message whose fields every platform has."""
    given = Fields(fields.pop("message"), fields.path("message"))
    words: dict[str, Any] = {}
    for ours, theirs in _WORDS.items():
        if not given.has(ours):
            given.pop(ours)
        elif ours == "data":
            words[theirs] = given.pop(ours)
            if not isinstance(words[theirs], dict):
                raise given.wrong(ours, "must be an object")
        elif ours == "badge":
            words[theirs] = given.integer(ours, maximum=2**31 - 1)
        elif ours == "priority":
            words[theirs] = given.one_of(ours, ("normal", "high"))
        else:
            words[theirs] = given.text(ours, max_length=4096)
    given.end()
    if provider not in _RENDER:
        # Browsers and others get the fields as they are: the app's own code shows them.
        body = orjson.dumps({ours: words[theirs] for ours, theirs in _WORDS.items() if theirs in words})
        return Message(provider=provider, route=route, headers=headers, body=body)
    if provider == "fcm" and "collapse_id" in words:
        words["android"] = {"collapse_key": words.pop("collapse_id")}
    made = _RENDER[provider](words)
    if isinstance(made, str):
        raise fields.wrong("message", made)
    own = {name for name, _ in headers}
    merged = (*(pair for pair in made.headers if pair[0] not in own), *headers)
    return Message(provider=provider, route=route or made.route, headers=merged, body=made.body)


def _is_text(value: str) -> bool:
    return value.isprintable() or all(one.isprintable() or one in "\n\t" for one in value)


def _fits_a_header(value: str, *, letters: bool = False) -> bool:
    if letters:
        return 1 <= len(value) <= 128 and value.isascii() and value.replace("-", "").isalnum()
    return len(value) <= 4096 and all(" " <= one <= "~" for one in value)
