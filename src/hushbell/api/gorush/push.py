"""``POST /api/push`` as gorush answers it (reference/gateway.md 1.1 to 1.3), from an outbox that survives restarts."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from hushbell.api.http.auth import ApiClient, ApiKeys, Forbidden, Unauthorized
from hushbell.api.http.head_cache import RequestHead
from hushbell.api.http.types import APP_HEADER, Headers, Respond
from hushbell.config.gateway import GatewaySettings
from hushbell.core.delivery.notification import Draft
from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.core.delivery.submission import FailedPush, Submission
from hushbell.core.gorush import drafts, request, responses
from hushbell.core.gorush.platform import PLATFORMS, PROVIDERS, Fields, Platform, Refusal
from hushbell.errors import CallerError, Overloaded, StoreError, Undecodable
from hushbell.ports.clock import Clock
from hushbell.ports.delivery import Delivery

FULL = "max capacity reached"  # gorush's words

# What Google says beside the code that our outcomes keep; gorush's callers look for these sentences.
GOOGLES_WORDS = {
    "UNREGISTERED": "Requested entity was not found.",
    "INVALID_ARGUMENT": "The registration token is not a valid FCM registration token",
    "SENDER_ID_MISMATCH": "SenderId mismatch",
    "QUOTA_EXCEEDED": "Quota exceeded for quota metric",
    "UNAVAILABLE": "The service is currently unavailable.",
    "INTERNAL": "Internal error encountered.",
}

LogEntry = dict[str, object]


class GorushRequest:
    """One request, and what its answer waits for: a submission for each app."""

    __slots__ = (
        *("counts", "drafts", "drafts_by_app", "error", "failures", "refusals", "respond", "submissions", "texts"),
        "to_submit",
    )

    def __init__(self) -> None:
        self.counts = 0  # what gorush counts
        self.drafts: list[Draft] = []
        self.drafts_by_app: dict[str, list[Draft]] = {}
        # What log entries repeat, by the identity of a draft's message. The parsed JSON would keep three containers
        # of each notification alive until it is answered, and the garbage collector visits them all.
        self.texts: dict[int, str] = {}
        self.refusals: list[Refusal] = []
        self.respond: Respond | None = None
        self.to_submit = 0  # submissions that are not done
        self.submissions: list[Submission] = []
        self.failures: list[FailedPush] = []
        self.error: StoreError | None = None


class GorushPush:
    """Takes requests of gorush's API, over HTTP or gRPC."""

    def __init__(
        self,
        delivery: Delivery,
        keys: ApiKeys,
        settings: GatewaySettings,
        clock: Clock,
        count: Callable[[str, int], None],
    ) -> None:
        self._delivery = delivery
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._count = count
        self._platforms = {
            app: frozenset(platform for platform, name in PROVIDERS.items() if name in providers)
            for app, providers in delivery.providers.items()
        }
        self._wait_seconds = settings.sync_timeout if settings.sync else 0.0
        self._waiting: dict[GorushRequest, float] = {}  # until when they wait for first attempts, oldest first
        self._timer: asyncio.TimerHandle | None = None
        self.total_count = 0  # what gorush's statistics call it
        self.submitted = 0

    def handle(self, head: RequestHead, body: bytes, respond: Respond) -> None:
        """Answer a request over HTTP."""
        try:
            if head.context is None:
                head.context = self._authorize(head.headers)
            client, app = head.context
            parsed = self.parse(request.notifications(body, self._settings.notifications), client, app)
            self.submit(parsed, client, respond)
        except Undecodable as error:
            respond(400, responses.refused(400, str(error)))
        except Unauthorized as error:
            respond(401, responses.refused(401, str(error)), headers=[(b"WWW-Authenticate", b"Bearer")])
        except Forbidden as error:
            respond(403, responses.refused(403, str(error)))

    def _authorize(self, headers: Headers) -> tuple[ApiClient, str]:
        """Return who calls, and for which app."""
        authorization, app = b"", None
        for name, value in headers:
            if name == b"authorization":
                authorization = value
            elif name == APP_HEADER:
                app = value.decode("latin-1")
        client = self._keys.client(authorization)
        client.require("send")
        return client, client.app(app)

    def parse(self, notifications: Sequence[Fields], client: ApiClient, app: str) -> GorushRequest:
        """
        Return a request with the drafts of its notifications, for ``app`` unless one names another in ``app_id``.

        Raises:
            Forbidden: the client may not push for an app that is named.
        """
        parsed = GorushRequest()
        for fields in notifications:
            target_app = app
            # Huawei's own app ids stand in the same field; gorush ignores them.
            if "app_id" in fields and fields["app_id"] in self._platforms:
                target_app = client.app(fields["app_id"])
            if not drafts.enabled(fields, self._platforms[target_app]):
                continue
            parsed.counts += drafts.count(fields)
            made, refusals = drafts.drafts(fields)
            if made:
                parsed.drafts_by_app.setdefault(target_app, []).extend(made)
                parsed.drafts.extend(made)
                parsed.texts[id(made[0].message)] = fields.get("message", "")  # all drafts share it
            parsed.refusals.extend(refusals)
        return parsed

    def submit(self, parsed: GorushRequest, client: ApiClient, respond: Respond) -> None:
        """Hand a request to the engine; the answer comes when everything is on the disk."""
        self.total_count += parsed.counts
        if not parsed.drafts:
            respond(200, responses.accepted(parsed.counts, self._refusal_entries(parsed.refusals)))
            return
        pushes = 0
        self.submitted += len(parsed.drafts)
        for draft in parsed.drafts:
            pushes += len(draft.targets)
        try:
            client.charge(pushes, self._clock.now())
        except Overloaded as error:
            self._count("rates_exceeded", 1)
            _respond_overloaded(429, error, respond)
            return
        parsed.respond = respond
        self._submit_drafts(parsed)

    def _submit_drafts(self, parsed: GorushRequest) -> None:
        parsed.to_submit = len(parsed.drafts_by_app)
        done = partial(self._on_submitted, parsed)
        for app, made in parsed.drafts_by_app.items():
            try:
                parsed.submissions.append(self._delivery.submit(app, made, done, wait=self._settings.sync))
            except Overloaded as error:
                # Its caller sends all of it again; what another app took meanwhile arrives twice.
                parsed.to_submit = -1
                self._respond_full(parsed, error)
                return
            except CallerError:
                parsed.to_submit -= 1  # a provider that was enabled a moment ago
        if not parsed.to_submit:
            accepted = responses.accepted(parsed.counts, self._refusal_entries(parsed.refusals))
            assert parsed.respond is not None
            parsed.respond(200, accepted)
        elif self._wait_seconds:
            loop = asyncio.get_running_loop()
            self._waiting[parsed] = loop.time() + self._wait_seconds
            if self._timer is None:
                self._timer = loop.call_later(self._wait_seconds, self._finish_due)

    def _on_submitted(self, parsed: GorushRequest, submission: Submission, error: StoreError | None) -> None:
        parsed.to_submit -= 1
        parsed.error = parsed.error or error
        parsed.failures.extend(submission.failures)
        if parsed.to_submit:
            return
        self._waiting.pop(parsed, None)
        assert parsed.respond is not None
        if parsed.error is not None:
            refused = responses.refused(503, "the queue cannot be written")
            parsed.respond(503, refused, headers=[(b"Retry-After", b"5")])
        elif not parsed.failures and not parsed.refusals:
            parsed.respond(200, responses.accepted(parsed.counts))
        else:
            parsed.respond(200, responses.accepted(parsed.counts, self._failure_entries(parsed)))

    def _finish_due(self) -> None:
        """Answer what waited long enough; one timer watches all, because each request would make and cancel its own."""
        loop, self._timer = asyncio.get_running_loop(), None
        now = loop.time()
        for parsed in [parsed for parsed, due in self._waiting.items() if due <= now]:
            del self._waiting[parsed]
            for submission in parsed.submissions:
                submission.finish()
        if self._waiting:
            self._timer = loop.call_at(next(iter(self._waiting.values())), self._finish_due)

    def _respond_full(self, parsed: GorushRequest, error: Overloaded) -> None:
        """Answer that the outbox is full, as the settings say."""
        assert parsed.respond is not None
        self._count("queue_full", 1)
        if self._settings.full == "503":
            _respond_overloaded(503, error, parsed.respond)
            return
        outcome = Outcome(Verdict.RETRY, FULL)
        entries = [
            self._entry(
                PLATFORMS[draft.message.provider], token, draft.reference, parsed.texts[id(draft.message)], outcome
            )
            for draft in parsed.drafts
            for token in draft.targets
        ]
        parsed.respond(200, responses.accepted(parsed.counts, entries))

    def _failure_entries(self, parsed: GorushRequest) -> list[LogEntry]:
        """Return the log entries of what failed so far."""
        entries = self._refusal_entries(parsed.refusals)
        for failure in parsed.failures:
            notification = failure.notification
            platform, token = PLATFORMS[notification.message.provider], notification.targets[failure.index]
            text = parsed.texts[id(notification.message)]
            entries.append(self._entry(platform, token, notification.reference, text, failure.outcome))
        return entries

    def _refusal_entries(self, refusals: Sequence[Refusal]) -> list[LogEntry]:
        """Return the log entries of what can never be sent. gorush drops it silently, and its callers wonder."""
        return [
            self._entry(
                refusal.platform,
                refusal.token,
                refusal.notif_id,
                refusal.words,
                Outcome(Verdict.INVALID, refusal.reason),
            )
            for refusal in refusals
        ]

    def _entry(self, platform: Platform, token: str, notif_id: str, text: str, outcome: Outcome) -> LogEntry:
        """Return a log entry with gorush's fields, and beside them what a program can act upon."""
        reason = outcome.reason
        entry: LogEntry = dict(
            responses.failed_push(
                platform,
                token,
                notif_id=notif_id,
                words=text,
                error=GOOGLES_WORDS.get(reason, reason) if platform is Platform.ANDROID else reason,
                hide_token=self._settings.hide_token,
                hide_words=self._settings.hide_messages,
            )
        )
        entry["code"] = reason
        entry["retryable"] = outcome.verdict in (Verdict.RETRY, Verdict.UNKNOWN, Verdict.MISCONFIGURED)
        entry["token_dead"] = outcome.verdict is Verdict.DEAD_TOKEN
        if outcome.since is not None:
            entry["timestamp"] = outcome.since
        return entry


def _respond_overloaded(status: int, error: Overloaded, respond: Respond) -> None:
    after = b"%d" % max(1, round(error.after))
    respond(status, responses.refused(status, str(error)), headers=[(b"Retry-After", after)])
