"""Decisions as SQL."""

from collections.abc import Sequence
from typing import NamedTuple, assert_never

from hushbell.core.push import Push
from hushbell.core.server.facts import (
    Defer,
    Enqueue,
    MarkDead,
    RememberAnswer,
    RememberRing,
    SaveRegistration,
    Settle,
    Write,
)
from hushbell.stores.at_rest import AtRest
from hushbell.stores.order import in_order
from hushbell.stores.records import encode_push
from hushbell.types import DeviceKey, MessageId

DAY = 86_400_000  # milliseconds
REQUEST_SHIFT = 20  # bits of ``outbox.place`` below the request: 1,048,576 pushes, far above the largest request

Value = bytes | str | int | None


class Statement(NamedTuple):
    """One step of a commit."""

    sql: str
    values: tuple[Value, ...]
    must_change: bool = False  # touching no row means that a race was lost


_FIRST_SAVE = """
INSERT INTO registrations (version, registered_at, dead_since, sealed, owner, installation_id)
VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
_SAVE = """
UPDATE registrations SET version = ?, registered_at = ?, dead_since = ?, sealed = ?
WHERE owner = ? AND installation_id = ? AND version = ?"""
_MARK_DEAD = """
UPDATE registrations SET dead_since = ?
WHERE owner = ? AND installation_id = ? AND sealed IS NOT NULL AND dead_since IS NULL AND registered_at <= ?"""
# The first answer and the first ring stay: what is remembered for 30 days is when it happened first.
_ANSWER = "INSERT OR IGNORE INTO answers (wrapper_id, day, sealed) VALUES (?, ?, ?)"
_RING = "INSERT OR IGNORE INTO rings (ring_id, day) VALUES (?, ?)"
_ENQUEUE = """
INSERT OR IGNORE INTO outbox (place, notification_id, request, position, due_at, attempts, expires_at, sealed)
SELECT {place}, ?, ?, ?, ?, 0, ?, ? WHERE NOT EXISTS (SELECT 1 FROM settled WHERE notification_id = ?)"""
_LAST_PLACE = "SELECT coalesce(max(seq), 0) {step} FROM sqlite_sequence WHERE name = 'outbox'"
_ENQUEUE_FIRST = _ENQUEUE.format(place=f"((({_LAST_PLACE.format(step=f'>> {REQUEST_SHIFT}')}) + 1) << {REQUEST_SHIFT})")
_ENQUEUE_NEXT = _ENQUEUE.format(place=f"({_LAST_PLACE.format(step='+ 1')})")
_DEFER = "UPDATE outbox SET attempts = ?, due_at = ? WHERE notification_id = ?"
_SETTLE = """
INSERT OR IGNORE INTO settled (notification_id, place, state, attempts, day)
SELECT notification_id, place, ?, ?, ? FROM outbox WHERE notification_id = ?"""
_ERASE = "DELETE FROM outbox WHERE notification_id = ?"


def row_of(device: DeviceKey) -> bytes:
    """Return what a sealed registration is bound to."""
    return device.owner + device.installation_id.encode()


def statements(writes: Sequence[Write], at_rest: AtRest) -> list[Statement]:
    """Return the steps of one commit, secrets already sealed."""
    steps: list[Statement] = []
    request: MessageId | None = None
    for write in in_order(writes):
        match write:
            case SaveRegistration():
                steps.append(_save(write, at_rest))
            case RememberAnswer(wrapper_id, response, at):
                sealed = at_rest.seal("answers", wrapper_id, response)
                steps.append(Statement(_ANSWER, (wrapper_id, at // DAY, sealed)))
            case RememberRing(ring_id, at):
                steps.append(Statement(_RING, (ring_id, at // DAY)))
            case Enqueue(push):
                steps.append(_enqueue(push, at_rest, is_first=push.request != request))
                request = push.request
            case Defer(notification_id, attempts, due_at):
                steps.append(Statement(_DEFER, (attempts, due_at, notification_id)))
            case Settle(notification_id, state, attempts, at):
                steps.append(Statement(_SETTLE, (state, attempts, at // DAY, notification_id)))
                steps.append(Statement(_ERASE, (notification_id,)))
            case MarkDead(device, since):
                steps.append(Statement(_MARK_DEAD, (since, device.owner, device.installation_id, since)))
            case _:
                assert_never(write)
    return steps


def _save(write: SaveRegistration, at_rest: AtRest) -> Statement:
    device, stored = write.device, write.stored
    sealed = None
    if stored.plaintext is not None:
        sealed = at_rest.seal("registrations", row_of(device), stored.plaintext)
    values = (stored.version, stored.registered_at, stored.dead_since, sealed, device.owner, device.installation_id)
    if write.replaces == 0:
        return Statement(_FIRST_SAVE, values, must_change=True)
    return Statement(_SAVE, (*values, write.replaces), must_change=True)


def _enqueue(push: Push, at_rest: AtRest, *, is_first: bool) -> Statement:
    sealed = at_rest.seal("outbox", push.notification_id.encode(), encode_push(push))
    name = push.notification_id
    values = (name, push.request, push.position, push.created_at, push.expires_at, sealed, name)
    return Statement(_ENQUEUE_FIRST if is_first else _ENQUEUE_NEXT, values)
