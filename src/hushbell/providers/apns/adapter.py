"""Apple's push service (reference/gateway.md 5.1)."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from json.encoder import encode_basestring_ascii

from hushbell.config.gateway import ServerApnsSettings, Texts
from hushbell.core.push import Push
from hushbell.http.client import fetch, submit_request
from hushbell.ports.clock import Clock
from hushbell.ports.gateway import Done, Outcome, Scope, Verdict
from hushbell.ports.http import HttpClient, HttpFailure, HttpRequest, HttpResponse
from hushbell.providers.apns.outcome import outcome
from hushbell.providers.apns.provider import BAD_TOKEN, MAX_PAYLOAD, PRODUCTION, SANDBOX, TOPIC
from hushbell.providers.apns.token import TokenSigner
from hushbell.providers.responses import failure
from hushbell.providers.texts import size_above, text

TOKEN = re.compile(r"(?:[0-9a-fA-F]{2}){1,100}", re.ASCII)  # 32 bytes today; Apple says the size may change
_PADDING = len(',"padding":""')

BAD_TOPIC = Outcome(Verdict.INVALID, "BadTopic")
NO_TOPIC = Outcome(Verdict.MISCONFIGURED, "MissingTopic", scope=Scope.APP)
TOO_LARGE = Outcome(Verdict.INVALID, "PayloadTooLarge")


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What all pushes of an app have in common."""

    host: str
    topic: str  # for pushes that name none
    texts: Texts
    sizes: tuple[int, ...]
    timeout: float


def payload(push: Push, words: str, sizes: Sequence[int]) -> bytes | None:
    """
    Return the JSON for the device, or None if it cannot be made to fit.

    The keys beside ``aps`` are those that an app gets from status-go through gorush. A message too long for
    Apple is left out: the phone rings and fetches it.
    """
    for message in (push.message, b""):
        start = (
            f'{{"aps":{{"alert":{encode_basestring_ascii(words)},"mutable-content":1}}'
            f',"encryptedMessage":"0x{message.hex()}","chatId":"0x{push.chat_id.hex()}"'
            f',"publicKey":"0x{push.device.owner.hex()}"'
        )
        length = len(start) + 1
        padded = size_above(length + _PADDING, sizes)
        if sizes and padded <= MAX_PAYLOAD:
            return f'{start},"padding":"{"0" * (padded - length - _PADDING)}"}}'.encode()
        if length <= MAX_PAYLOAD:
            return (start + "}").encode()
    return None


def request(push: Push, app: App, token: str) -> HttpRequest | Outcome:
    """Return the request for a push, or its outcome if Apple need not be asked."""
    if not TOKEN.fullmatch(push.device_token):
        return BAD_TOKEN  # the registration is bad, whatever is sent to it
    topic = push.apn_topic or app.topic
    if not topic:
        return NO_TOPIC
    if not TOPIC.fullmatch(topic):
        return BAD_TOPIC if push.apn_topic else NO_TOPIC
    body = payload(push, text(push, app.texts), app.sizes)
    if body is None:
        return TOO_LARGE
    headers: tuple[tuple[str, str], ...] = (
        ("authorization", f"bearer {token}"),
        ("apns-topic", topic),
        ("apns-push-type", "alert"),
        ("apns-priority", "10"),
        ("apns-id", push.notification_id),
        ("apns-expiration", str(push.expires_at // 1000)),
        ("apns-collapse-id", push.collapse_id),
    )
    if not push.collapse_id:
        headers = headers[:-1]
    return HttpRequest(f"https://{app.host}/3/device/{push.device_token}", headers, body, app.timeout)


class Apns:
    """A gateway for device tokens of Apple's. One signer serves all connections."""

    def __init__(
        self,
        settings: ServerApnsSettings,
        http: HttpClient,
        signer: TokenSigner,
        clock: Clock,
        texts: Texts | None = None,
    ) -> None:
        self._app = App(
            host=SANDBOX if settings.sandbox else PRODUCTION,
            topic=settings.topic,
            texts=texts or Texts(),
            sizes=settings.sizes,
            timeout=settings.timeout,
        )
        self._http = http
        self._signer = signer
        self._clock = clock

    async def deliver(self, pushes: Sequence[Push]) -> Sequence[Outcome]:
        """Attempt the pushes of one request and return one outcome each, in order."""
        token = self._signer.token(self._clock.now())
        outcomes = await self._attempt(pushes, token)
        expired = [at for at, result in enumerate(outcomes) if result.reason == "ExpiredProviderToken"]
        if expired:
            fresh = self._signer.renewed(token, self._clock.now())
            if fresh is not None:
                again = await self._attempt([pushes[at] for at in expired], fresh)
                for at, result in zip(expired, again, strict=True):
                    outcomes[at] = result
        return outcomes

    def attempt(self, pushes: Sequence[Push], done: Done) -> None:
        """Attempt pushes in their order; each outcome is told when it is known."""
        token = self._signer.token(self._clock.now())
        for place, push in enumerate(pushes):
            made = request(push, self._app, token)
            if isinstance(made, Outcome):
                done(place, made)
            else:
                submit_request(self._http, made, _Callback(partial(self._answered, push, token, partial(done, place))))

    async def close(self) -> None:
        """Let go of connections. Calls under way end with UNKNOWN."""
        await self._http.close()

    async def _attempt(self, pushes: Sequence[Push], token: str) -> list[Outcome]:
        made = [request(push, self._app, token) for push in pushes]
        answers = iter(await asyncio.gather(*(fetch(self._http, one) for one in made if isinstance(one, HttpRequest))))
        return [
            one if isinstance(one, Outcome) else self._outcome(push, next(answers))
            for push, one in zip(pushes, made, strict=True)
        ]

    def _answered(
        self, push: Push, token: str, told: Callable[[Outcome], None], answer: HttpResponse | HttpFailure
    ) -> None:
        result = self._outcome(push, answer)
        if result.reason == "ExpiredProviderToken":
            fresh = self._signer.renewed(token, self._clock.now())
            made = request(push, self._app, fresh) if fresh is not None else result
            if not isinstance(made, Outcome):
                submit_request(self._http, made, _Callback(lambda again: told(self._outcome(push, again))))
                return
        told(result)

    @staticmethod
    def _outcome(push: Push, answer: HttpResponse | HttpFailure) -> Outcome:
        if isinstance(answer, HttpFailure):
            return failure(answer)
        return outcome(answer, is_default_topic=not push.apn_topic)


@dataclass(frozen=True, slots=True)
class _Callback:
    """A response handler of one request."""

    done: Callable[[HttpResponse | HttpFailure], None]

    def on_response(self, _key: object, result: HttpResponse | HttpFailure) -> None:
        self.done(result)
