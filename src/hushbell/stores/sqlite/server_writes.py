"""
Writes of the server's decisions as SQL.

A statement costs the writing thread more than each row that it writes, so writes of one kind in a commit share
statements of many rows.
"""

from collections.abc import Sequence
from typing import Any

from hushbell.core.server.facts import MarkDeadToken, MarkNotified, SaveRegistration, SaveResponse
from hushbell.stores.at_rest import AtRest
from hushbell.stores.sqlite.writer import Step
from hushbell.types import MILLIS_PER_DAY, DeviceKey, MessageId, NotificationKey

_FIRST_SAVE = """
INSERT INTO registrations (version, registered_at, dead_since, sealed, owner, installation_id)
VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET (version, registered_at, dead_since, sealed) =
    (excluded.version, excluded.registered_at, excluded.dead_since, excluded.sealed)
WHERE registrations.version = 0"""  # which only a damaged row has; otherwise nothing changes
_SAVE = """
UPDATE registrations SET version = ?, registered_at = ?, dead_since = ?, sealed = ?
WHERE owner = ? AND installation_id = ? AND version = ?"""
_MARK_DEAD = """
UPDATE registrations SET dead_since = ?
WHERE owner = ? AND installation_id = ? AND sealed IS NOT NULL AND dead_since IS NULL AND registered_at <= ?"""
# One that is there already means that the decision rests on facts that have changed.
_ANSWERS = "INSERT OR IGNORE INTO answers (wrapper_id, day, sealed) VALUES"
_RINGS = "INSERT OR IGNORE INTO rings (ring_id, day) VALUES"


def row_of(device: DeviceKey) -> bytes:
    """Return what a sealed registration is bound to."""
    return device.key_hash + device.installation_id.encode()


def server_steps(writes: Sequence[object], at_rest: AtRest) -> list[Step]:
    """Return the steps of one commit, secrets already sealed; ``writes`` are those of core.server.facts."""
    steps: list[Step] = []
    responses: dict[MessageId, tuple[Any, ...]] = {}
    notified: dict[NotificationKey, tuple[Any, ...]] = {}
    for write in writes:
        match write:
            case SaveRegistration():
                steps.append(_save(write, at_rest))
            case MarkNotified(key, at):
                notified[key] = (key, at // MILLIS_PER_DAY)
            case SaveResponse(request_id, response, at):
                sealed = at_rest.seal("answers", request_id, response)
                responses[request_id] = (request_id, at // MILLIS_PER_DAY, sealed)
            case MarkDeadToken(device, since):
                steps.append(Step(_MARK_DEAD, [(since, device.key_hash, device.installation_id, since)]))
            case _:
                raise TypeError(f"{type(write).__name__} is no write of a server")
    if notified:
        steps.append(Step(_RINGS, list(notified.values()), must_change=True))
    if responses:
        steps.append(Step(_ANSWERS, list(responses.values()), must_change=True))
    return steps


def _save(write: SaveRegistration, at_rest: AtRest) -> Step:
    device, stored = write.device, write.stored
    sealed = None
    if stored.plaintext is not None:
        sealed = at_rest.seal("registrations", row_of(device), stored.plaintext)
    values = (
        stored.version,
        stored.registered_at,
        stored.token_dead_since,
        sealed,
        device.key_hash,
        device.installation_id,
    )
    if write.replaces == 0:
        return Step(_FIRST_SAVE, [values], must_change=True)
    return Step(_SAVE, [(*values, write.replaces)], must_change=True)
