"""
Webhooks: what became of pushes, told to whoever asked for it, until they answered that they heard.

Events are committed with the outcomes they tell of, and stay on the disk until the hook took them. A hook that is slow
or gone delays no push and no other hook.
"""

import asyncio
import heapq
import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson

from hushbell.core.delivery.backoff import Backoff
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
from hushbell.runtime.delivery.active_job import ActiveNotification
from hushbell.runtime.delivery.group_commit import GroupCommit
from hushbell.runtime.delivery.provider_queue import ProviderQueue
from hushbell.types import MILLIS_PER_DAY, Millis, Random

TIMEOUT = 10.0  # seconds a hook may take to answer
AT_ONCE = 8  # events told to one hook side by side
PAGE = 256  # events read from the disk at once
LIFE = MILLIS_PER_DAY  # milliseconds after which an event that nobody took is dropped
IDLE = 30.0  # seconds between looks at the disk

FEEDBACK = "feedback:"
"""What the name of a hook from the configuration begins with."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Masking:
    """What a hook in gorush's words is not told."""

    token: bool = True
    words: bool = False


class Webhooks:
    """Makes events of final states, and tells them."""

    def __init__(
        self,
        *,
        queue: Outbox,
        commits: GroupCommit,
        http: HttpClient,
        guard: SsrfGuard,
        clock: Clock,
        random: Random,
        feedback: Sequence[Webhook] = (),
        masking: Masking | None = None,
    ) -> None:
        self._queue = queue
        self._commits = commits
        self._http = http
        self._guard = guard
        self._clock = clock
        self._random = random
        self._feedback = {hook.name: hook for hook in feedback}
        self._masking = masking or Masking()
        self._backoff = Backoff()
        self._by_app: dict[str, tuple[Webhook, ...]] = {}
        self._by_name: dict[str, Webhook] = {}
        self._busy: dict[str, int] = {}  # hook → events under way
        self._held: set[int] = set()  # events under way, or told and not yet forgotten
        self._dues: list[Millis] = []  # when events are told again
        self._is_expecting = False  # events are on their way to the disk
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.told = 0
        self.failed = 0
        self.reload()

    def reload(self) -> None:
        """Read the hooks again after one was saved or dropped."""
        hooks = [*self._feedback.values(), *self._queue.hooks()]
        self._by_name = {hook.name: hook for hook in hooks}
        self._by_app = {}
        for hook in hooks:
            self._by_app[hook.app] = (*self._by_app.get(hook.app, ()), hook)

    def attach(self, lane: ProviderQueue) -> None:
        """Have a lane tell its final states if anybody wants to hear of them."""
        lane.final = partial(self.final, lane) if lane.app in self._by_app else None

    def final(self, lane: ProviderQueue, note: ActiveNotification, place: int, state: State, reason: str) -> None:
        """Make the events of one push that reached its final state."""
        for hook in self._by_app.get(lane.app, ()):
            if state.label in hook.events:
                now = self._clock.now()
                body = self._body(hook, lane.name, note, place, state=state, reason=reason, now=now)
                self._commits.tell(WebhookEvent(hook.name, orjson.dumps(body), now, due_at=now))
                if not self._is_expecting:
                    self._is_expecting = True
                    self._commits.after(self._expected)

    async def run(self) -> None:
        """Tell events until cancelled."""
        try:
            while True:
                self._wake.clear()
                try:
                    self._begin()
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

    def _expected(self) -> None:
        """Look at the disk, which holds new events now."""
        self._is_expecting = False
        self._wake.set()

    def _until_due(self) -> float:
        """Return the seconds until an event is told again, at most IDLE."""
        now = self._clock.now()
        while self._dues and self._dues[0] <= now:
            heapq.heappop(self._dues)
        return min(IDLE, (self._dues[0] - now) / 1000 + 0.001) if self._dues else IDLE

    def _begin(self) -> None:
        """Begin to tell what is due, a few to each hook."""
        after = 0
        now = self._clock.now()
        while page := self._queue.due_events(now, after, PAGE):
            for event in page:
                after = event.number
                if event.number not in self._held:
                    self._consider(event, now)
            if len(page) < PAGE:
                break

    def _consider(self, event: WebhookEvent, now: Millis) -> None:
        hook = self._by_name.get(event.hook)
        if hook is None or now - event.at > LIFE:
            self._forget(event)
        elif self._busy.get(hook.name, 0) < AT_ONCE:
            self._busy[hook.name] = self._busy.get(hook.name, 0) + 1
            self._held.add(event.number)
            task = asyncio.get_running_loop().create_task(self._tell(hook, event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell(self, hook: Webhook, event: WebhookEvent) -> None:
        try:
            if await self._post(hook, event):
                self.told += 1
                self._forget(event)
            else:
                self.failed += 1
                self._later(event)
        finally:
            self._busy[hook.name] -= 1
            self._wake.set()

    async def _post(self, hook: Webhook, event: WebhookEvent) -> bool:
        """Return whether the hook took it, or never will."""
        address = ""
        try:
            place = self._guard.parse(hook.url)
            if hook.name not in self._feedback:  # what the operator wrote down may lead anywhere
                address = (await self._guard.admit(place))[0]
        except AddressRefused as refused:
            if hook.name not in self._feedback:
                log.warning("a webhook of an app leads nowhere we go: %s", refused)
                return refused.is_final
        seconds = self._clock.now() // 1000
        headers = [("content-type", "application/json; charset=utf-8"), *hook.headers]
        if hook.secret:
            headers.append(("hushbell-signature", signature(hook.secret, seconds, event.body)))
        if hook.shape != "gorush":
            headers.append(("hushbell-event", str(event.number)))
        request = HttpRequest(hook.url, tuple(headers), event.body, TIMEOUT, address=address)
        answer = await fetch(self._http, request)
        return isinstance(answer, HttpResponse) and 200 <= answer.status < 300

    def _later(self, event: WebhookEvent) -> None:
        attempts = event.attempts + 1
        wait = self._backoff.delay(attempts, self._random(1)[0] / 256)
        due = Millis(self._clock.now() + int(wait * 1000))
        heapq.heappush(self._dues, due)
        self._commits.defer(replace(event, attempts=attempts, due_at=due))
        self._release(event)

    def _forget(self, event: WebhookEvent) -> None:
        self._commits.told(event.number)
        self._release(event)

    def _release(self, event: WebhookEvent) -> None:
        """Let go of an event when the disk knows what came of it."""
        self._held.add(event.number)
        self._commits.after(lambda: self._held.discard(event.number))

    def _body(
        self,
        hook: Webhook,
        provider: str,
        note: ActiveNotification,
        place: int,
        *,
        state: State,
        reason: str,
        now: Millis,
    ) -> dict[str, Any]:
        notification = note.notification
        token = notification.targets[place]
        if hook.shape == "gorush" and provider in PLATFORMS:
            return dict(
                responses.failed_push(
                    PLATFORMS[provider],
                    token,
                    notif_id=notification.reference,
                    words=words(provider, notification.message.body),
                    error=reason,
                    hide_token=self._masking.token,
                    hide_words=self._masking.words,
                )
            )
        told: dict[str, Any] = {
            "app": note.work.job.app,
            "notification": notification.ident.hex(),
            "push": push_id(notification.ident, place),
            "place": place,
            "provider": provider,
            "state": state.label,
            "reason": reason,
            "attempts": note.work.attempts[note.base + place],
            "at": now,
        }
        if notification.reference:
            told["id"] = notification.reference
        if hook.shape == "tokens":
            told["token"] = token
        return told


def signature(secret: bytes, seconds: int, body: bytes) -> str:
    """Return the header that proves who tells: ``t=UNIX,v1=HMAC-SHA256(secret, "t.body")`` in hex."""
    digest = hmac.digest(secret, b"%d." % seconds + body, "sha256").hex()
    return f"t={seconds},v1={digest}"


def words(provider: str, body: bytes) -> str:
    """Return the text that a person was to see, as far as the payload says it."""
    try:
        parsed = orjson.loads(body)
        said = parsed["aps"]["alert"] if provider == "apns" else parsed["notification"]
        text = said if isinstance(said, str) else said.get("body", "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return text if isinstance(text, str) else ""


def feedback(app: str, url: str, headers: Sequence[str]) -> Webhook:
    """Return the hook that gorush's ``feedback_hook_url`` is; headers as ``name:value``."""
    failed = (State.DEAD_TOKEN.label, State.FAILED.label, State.EXPIRED.label)
    pairs = tuple(
        (name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in headers) if value
    )
    return Webhook(FEEDBACK + app, app, url, b"", failed, "gorush", pairs)
