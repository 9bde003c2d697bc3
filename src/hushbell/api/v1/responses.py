"""What the /v1 API tells of notifications, dead tokens and webhooks."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hushbell.core.delivery.changes import DeadToken
from hushbell.core.delivery.job import Job, JobProgress, JobResult
from hushbell.core.delivery.push_ids import push_id
from hushbell.core.delivery.state import LABELS, State
from hushbell.core.delivery.webhook import Webhook
from hushbell.core.gorush.responses import masked

Found = tuple[int, JobResult | tuple[Job, JobProgress | None]]


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
    told: dict[str, Any] = {"id": ident.hex(), "app": app_of(found)}
    if isinstance(job, JobResult):
        told |= _ended(place, job)
    else:
        told |= _open(place, *job, shows_tokens=shows_tokens)
    for push in told["pushes"]:
        push["id"] = push_id(ident, push["place"])
    states = Counter(push["state"] for push in told["pushes"])
    told["counts"] = dict(states)
    told["state"] = _whole(states)
    return told


def dead_tokens(page: Sequence[DeadToken], after: int, limit: int, *, shows_tokens: bool) -> dict[str, Any]:
    """Return a page of dead tokens, and the cursor to go on from."""
    return {
        "tokens": [
            {
                "token": one.token if shows_tokens else masked(one.token),
                "provider": one.provider,
                "reason": one.reason,
                "since": one.since,
                "at": one.at,
            }
            for one in page
        ],
        "cursor": str(page[-1].cursor if page else after),
        "more": len(page) == limit,
    }


def hook(one: Webhook) -> dict[str, Any]:
    """Return a webhook without its secret."""
    return {"name": one.name, "app": one.app, "url": one.url, "events": list(one.events), "shape": one.shape}


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
    told = {"accepted_at": job.accepted_at, "expires_at": note.expires_at, "pushes": pushes}
    return told | ({"name": note.reference} if note.reference else {})


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
