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
    """Return the name of the app that a notification belongs to."""
    job = found[1]
    return job.app if isinstance(job, JobResult) else job[0].app


def notification(ident: bytes, found: Found, *, shows_tokens: bool) -> dict[str, Any]:
    """
    Return the state of a notification and of each of its pushes.

    Tokens are shown only while it is open, if ``shows_tokens``; a result holds none.
    """
    index, job = found
    body: dict[str, Any] = {"id": ident.hex(), "app": app_of(found)}
    if isinstance(job, JobResult):
        body |= _result(index, job)
    else:
        body |= _open(index, *job, shows_tokens=shows_tokens)
    for push in body["pushes"]:
        push["id"] = push_id(ident, push["place"])
    states = Counter(push["state"] for push in body["pushes"])
    body["counts"] = dict(states)
    body["state"] = _common_state(states)
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


def _common_state(states: Counter[str]) -> str:
    """Return the state of a notification: the first in the order of LABELS that one of its pushes has."""
    return next(label for label in LABELS if states[label])


def _open(index: int, job: Job, progress: JobProgress | None, *, shows_tokens: bool) -> dict[str, Any]:
    base = sum(len(note.targets) for note in job.notifications[:index])
    note = job.notifications[index]
    pushes = []
    for push_index, token in enumerate(note.targets):
        push: dict[str, Any] = {
            "place": push_index,
            "state": LABELS[progress.states[base + push_index]] if progress else State.STORED.label,
            "attempts": progress.attempts[base + push_index] if progress else 0,
        }
        if shows_tokens:
            push["token"] = token
        pushes.append(push)
    body = {"accepted_at": job.accepted_at, "expires_at": note.expires_at, "pushes": pushes}
    return body | ({"name": note.reference} if note.reference else {})


def _result(index: int, job: JobResult) -> dict[str, Any]:
    base = sum(job.pushes[:index])
    reasons = dict(job.reasons)
    pushes = []
    for push_index in range(job.pushes[index]):
        push: dict[str, Any] = {
            "place": push_index,
            "state": LABELS[job.states[base + push_index]],
            "attempts": job.attempts[base + push_index] if base + push_index < len(job.attempts) else 1,
        }
        if base + push_index in reasons:
            push["reason"] = reasons[base + push_index]
        pushes.append(push)
    return {"accepted_at": job.accepted_at, "ended_at": job.ended_at, "pushes": pushes}
