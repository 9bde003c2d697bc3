"""A gorush, or a hushbell gateway, elsewhere: it gets what a caller would post there."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import orjson

from hushbell.config.gateway import Shape
from hushbell.config.rules import is_private
from hushbell.core.delivery.notification import Message
from hushbell.core.delivery.outcome import ACCEPTED, Outcome
from hushbell.core.delivery.push_ids import push_id
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import submit_request
from hushbell.ports.http import HttpFailure, HttpRequest, HttpResponse
from hushbell.ports.provider import Attempt, Done, ProviderContext
from hushbell.providers import checks, files
from hushbell.providers.batches import supported
from hushbell.providers.credentials import ReloadableCredential
from hushbell.providers.gorush.outcome import logged_outcomes, outcome
from hushbell.providers.gorush.settings import GorushSettings
from hushbell.providers.responses import failure
from hushbell.types import Millis

MAX_BODY = 64 * 1024  # bytes of one notification
MAX_TOKENS = 500  # of one notification, Google's limit
JSON = ("content-type", "application/json")

# The push server renders whole notifications, targets included. Bodies of callers never name targets (``check``).
_WHOLE = b'{"tokens":['
_PLATFORM = b'],"platform":'
_INSTALLATIONS = b'"installation_ids":['


class Item(NamedTuple):
    """One notification of a request, and the pushes it stands for."""

    json: bytes
    name: str  # notif_id
    pushes: Sequence[tuple[Done, int]]

    def report(self, result: Outcome) -> None:
        """Report the outcome of every push."""
        for done, index in self.pushes:
            done(index, result)


class GorushProvider:
    """
    One notification for each token, many in one request, so that each failure in the response names its token.

    A 200 is all that gorush says about most pushes: it holds them in memory. The body of a message is one notification
    of gorush's API: without its targets from callers of an API, whole from the push server.
    """

    name: ClassVar[str] = "gorush"
    credential_expires_at: Millis | None = None  # a bearer token does not say

    def __init__(self, settings: GorushSettings, context: ProviderContext) -> None:
        """
        Read the key, if there is one; no connection is made.

        Raises:
            ConfigError: the key cannot be read, or the address would show tokens on the way.
        """
        if not is_private(settings.url):
            raise ConfigError(f"{self.name}.url: must begin with https://, or with http:// and a loopback address")
        self._settings = settings
        self._url = settings.url.rstrip("/") + "/api/push"
        self._http = context.open_http(settings.http)
        self._key = ReloadableCredential(self._load)
        self._gathered: list[Item] = []
        self._timer: asyncio.Handle | None = None

    def check(self, message: Message) -> None:
        """Raise CallerError for what is no notification."""
        checks.headers(message, ())
        body = checks.json_body(message, MAX_BODY)
        for target in ("tokens", "to", "notif_id"):
            if target in body:
                raise CallerError(f"body.{target}", "is set for each push, not in the message")
        if body.get("platform") not in (1, 2, 3):
            raise CallerError("body.platform", "must be 1, 2 or 3")

    def send(self, attempts: Sequence[Attempt]) -> None:
        """Send pushes, many in one request."""
        items: list[Item] = []
        whole: list[Item] = []
        for attempt in supported(attempts, ("token", "topic", "condition")):
            is_whole = attempt.notification.message.body.startswith(_WHOLE)
            (whole if is_whole else items).extend(_items(attempt, is_whole=is_whole))
        self._send(items)
        if whole:
            self._gather(whole)

    def reload(self) -> None:
        """Read the key again."""
        self._key.reload()

    async def close(self) -> None:
        """Close all connections. Pushes under way end with UNKNOWN."""
        self._send_gathered()
        await self._http.close()

    def _gather(self, items: Sequence[Item]) -> None:
        """Send items with all others of this turn of the event loop, or of the time set for the shape "own"."""
        self._gathered += items
        seconds = self._settings.gather if self._settings.shape is Shape.OWN else 0.0
        if seconds and len(self._gathered) >= self._settings.batch:
            self._send_gathered()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = (
                loop.call_later(seconds, self._send_gathered) if seconds else loop.call_soon(self._send_gathered)
            )

    def _send_gathered(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        items, self._gathered = self._gathered, []
        self._send(_merged(items))

    def _send(self, items: Sequence[Item]) -> None:
        size = self._settings.batch
        for start in range(0, len(items), size):
            batch = items[start : start + size]
            body = b'{"notifications":[' + b",".join([item.json for item in batch]) + b"]}"
            headers = (JSON, *self._headers([item.name for item in batch]))
            submit_request(self._http, HttpRequest(self._url, headers, body, self._settings.timeout), self, batch)

    def _headers(self, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Return the headers of a request for these notifications, beside its content type."""
        del names
        return (("authorization", "Bearer " + self._key.current),) if self._key.current else ()

    def on_response(self, batch: Sequence[Item], result: HttpResponse | HttpFailure) -> None:
        """Report the outcomes of one request, or send each notification alone."""
        if isinstance(result, HttpResponse) and result.status in (400, 413) and len(batch) > 1:
            # Refused as a whole: one bad notification must not take the others with it.
            for item in batch:
                self._send([item])
            return
        common = failure(result) if isinstance(result, HttpFailure) else outcome(result)
        logged = self._logged(result.body) if isinstance(result, HttpResponse) and common is ACCEPTED else {}
        for item in batch:
            item.report(logged.get(item.name, common))

    def _logged(self, body: bytes) -> dict[str, Outcome]:
        """Return the outcomes that a response has for single notifications, by their ``notif_id``."""
        return logged_outcomes(body)

    def _load(self) -> str:
        path = self._settings.key_file
        return files.read_line(path, f"{self.name}.key_file") if path else ""


def _items(attempt: Attempt, *, is_whole: bool) -> Iterator[Item]:
    """Yield a notification for each push."""
    notification, indexes, done = attempt
    body = notification.message.body
    rest = body[1:-1].strip()
    for index in indexes:
        name = push_id(notification.ident, index)
        json = body
        if not is_whole:
            target: dict[str, Any] = {"tokens": [notification.targets[index]]}
            if notification.target_kind != "token":
                target = {notification.target_kind: notification.targets[index]}
            json = orjson.dumps(target | {"notif_id": name})[:-1] + (b"," if rest else b"") + rest + b"}"
        yield Item(json, name, ((done, index),))


def _merged(items: Sequence[Item]) -> list[Item]:
    """
    Return the items, those in the shape of spec 16 with the tokens that get the same text and data side by side.

    Such an item has one token first and one installation id last. No separator can occur within a JSON string, whose
    quotation marks are escaped.
    """
    merged: list[Item] = []
    groups: dict[bytes, list[tuple[bytes, bytes, Item]]] = {}
    for item in items:
        if _INSTALLATIONS not in item.json:
            merged.append(item)
            continue
        token, _, rest = item.json.removeprefix(_WHOLE).partition(_PLATFORM)
        shared, _, installation = rest.rpartition(_INSTALLATIONS)
        groups.setdefault(shared, []).append((token, installation.removesuffix(b"]}}"), item))
    for shared, members in groups.items():
        for start in range(0, len(members), MAX_TOKENS):
            part = members[start : start + MAX_TOKENS]
            tokens = b",".join([token for token, _, _ in part])
            installations = b",".join([installation for _, installation, _ in part])
            json = _WHOLE + tokens + _PLATFORM + shared + _INSTALLATIONS + installations + b"]}}"
            merged.append(Item(json, part[0][2].name, [push for *_, item in part for push in item.pushes]))
    return merged
