"""The server's pushes as an app of the delivery engine: a queue for each token type, and its provider."""

from collections.abc import Collection, Mapping, Sequence

from hushbell.config.gateway import Shape, Texts
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import Outcome, Scope, Verdict
from hushbell.core.server.payloads import OTHER_QUEUE, QUEUES, Render, renderer
from hushbell.errors import CallerError
from hushbell.ports.provider import Attempt, Provider
from hushbell.runtime.delivery.engine import App
from hushbell.types import Millis, TokenType

SERVER_APP = "server"
MAX_OPEN_PUSHES = 10_000_000  # its share: so many that a full outbox refuses no request in normal operation

# Queue → the providers that can serve it, best first. A provider of another package serves any.
_CHOICES: Mapping[str, Sequence[str]] = {
    "apns": ("apns", "gorush", "hushbell", "sns", "pushy"),
    "fcm": ("fcm", "gorush", "hushbell", "sns", "pushy"),
    "webpush": ("webpush", "unifiedpush"),
    "huawei": ("huawei",),
    OTHER_QUEUE: (),
}
_OURS = frozenset({name for names in _CHOICES.values() for name in names})
_NO_PROVIDER = Outcome(Verdict.MISCONFIGURED, "no provider for this token type", scope=Scope.APP)


class MissingProvider:
    """Stands in for a provider that is not configured: pushes wait until the operator mends that, or expire."""

    credential_expires_at: Millis | None = None

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self, message: Message) -> None:  # noqa: ARG002
        """Refuse any message."""
        raise CallerError("provider", f"{self.name} is not configured")

    def send(self, attempts: Sequence[Attempt]) -> None:
        """Report each push as the operator's mistake."""
        for attempt in attempts:
            attempt.report(_NO_PROVIDER)

    def reload(self) -> None:
        """There is no credential."""

    async def close(self) -> None:
        """There is no connection."""


def delivery_app(
    providers: Mapping[str, Provider],
    texts: Texts,
    *,
    ttl: int,
    shape: Shape = Shape.STATUS,
    sizes: tuple[int, ...] = (),
) -> App:
    """
    Return the app of the server's pushes.

    Args:
        providers: those that are configured, by their names.
        texts: what a person reads when the app does not replace it.
        ttl: seconds that a push lives at most.
        shape: of the items for a gorush.
        sizes: bytes of their data in the shape "own".
    """
    serving = {queue: choose(queue, providers) for queue in _CHOICES}
    renders: dict[str, Render] = {
        queue: renderer(name or queue, texts, shape=shape, sizes=sizes) for queue, name in serving.items()
    }

    def render(notification: Notification) -> Notification:
        return renders[notification.message.provider](notification)

    return App(
        name=SERVER_APP,
        providers={queue: providers[name] if name else MissingProvider(queue) for queue, name in serving.items()},
        queue=MAX_OPEN_PUSHES,
        ttl=ttl,
        render=render,
    )


def token_types(providers: Collection[str]) -> Collection[int]:
    """Return the token types that can be delivered to. Before a provider is set, pushes for the usual two are kept."""
    if not providers:
        return (TokenType.APN, TokenType.FIREBASE)
    return [token_type for token_type, queue in QUEUES.items() if choose(queue, providers)]


def choose(queue: str, providers: Collection[str]) -> str:
    """Return the name of the provider that serves a queue, or ""."""
    if queue == OTHER_QUEUE:
        return ""
    others = [name for name in providers if name not in _OURS]
    return next((name for name in (*_CHOICES[queue], *others) if name in providers), "")
