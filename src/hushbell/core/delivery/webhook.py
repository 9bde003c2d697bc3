"""Webhooks: the URLs that final states of an app's pushes are posted to, and the events that wait to be posted."""

from dataclasses import dataclass, field

from hushbell.types import Millis


@dataclass(frozen=True, slots=True)
class Webhook:
    """A URL that events of one app are posted to."""

    name: str  # given by the gateway, unique
    app: str
    url: str = field(repr=False)
    secret: bytes = field(repr=False)  # key of the signature; b"" means unsigned
    events: tuple[str, ...]  # labels of core.delivery.state.State
    shape: str = "event"  # "event", or "gorush" for what its feedback_hook_url gets
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A final state that is posted to a webhook until the webhook answers with success."""

    webhook: str  # its name
    body: bytes = field(repr=False)
    at: Millis  # of the final state
    number: int = 0  # given by the outbox; the same on every attempt
    attempts: int = 0
    due_at: Millis = Millis(0)  # of the next attempt
