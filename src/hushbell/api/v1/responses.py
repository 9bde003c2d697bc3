"""Bodies of /v1 responses: notifications, dead tokens and webhooks."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hushbell.core.delivery.changes import DeadToken
from hushbell.core.delivery.job import Job, JobProgress, JobResult
from hushbell.core.delivery.push_ids import push_id
from hushbell.core.delivery.state import LABELS, State
from hushbell.core.delivery.webhook import Webhook
from hushbell.core.gorush.responses import masked
from hushbell.ports.delivery import Found


def app_of(found: Found) -> str:
    """Return whose notification it is."""
    job = found[1]
    return job.app if isinstance(job, JobResult) else job[0].app


def notification(ident: bytes, found: Found, *, shows_tokens: bool) -> dict[str, Any]:
    """
    Return where a notification is on its way, and each of its pushes.

    Tokens are shown while it is open, if that was asked for; afterwards they are not known any more.
    """
    place, job = found
    body: dict[str, Any] = {"id": ident.hex(), "app": app_of(found)}
    if isinstance(job, JobResult):
        body |= _ended(place, job)
    else:
        body |= _open(place, *job, shows_tokens=shows_tokens)
    for push in body["pushes"]:
        push["id"] = push_id(ident, push["place"])
    states = Counter(push["state"] for push in body["pushes"])
    body["counts"] = dict(states)
    body["state"] = _whole(states)
    return body


def dead_tokens(page: Sequence[DeadToken], after: int, limit: int, *, shows_tokens: bool) -> dict[str, Any]:
    """Return a page of dead tokens, and the cursor to go on from."""
    return {
        "tokens": [
            {
                "token": dead.token if shows_tokens else masked(dead.token),
                "provider": dead.provider,
                "reason": dead.reason,
                "since": dead.since,
                "at": dead.at,
            }
            for dead in page
        ],
        "cursor": str(page[-1].cursor if page else after),
        "more": len(page) == limit,
    }


def webhook_body(webhook: Webhook) -> dict[str, Any]:
    """Return a webhook without its secret."""
    return {
        "name": webhook.name,
        "app": webhook.app,
        "url": webhook.url,
        "events": list(webhook.events),
        "shape": webhook.shape,
    }


def _whole(states: Counter[str]) -> str:
    """Return the state of a notification: that of its pushes if they agree, else that of the one least far."""
    return next(label for label in LABELS if states[label])


def _open(place: int, job: Job, progress: JobProgress | None, *, shows_tokens: bool) -> dict[str, Any]:
    base = sum(len(note.targets) for note in job.notifications[:place])
    note = job.notifications[place]
    pushes = []
    for at, token in enumerate(note.targets):
        push: dict[str, Any] = {
            "place": at,
            "state": LABELS[progress.states[base + at]] if progress else State.STORED.label,
            "attempts": progress.attempts[base + at] if progress else 0,
        }
        if shows_tokens:
            push["token"] = token
        pushes.append(push)
    body = {"accepted_at": job.accepted_at, "expires_at": note.expires_at, "pushes": pushes}
    return body | ({"name": note.reference} if note.reference else {})


def _ended(place: int, ended: JobResult) -> dict[str, Any]:
    base = sum(ended.pushes[:place])
    reasons = dict(ended.reasons)
    pushes = []
    for at in range(ended.pushes[place]):
        push: dict[str, Any] = {
            "place": at,
            "state": LABELS[ended.states[base + at]],
            "attempts": ended.attempts[base + at] if base + at < len(ended.attempts) else 1,
        }
        if base + at in reasons:
            push["reason"] = reasons[base + at]
        pushes.append(push)
    return {"accepted_at": ended.accepted_at, "ended_at": ended.ended_at, "pushes": pushes}
