"""Jobs and their ends as bytes for the disk: MessagePack lists, their first element the form, raised on a change."""

from collections.abc import Sequence
from typing import Any

import msgspec

from hushbell.core.delivery.changes import DeadToken
from hushbell.core.delivery.job import Job, JobProgress, JobResult
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.state import State
from hushbell.core.delivery.webhook import Webhook, WebhookEvent
from hushbell.errors import StoreCorrupt
from hushbell.types import Millis

FORM = 1

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def row_name(number: int) -> bytes:
    """Return what the row of a job is sealed for; raises StoreCorrupt for a number that no job has."""
    if number < 0:
        raise StoreCorrupt("a row of jobs has a number that no job has")
    return number.to_bytes(8, "big")


def pack_job(job: Job) -> bytes:
    """Return everything of a job but its number and the identifiers that follow from it."""
    indexes: dict[int, int] = {}  # by the identity of a message: one may be shared by many notifications
    messages: list[Any] = []
    notes: list[Any] = []
    for note in job.notifications:
        message = note.message
        index = indexes.get(id(message))
        if index is None:
            index = indexes[id(message)] = len(messages)
            content = (message.provider, message.route, message.headers, message.body)
            messages.append((*content, message.form) if message.form else content)
        fields = (note.target_kind, note.targets, index, note.reference, note.expires_at, note.retries)
        notes.append((*fields, note.collapse_id) if note.collapse_id else fields)
    return _encode((FORM, job.app, job.accepted_at, messages, notes))


def unpack_job(number: int, packed: bytes, idents: Sequence[bytes]) -> Job:
    """
    Return the job; ``idents`` holds one identifier for each notification, or more.

    Raises:
        StoreCorrupt: the bytes are no job.
    """
    try:
        _, app, accepted_at, messages, notes = _checked(packed)
        rendered = [
            Message(provider, body, route, tuple((name, value) for name, value in headers), *form)
            for provider, route, headers, body, *form in messages
        ]
        notifications = tuple(
            Notification(
                ident=ident,
                app=app,
                target_kind=kind,
                targets=tuple(targets),
                message=rendered[index],
                reference=reference,
                expires_at=Millis(expires_at),
                retries=retries,
                collapse_id=more[0] if more else "",
            )
            for ident, (kind, targets, index, reference, expires_at, retries, *more) in zip(idents, notes, strict=False)
        )
        return Job(number, app, Millis(accepted_at), notifications)
    except (ValueError, TypeError, LookupError, msgspec.MsgspecError) as error:
        raise StoreCorrupt("a job does not parse") from error


def check_columns(job: Job, app: str, provider: str, pushes: int) -> None:
    """Raise StoreCorrupt if the columns of a row differ from its sealed contents."""
    if (job.app, job.provider, job.pushes) != (app, provider, pushes):
        raise StoreCorrupt("a row of jobs says another app, provider or number of pushes than its contents")


def notifications_in(packed: bytes) -> int:
    """Return how many notifications a packed job has."""
    try:
        return len(_checked(packed)[4])
    except (ValueError, TypeError, LookupError, msgspec.MsgspecError) as error:
        raise StoreCorrupt("a job does not parse") from error


def pack_progress(progress: JobProgress) -> bytes:
    """Return the states and attempts of a job that goes on."""
    return _encode((FORM, progress.states, progress.attempts))


def unpack_progress(number: int, packed: bytes, pushes: int) -> JobProgress:
    """Return the progress of a job of so many pushes; raises StoreCorrupt."""
    try:
        _, states, attempts = _checked(packed)
        progress = JobProgress(number, bytes(states), bytes(attempts))
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        raise StoreCorrupt("the progress of a job does not parse") from error
    if not len(progress.states) == len(progress.attempts) == pushes or max(progress.states) > State.EXPIRED:
        raise StoreCorrupt("the progress of a job does not fit the job")
    return progress


def pack_run(run: Sequence[JobResult]) -> bytes:
    """Return jobs that ended together and whose numbers follow each other without a gap."""
    return _encode(
        (
            FORM,
            [
                (
                    ended.app,
                    ended.accepted_at,
                    ended.ended_at,
                    ended.pushes,
                    ended.states,
                    ended.attempts,
                    ended.reasons,
                )
                for ended in run
            ],
        )
    )


def unpack_run(number: int, packed: bytes) -> Sequence[JobResult]:
    """Return them; ``number`` is the first one's. Raises StoreCorrupt."""
    found = []
    try:
        for app, accepted_at, ended_at, pushes, states, attempts, reasons in _checked(packed)[1]:
            words = tuple((place, reason) for place, reason in reasons)
            times = (Millis(accepted_at), Millis(ended_at))
            found.append(JobResult(number, app, *times, tuple(pushes), bytes(states), bytes(attempts), words))
            number += len(pushes)
    except (ValueError, TypeError, LookupError, msgspec.MsgspecError) as error:
        raise StoreCorrupt("the end of a job does not parse") from error
    return found


def pack_dead(dead: DeadToken) -> bytes:
    """Return everything of a dead token but its app, its cursor and the time."""
    return _encode((FORM, dead.provider, dead.token, dead.reason, dead.since))


def unpack_dead(app: str, cursor: int, at: int, packed: bytes) -> DeadToken:
    """Return it; raises StoreCorrupt."""
    try:
        _, provider, token, reason, since = _checked(packed)
        return DeadToken(app, provider, token, reason, None if since is None else Millis(since), Millis(at), cursor)
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        raise StoreCorrupt("a dead token does not parse") from error


def pack_webhook(webhook: Webhook) -> bytes:
    """Return everything of a webhook but its name."""
    return _encode((FORM, webhook.app, webhook.url, webhook.secret, webhook.events, webhook.shape, webhook.headers))


def unpack_webhook(name: str, packed: bytes) -> Webhook:
    """Return it; raises StoreCorrupt."""
    try:
        _, app, url, secret, events, shape, headers = _checked(packed)
        pairs = tuple((key, value) for key, value in headers)
        return Webhook(name, app, url, bytes(secret), tuple(events), shape, pairs)
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        raise StoreCorrupt("a webhook does not parse") from error


def pack_event(event: WebhookEvent) -> bytes:
    """Return the body of an event."""
    return _encode((FORM, event.body))


def unpack_event(packed: bytes) -> bytes:
    """Return it; raises StoreCorrupt."""
    try:
        return bytes(_checked(packed)[1])
    except (ValueError, TypeError, LookupError, msgspec.MsgspecError) as error:
        raise StoreCorrupt("an event does not parse") from error


def _checked(packed: bytes) -> Any:
    found = _decode(packed)
    if type(found) is not list or not found or found[0] != FORM:
        raise StoreCorrupt("a row has a form that this program does not know")
    return found
