"""
Webhooks: final states of pushes, posted to the URLs that an app gave, until those answer with success.

Events are committed with the final states, and stay on the disk until they are delivered. A webhook that is slow or
gone delays no push and no other webhook.
"""

import asyncio
import heapq
import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from hushbell.core.delivery.backoff import Backoff
from hushbell.core.delivery.changes import Changes
from hushbell.core.delivery.notification import Notification
from hushbell.core.delivery.outcome import Outcome
from hushbell.core.delivery.push_ids import push_id
from hushbell.core.delivery.state import State
from hushbell.core.delivery.webhook import Webhook, WebhookEvent
from hushbell.core.gorush import responses
from hushbell.core.gorush.platform import PLATFORMS
from hushbell.errors import StoreError
from hushbell.http.client import fetch
from hushbell.http.ssrf import AddressRefused, SsrfGuard
from hushbell.ports.clock import Clock
from hushbell.ports.http import HttpClient, HttpRequest, HttpResponse
from hushbell.ports.outbox import Outbox
from hushbell.runtime.delivery.group_commit import GroupCommit
from hushbell.types import Millis, Random

TIMEOUT = 10.0  # seconds that a webhook may take to answer
MAX_CONCURRENT = 8  # events posted to one webhook side by side
PAGE = 256  # events read from the disk at once
MAX_AGE_MS = 86_400_000  # after which an event that could not be delivered is dropped
IDLE_INTERVAL = 30.0  # seconds between reads of due events when none is known
STORED_DELAY = 0.05  # seconds until what became of an event is committed

FEEDBACK = "feedback:"
"""What the name of a webhook from the configuration begins with."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GorushEventPrivacy:
    """What events in gorush's form leave out."""

    hides_token: bool = True
    hides_text: bool = False


