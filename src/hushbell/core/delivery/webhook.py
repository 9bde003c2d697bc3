"""Webhooks: where an app learns what became of its pushes, and the events that wait to be sent there."""

from dataclasses import dataclass, field

from hushbell.types import Millis


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where an app wants to hear what became of its pushes."""

    name: str  # ours
    app: str
    url: str = field(repr=False)
    secret: bytes = field(repr=False)  # signs the body; b"" means unsigned
    events: tuple[str, ...]  # values of states.State
    shape: str = "event"  # "event", or "gorush" for what its feedback_hook_url gets
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """Something a hook must be told, until it answered that it was."""

    hook: str
    body: bytes = field(repr=False)
    at: Millis
    number: int = 0  # given by the queue; the same on every attempt
    attempts: int = 0
    due_at: Millis = Millis(0)
