"""``POST /api/push`` as gorush answers it (reference/gateway.md 1.1 to 1.3), from a queue that does not forget."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hushbell.api.http.auth import ApiClient, ApiKeys, Forbidden, Unauthorized
from hushbell.api.http.head_cache import RequestHead
from hushbell.api.http.types import APP_HEADER, Headers, Respond
from hushbell.config.gateway import GatewaySettings
from hushbell.core.delivery.notification import Draft
from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.core.gorush import drafts, request, responses
from hushbell.core.gorush.platform import PLATFORMS, PROVIDERS, Fields, Platform, Refusal
from hushbell.errors import CallerError, Overloaded, StoreError, Undecodable
from hushbell.ports.clock import Clock
from hushbell.ports.delivery import Delivery, FailedPush, Submission

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

Log = dict[str, object]


@dataclass(slots=True)
class Asked:
    """What one request asks for."""

    counts: int
    drafts: dict[str, list[Draft]]  # by app
    refusals: list[Refusal]
    contents: list[tuple[Fields, Sequence[Draft]]]  # what each notification of the request became

    def texts(self) -> dict[int, str]:
        """Return the text of each message by its identity; log entries repeat it."""
        return {id(draft.message): fields.get("message", "") for fields, made in self.contents for draft in made}


class GorushPush:
    """Takes requests of gorush's API, over HTTP or gRPC."""

    def __init__(
        self,
        intake: Delivery,
        keys: ApiKeys,
        settings: GatewaySettings,
        clock: Clock,
        count: Callable[[str, int], None],
    ) -> None:
        self._intake = intake
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._count = count
        self._platforms = {
            app: frozenset(platform for platform, name in PROVIDERS.items() if name in providers)
            for app, providers in intake.providers.items()
        }
        self._patience = settings.sync_timeout if settings.sync else 0.0
        self._waiting: dict[_Answering, float] = {}  # until when answers wait for first attempts, oldest first
        self._timer: asyncio.TimerHandle | None = None
        self.total_count = 0  # what gorush's statistics call it
        self.submitted = 0

    def handle(self, head: RequestHead, body: bytes, respond: Respond) -> None:
        """Answer a request over HTTP."""
        try:
            if head.seen is None:
                head.seen = self._sender(head.headers)
            caller, app = head.seen
            asked = self.asked(request.notifications(body, self._settings.notifications), caller, app)
            self.submit(asked, caller, respond)
        except Undecodable as error:
            respond(400, responses.refused(400, str(error)))
        except Unauthorized as error:
            respond(401, responses.refused(401, str(error)), headers=[(b"WWW-Authenticate", b"Bearer")])
        except Forbidden as error:
            respond(403, responses.refused(403, str(error)))

    def _sender(self, headers: Headers) -> tuple[ApiClient, str]:
        """Return who calls, and for which app."""
        authorization, app = b"", None
        for name, value in headers:
            if name == b"authorization":
                authorization = value
            elif name == APP_HEADER:
                app = value.decode("latin-1")
        caller = self._keys.caller(authorization)
        caller.must("send")
        return caller, caller.app(app)

    def asked(self, notifications: Sequence[Fields], caller: ApiClient, app: str) -> Asked:
        """
        Return what a request asks for, for one app unless a notification names another in ``app_id``.

        Raises:
            Forbidden: the caller has no business with an app that is named.
        """
        found = Asked(0, {}, [], [])
        for fields in notifications:
            meant = app
            # Huawei's own app ids stand in the same field; gorush ignores them.
            if "app_id" in fields and fields["app_id"] in self._platforms:
                meant = caller.app(fields["app_id"])
            if not drafts.enabled(fields, self._platforms[meant]):
                continue
            found.counts += drafts.count(fields)
            made, refusals = drafts.drafts(fields)
            if made:
                found.drafts.setdefault(meant, []).extend(made)
                found.contents.append((fields, made))
            found.refusals.extend(refusals)
        return found

    def submit(self, asked: Asked, caller: ApiClient, respond: Respond) -> None:
        """Hand it to the engine; the answer comes when everything is on the disk."""
        self.total_count += asked.counts
        if not asked.drafts:
            respond(200, responses.accepted(asked.counts, self._refused(asked.refusals)))
            return
        pushes = 0
        for made in asked.drafts.values():
            self.submitted += len(made)
            for draft in made:
                pushes += len(draft.targets)
        try:
            caller.spend(pushes, self._clock.now())
        except Overloaded as error:
            self._count("rates_exceeded", 1)
            self._overloaded(429, error, respond)
            return
        _Answering(self, asked, respond).begin()

    def accept(
        self, app: str, made: Sequence[Draft], told: Callable[[Submission, StoreError | None], None]
    ) -> Submission:
        """Hand the drafts for one app to the engine."""
        return self._intake.accept(app, made, told, hears=self._settings.sync)

    def wait(self, answering: "_Answering") -> None:
        """Have an answer given in time, even if a first attempt takes longer."""
        if self._patience:
            loop = asyncio.get_running_loop()
            self._waiting[answering] = loop.time() + self._patience
            if self._timer is None:
                self._timer = loop.call_later(self._patience, self._sweep)

    def waited(self, answering: "_Answering") -> None:
        """Forget an answer that was given."""
        self._waiting.pop(answering, None)

    def _sweep(self) -> None:
        """Give the answers that are due; one timer watches all, because each request would make and cancel its own."""
        loop, self._timer = asyncio.get_running_loop(), None
        now = loop.time()
        for answering in [one for one, due in self._waiting.items() if due <= now]:
            del self._waiting[answering]
            answering.give_up()
        if self._waiting:
            self._timer = loop.call_at(next(iter(self._waiting.values())), self._sweep)

    def full(self, asked: Asked, error: Overloaded, respond: Respond) -> None:
        """Answer that the queue is full, as the settings say."""
        self._count("queue_full", 1)
        if self._settings.full == "503":
            self._overloaded(503, error, respond)
            return
        refused = Outcome(Verdict.RETRY, FULL)
        logs = [
            self.log(PLATFORMS[draft.message.provider], token, draft.reference, fields.get("message", ""), refused)
            for fields, made in asked.contents
            for draft in made
            for token in draft.targets
        ]
        respond(200, responses.accepted(asked.counts, logs))

    def log(self, platform: Platform, token: str, notif_id: str, words: str, outcome: Outcome) -> Log:
        """Return a log entry in gorush's words, and beside them what a program can act upon."""
        reason = outcome.reason
        entry: Log = dict(
            responses.failed_push(
                platform,
                token,
                notif_id=notif_id,
                words=words,
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

    def answer(self, asked: Asked, failures: Sequence[FailedPush], respond: Respond) -> None:
        """Answer that everything is on the disk, with what failed so far."""
        if not failures and not asked.refusals:
            respond(200, responses.accepted(asked.counts))
            return
        texts = asked.texts()
        logs = self._refused(asked.refusals)
        for failure in failures:
            notification = failure.notification
            platform = PLATFORMS[notification.message.provider]
            token = notification.targets[failure.place]
            text = texts[id(notification.message)]
            logs.append(self.log(platform, token, notification.reference, text, failure.outcome))
        respond(200, responses.accepted(asked.counts, logs))

    def _refused(self, refusals: Sequence[Refusal]) -> list[Log]:
        """Return the log entries of what can never be sent. gorush says nothing of it, and its callers wonder."""
        return [
            self.log(one.platform, one.token, one.notif_id, one.words, Outcome(Verdict.INVALID, one.reason))
            for one in refusals
        ]

    @staticmethod
    def _overloaded(status: int, error: Overloaded, respond: Respond) -> None:
        after = b"%d" % max(1, round(error.after))
        respond(status, responses.refused(status, str(error)), headers=[(b"Retry-After", after)])


class _Answering:
    """Waits for the parts of one request, one for each app."""

    __slots__ = ("_asked", "_error", "_failures", "_left", "_push", "_receipts", "_respond")

    def __init__(self, push: GorushPush, asked: Asked, respond: Respond) -> None:
        self._push = push
        self._asked = asked
        self._respond = respond
        self._left = len(asked.drafts)
        self._failures: list[FailedPush] = []
        self._error: StoreError | None = None
        self._receipts: list[Submission] = []

    def begin(self) -> None:
        for app, made in self._asked.drafts.items():
            try:
                self._receipts.append(self._push.accept(app, made, self._told))
            except Overloaded as error:
                if self._receipts:
                    # Its caller sends all of it again; what another app took meanwhile arrives twice.
                    self._error = StoreError("full")
                self._push.full(self._asked, error, self._respond)
                self._left = -1
                return
            except CallerError:
                self._left -= 1  # a provider that was enabled a moment ago
        if self._left > 0:
            self._push.wait(self)

    def _told(self, receipt: Submission, error: StoreError | None) -> None:
        self._left -= 1
        self._error = self._error or error
        self._failures.extend(receipt.failures)
        if self._left:
            return
        self._push.waited(self)
        if self._error is not None:
            self._respond(503, responses.refused(503, "the queue cannot be written"), headers=[(b"Retry-After", b"5")])
        else:
            self._push.answer(self._asked, self._failures, self._respond)

    def give_up(self) -> None:
        """Answer now; what has not been attempted goes on without anybody waiting."""
        for receipt in self._receipts:
            receipt.tell()
