"""A gorush, or a hushbell gateway, elsewhere: it gets what a caller would post there."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

import orjson

from hushbell.config.providers import GorushApp, HushbellApp
from hushbell.config.rules import is_private
from hushbell.core.delivery import push_ids
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Verdict
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import submit_request
from hushbell.ports.http import HttpFailure, HttpRequest, HttpResponse
from hushbell.ports.provider import Attempt, Done, ProviderContext
from hushbell.providers import checks, files
from hushbell.providers.batches import batches, supported
from hushbell.providers.credentials import ReloadableCredential
from hushbell.providers.gorush.adapter import logged_outcomes, outcome
from hushbell.providers.responses import MAX_WAIT, error_code, failure, json_object
from hushbell.types import Millis

MAX_BODY = 64 * 1024  # bytes of one notification
JSON = ("content-type", "application/json")
WITH_TARGET = b'{"tokens":['  # how a body begins that names its target itself; API clients may not send one
_TOKENS_END = b'],"platform":'
_INSTALLATIONS = b',"installation_ids":['  # the last member of "data" in the shape of spec 16
_INSTALLATIONS_END = b"]}}"

Push = tuple[Notification, int, Done]
"""A notification, the index of a target, and who gets the outcome."""


class GorushProvider:
    """
    One notification for each token, many in one request, so that what the other says of each can be told apart.

    A 200 is all that gorush ever says about most pushes: it holds them in memory. The body of a message is one
    notification of gorush's API without its targets.
    """

    name: ClassVar[str] = "gorush"
    credential_expires_at: Millis | None = None  # a bearer token has no end that it tells

    def __init__(self, settings: GorushApp | HushbellApp, context: ProviderContext) -> None:
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
        self._gathered: list[Push] = []

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
        """Send pushes, many in one request; those whose bodies name their targets with all others of this turn."""
        for attempt in supported(attempts, ("token", "topic", "condition")):
            notification, _, done = attempt
            if notification.message.body.startswith(WITH_TARGET):
                self._gather([(notification, index, done) for index in attempt.indexes])
                continue
            for batch in batches(attempt, self._settings.batch):
                self._send([(notification, index, done) for index in batch.indexes])

    def reload(self) -> None:
        """Read the key again."""
        self._key.reload()

    async def close(self) -> None:
        """Let go of connections. Attempts under way end with UNKNOWN."""
        self._flush()
        await self._http.close()

    def _gather(self, pushes: Sequence[Push]) -> None:
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._flush)
        self._gathered += pushes

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        for start in range(0, len(gathered), self._settings.batch):
            self._send(gathered[start : start + self._settings.batch])

    def _send(self, pushes: Sequence[Push]) -> None:
        names = [push_ids.push_id(notification.ident, index) for notification, index, _ in pushes]
        if pushes[0][0].message.body.startswith(WITH_TARGET):
            items = joined([notification.message.body for notification, _, _ in pushes])
        else:
            items = [
                self._item(notification, index, name)
                for (notification, index, _), name in zip(pushes, names, strict=True)
            ]
        body = b'{"notifications":[' + b",".join(items) + b"]}"
        request = HttpRequest(self._url, (JSON, *self._headers(names)), body, self._settings.timeout)
        submit_request(self._http, request, self, (pushes, names))

    @staticmethod
    def _item(notification: Notification, index: int, name: str) -> bytes:
        target: dict[str, Any] = {"tokens": [notification.targets[index]]}
        if notification.target_kind != "token":
            target = {notification.target_kind: notification.targets[index]}
        rest = notification.message.body[1:-1].strip()
        comma = b"," if rest else b""
        return orjson.dumps(target | {"notif_id": name})[:-1] + comma + rest + b"}"

    def _headers(self, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
        del names
        return (("authorization", "Bearer " + self._key.current),) if self._key.current else ()

    def on_response(self, key: tuple[Sequence[Push], Sequence[str]], result: HttpResponse | HttpFailure) -> None:
        """Report the outcomes of one request, or send each notification alone."""
        pushes, names = key
        if isinstance(result, HttpResponse) and result.status in (400, 413) and len(pushes) > 1:
            # Refused as a whole: one bad notification must not take the others with it.
            for push in pushes:
                self._send([push])
            return
        whole = failure(result) if isinstance(result, HttpFailure) else outcome(result)
        logged = self._logged(result.body) if whole is ACCEPTED and isinstance(result, HttpResponse) else {}
        for (_, index, done), name in zip(pushes, names, strict=True):
            done(index, logged.get(name, whole))

    def _logged(self, body: bytes) -> dict[str, Outcome]:
        return logged_outcomes(body)

    def _load(self) -> str:
        path = self._settings.key_file
        return files.read_line(path, f"{self.name}.key_file") if path else ""


class HushbellProvider(GorushProvider):
    """The same to a hushbell gateway: requests that are repeated count once, and its logs say what is dead."""

    name: ClassVar[str] = "hushbell"

    def _headers(self, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
        key = hashlib.sha256("\n".join(names).encode()).hexdigest()
        return (*super()._headers(names), ("idempotency-key", key))

    def _logged(self, body: bytes) -> dict[str, Outcome]:
        logs = json_object(body).get("logs")
        if not isinstance(logs, list):
            return {}
        told = {log["notif_id"]: own_outcome(log) for log in logs if isinstance(log, dict) and _names(log)}
        return super()._logged(body) | {name: result for name, result in told.items() if result is not None}


def joined(items: Sequence[bytes]) -> Sequence[bytes]:
    """Return the items; those in the shape of spec 16 that differ by token and installation alone become one."""
    alike: dict[bytes, tuple[list[bytes], list[bytes]]] = {}
    for item in items:
        start, is_spec, rest = item.removesuffix(_INSTALLATIONS_END).rpartition(_INSTALLATIONS)
        if not is_spec or not item.endswith(_INSTALLATIONS_END):
            return items
        token, _, same = start.removeprefix(WITH_TARGET).partition(_TOKENS_END)
        tokens, installations = alike.setdefault(same, ([], []))
        tokens.append(token)
        installations.append(rest)
    return [
        WITH_TARGET + b",".join(tokens) + _TOKENS_END + same + _INSTALLATIONS + b",".join(names) + _INSTALLATIONS_END
        for same, (tokens, names) in alike.items()
    ]


def own_outcome(log: dict[str, Any]) -> Outcome | None:
    """Return what a line of a hushbell gateway's log means, or None if it says no more than gorush's would."""
    code = error_code(log.get("code"))
    if not code:
        return None
    if log.get("token_dead") is True:
        since = log.get("timestamp")
        return Outcome(Verdict.DEAD_TOKEN, code, since=Millis(since) if type(since) is int and since >= 0 else None)
    if log.get("retryable") is True:
        after = log.get("retry_after")
        is_wait = isinstance(after, int | float) and 0 <= after <= MAX_WAIT
        return Outcome(Verdict.RETRY, code, after=float(after or 0) if is_wait else None)
    if log.get("retryable") is False:
        return Outcome(Verdict.INVALID, code)
    return None


def _names(log: dict[str, Any]) -> bool:
    return isinstance(log.get("notif_id"), str) and log.get("type") == "failed-push"