class Webhooks:
    """Makes an event of each final state that a webhook subscribes to, and posts it."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        commits: GroupCommit,
        http: HttpClient,
        guard: SsrfGuard,
        clock: Clock,
        random: Random,
        feedback: Sequence[Webhook] = (),
        privacy: GorushEventPrivacy | None = None,
    ) -> None:
        self._outbox = outbox
        self._commits = commits
        self._http = http
        self._guard = guard
        self._clock = clock
        self._random = random
        self._feedback = {webhook.name: webhook for webhook in feedback}
        self._privacy = privacy or GorushEventPrivacy()
        self._backoff = Backoff()
        self._by_app: dict[str, tuple[Webhook, ...]] = {}
        self._by_name: dict[str, Webhook] = {}
        self._in_flight: dict[str, int] = {}  # events by the webhook's name
        self._held: set[int] = set()  # numbers of events in flight, or ended without the disk knowing it
        self._due: list[Millis] = []  # a heap: when events are posted again
        self._is_storing = False  # events are on their way to the disk
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.delivered = 0
        self.failed = 0
        self.on_webhooks_changed(())

    def on_webhooks_changed(self, webhooks: Sequence[Webhook]) -> None:
        """Use these webhooks, and those of the configuration, from now on."""
        webhooks = [*self._feedback.values(), *webhooks]
        self._by_name = {webhook.name: webhook for webhook in webhooks}
        self._by_app = {}
        for webhook in webhooks:
            self._by_app[webhook.app] = (*self._by_app.get(webhook.app, ()), webhook)

    def has_interest(self, app: str) -> bool:
        """Whether an app has a webhook."""
        return app in self._by_app

    def on_final(
        self, notification: Notification, index: int, state: State, outcome: Outcome, attempts: int
    ) -> Changes | None:
        """Return the events of one push that has its final state."""
        now = self._clock.now()
        events = []
        for webhook in self._by_app.get(notification.app, ()):
            if state.label in webhook.events:
                if webhook.shape == "gorush" and notification.message.provider in PLATFORMS:
                    body = self._gorush_body(notification, index, outcome.reason)
                else:
                    body = _body(notification, index, state, reason=outcome.reason, attempts=attempts, now=now)
                    if webhook.shape == "tokens":
                        body["token"] = notification.targets[index]
                events.append(WebhookEvent(webhook.name, orjson.dumps(body), now, due_at=now))
        if not events:
            return None
        if not self._is_storing:
            self._is_storing = True
            self._commits.call_when_stored(self._on_stored)
        return Changes(events=events)

    async def run(self) -> None:
        """Post events until cancelled."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self._send_due()
                except StoreError as error:
                    log.error("events cannot be read: %s", error)  # noqa: TRY400  the text names the cause
                waking = asyncio.ensure_future(self._wake.wait())
                sleeping = asyncio.ensure_future(self._clock.sleep(self._until_due()))
                await asyncio.wait([waking, sleeping], return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
                sleeping.cancel()
        finally:
            for task in self._tasks:
                task.cancel()

    def _on_stored(self) -> None:
        self._is_storing = False
        self._wake.set()

    def _until_due(self) -> float:
        """Return the seconds until an event is posted again, at most IDLE_INTERVAL."""
        now = self._clock.now()
        while self._due and self._due[0] <= now:
            heapq.heappop(self._due)
        return min(IDLE_INTERVAL, (self._due[0] - now) / 1000 + 0.001) if self._due else IDLE_INTERVAL

    async def _send_due(self) -> None:
        """Begin to post what is due, a few events to each webhook."""
        after = 0
        now = self._clock.now()
        while page := await self._outbox.due_events(now, after, PAGE):
            for event in page:
                after = event.number
                if event.number not in self._held:
                    self._begin(event, now)
            if len(page) < PAGE:
                break

    def _begin(self, event: WebhookEvent, now: Millis) -> None:
        webhook = self._by_name.get(event.webhook)
        if webhook is None or now - event.at > MAX_AGE_MS:
            self._drop(event)
        elif self._in_flight.get(webhook.name, 0) < MAX_CONCURRENT:
            self._in_flight[webhook.name] = self._in_flight.get(webhook.name, 0) + 1
            self._held.add(event.number)
            task = asyncio.get_running_loop().create_task(self._send(webhook, event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(self, webhook: Webhook, event: WebhookEvent) -> None:
        try:
            if await self._post(webhook, event):
                self.delivered += 1
                self._drop(event)
            else:
                self.failed += 1
                self._defer(event)
        finally:
            self._in_flight[webhook.name] -= 1
            self._wake.set()

    async def _post(self, webhook: Webhook, event: WebhookEvent) -> bool:
        """Return whether the webhook has the event, or can never get it."""
        address = ""
        try:
            origin = self._guard.parse(webhook.url)
            if webhook.name not in self._feedback:  # the operator's own settings may name any address
                address = (await self._guard.resolve(origin))[0]
        except AddressRefused as refused:
            if webhook.name not in self._feedback:
                log.warning("a webhook of an app names an address that is refused: %s", refused)
                return refused.is_final
        seconds = self._clock.now() // 1000
        headers = [("content-type", "application/json; charset=utf-8"), *webhook.headers]
        if webhook.secret:
            headers.append(("hushbell-signature", signature(webhook.secret, seconds, event.body)))
        if webhook.shape != "gorush":
            headers.append(("hushbell-event", str(event.number)))
        request = HttpRequest(webhook.url, tuple(headers), event.body, TIMEOUT, address=address)
        answer = await fetch(self._http, request)
        return isinstance(answer, HttpResponse) and 200 <= answer.status < 300

    def _defer(self, event: WebhookEvent) -> None:
        """Post an event again later."""
        attempts = event.attempts + 1
        wait = self._backoff.delay(attempts, self._random(1)[0] / 256)
        due = Millis(self._clock.now() + int(wait * 1000))
        heapq.heappush(self._due, due)
        self._release(event, Changes(deferred_events=[replace(event, attempts=attempts, due_at=due)]))

    def _drop(self, event: WebhookEvent) -> None:
        self._release(event, Changes(done_events=[event.number]))

    def _release(self, event: WebhookEvent, changes: Changes) -> None:
        """Commit what became of an event; it may be read from the disk only after that."""
        self._held.add(event.number)
        self._commits.add(changes, STORED_DELAY)
        self._commits.call_when_stored(lambda: self._held.discard(event.number))

    def _gorush_body(self, notification: Notification, index: int, reason: str) -> dict[str, Any]:
        provider = notification.message.provider
        return dict(
            responses.failed_push(
                PLATFORMS[provider],
                notification.targets[index],
                notif_id=notification.reference,
                words=visible_text(provider, notification.message.body),
                error=reason,
                hide_token=self._privacy.hides_token,
                hide_words=self._privacy.hides_text,
            )
        )


def _body(
    notification: Notification, index: int, state: State, *, reason: str, attempts: int, now: Millis
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "app": notification.app,
        "notification": notification.ident.hex(),
        "push": push_id(notification.ident, index),
        "place": index,
        "provider": notification.message.provider,
        "state": state.label,
        "reason": reason,
        "attempts": attempts,
        "at": now,
    }
    return body | ({"id": notification.reference} if notification.reference else {})


def signature(secret: bytes, seconds: int, body: bytes) -> str:
    """Return the header that proves who sends an event: ``t=UNIX,v1=HMAC-SHA256(secret, "t.body")`` in hex."""
    digest = hmac.digest(secret, b"%d." % seconds + body, "sha256").hex()
    return f"t={seconds},v1={digest}"


def visible_text(provider: str, body: bytes) -> str:
    """Return the text that is shown on the screen, as far as the payload holds it, else ""."""
    try:
        parsed = orjson.loads(body)
        content = parsed["aps"]["alert"] if provider == "apns" else parsed["notification"]
        text = content if isinstance(content, str) else content.get("body", "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return text if isinstance(text, str) else ""


def feedback_webhook(app: str, url: str, headers: Sequence[str]) -> Webhook:
    """Return the webhook that gorush's ``feedback_hook_url`` is; headers as ``name:value``."""
    failed = (State.DEAD_TOKEN.label, State.FAILED.label, State.EXPIRED.label)
    pairs = tuple(
        (name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in headers) if value
    )
    return Webhook(FEEDBACK + app, app, url, b"", failed, "gorush", pairs)
