"""
Writes of the server's decisions as SQL.

A statement costs the writing thread more than each row that it writes, so writes of one kind in a commit share
statements of many rows.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

from hushbell.core.push import Push
from hushbell.core.server.facts import (
    Defer,
    Enqueue,
    MarkDeadToken,
    MarkNotified,
    SaveRegistration,
    SaveResponse,
    Settle,
)
from hushbell.stores.at_rest import AtRest
from hushbell.stores.order import in_order
from hushbell.stores.records import encode_push
from hushbell.stores.sqlite.writer import Step
from hushbell.types import MILLIS_PER_DAY, DeviceKey

REQUEST_SHIFT = 20  # bits of ``outbox.place`` below the request: 1,048,576 pushes, far above the largest request

ROWS = (64, 8, 1)  # in one statement; few sizes, so that SQLite's prepared statements are used again

T = TypeVar("T")

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
_DEFER = "UPDATE outbox SET attempts = ?, due_at = ? WHERE notification_id = ?"
# One that is there already means that the decision rests on facts that have changed.
_ANSWERS = "INSERT OR IGNORE INTO answers (wrapper_id, day, sealed) VALUES"
_RINGS = "INSERT OR IGNORE INTO rings (ring_id, day) VALUES"
# Its first number counts the requests that begin in this statement, up to the row's own, its second the pushes of it.
_ENQUEUE = f"""
INSERT OR IGNORE INTO outbox (place, notification_id, request, position, due_at, attempts, expires_at, sealed)
WITH new (begun, number, name, request, position, due_at, expires_at, sealed) AS (VALUES {{rows}}),
     last (place) AS (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox')
SELECT CASE begun WHEN 0 THEN last.place ELSE (last.place >> {REQUEST_SHIFT}) + begun << {REQUEST_SHIFT} END + number,
       name, request, position, due_at, 0, expires_at, sealed
FROM last CROSS JOIN new WHERE NOT EXISTS (SELECT 1 FROM settled WHERE notification_id = name)"""  # noqa: S608
_SETTLE = """
INSERT OR IGNORE INTO settled (notification_id, place, state, attempts, day)
WITH done (name, state, attempts, day) AS (VALUES {rows})
SELECT name, place, state, done.attempts, day FROM done CROSS JOIN outbox ON notification_id = name"""
_ERASE = "DELETE FROM outbox WHERE notification_id IN ({rows})"


def row_of(device: DeviceKey) -> bytes:
    """Return what a sealed registration is bound to."""
    return device.owner + device.installation_id.encode()


def server_steps(writes: Sequence[object], at_rest: AtRest) -> list[Step]:
    """Return the steps of one commit, secrets already sealed; ``writes`` are those of core.server.facts."""
    steps = _Steps(at_rest)
    for write in in_order(writes):
        steps.add(write)
    steps.end_run()
    return steps.steps


class _Steps:
    """
    Collects the writes of one commit.

    Answers and rings touch nothing else, so they wait for each other; so do pushes that come and pushes that are
    settled, but never across one another. Everything else is a step of its own, in its place.
    """

    def __init__(self, at_rest: AtRest) -> None:
        self.steps: list[Step] = []
        self._at_rest = at_rest
        self._answers: list[SaveResponse] = []
        self._rings: list[MarkNotified] = []
        self._pushes: list[Push] = []
        self._settled: list[Settle] = []

    def add(self, write: object) -> None:
        """Add the next write."""
        match write:
            case Enqueue(push):
                self._end_settled()
                self._pushes.append(push)
            case MarkNotified():
                self._rings.append(write)
            case SaveResponse():
                self._answers.append(write)
            case Settle():
                self._end_pushes()
                self._settled.append(write)
            case SaveRegistration():
                self.steps.append(_save(write, self._at_rest))
            case Defer(notification_id, attempts, due_at):
                self.end_run()
                self.steps.append(Step(_DEFER, [(attempts, due_at, notification_id)]))
            case MarkDeadToken(device, since):
                self.steps.append(Step(_MARK_DEAD, [(since, device.owner, device.installation_id, since)]))
            case _:
                raise TypeError(f"{type(write).__name__} is no write of a server")

    def end_run(self) -> None:
        """Make steps of everything that waits for company."""
        self._end_pushes()
        self._end_settled()
        if self._rings:
            rings = {ring.ring_id: (ring.ring_id, ring.at // MILLIS_PER_DAY) for ring in self._rings}
            self.steps.append(Step(_RINGS, list(rings.values()), must_change=True))
        if self._answers:
            seal = self._at_rest.seal
            answers = {
                one.wrapper_id: (
                    one.wrapper_id,
                    one.at // MILLIS_PER_DAY,
                    seal("answers", one.wrapper_id, one.response),
                )
                for one in self._answers
            }
            self.steps.append(Step(_ANSWERS, list(answers.values()), must_change=True))
        self._rings.clear()
        self._answers.clear()

    def _end_pushes(self) -> None:
        request, number = None, 0
        for pushes in chunks(self._pushes):
            begun = 0
            values: list[Any] = []
            for push in pushes:
                number += 1
                if push.request != request:
                    request, number, begun = push.request, 0, begun + 1
                name = push.notification_id
                sealed = self._at_rest.seal("outbox", name.encode(), encode_push(push))
                # A request that began in an earlier statement goes on behind the last place.
                ahead = number if begun else 1 + len(values) // 8
                values += (begun, ahead, name, push.request, push.position, push.created_at, push.expires_at, sealed)
            self._add(_ENQUEUE, "(?,?,?,?,?,?,?,?)", len(pushes), values)
        self._pushes.clear()

    def _end_settled(self) -> None:
        for some in chunks(self._settled):
            values: list[Any] = []
            for settle in some:
                values += (settle.notification_id, settle.state, settle.attempts, settle.at // MILLIS_PER_DAY)
            self._add(_SETTLE, "(?,?,?,?)", len(some), values)
            self._add(_ERASE, "?", len(some), values[::4])
        self._settled.clear()

    def _add(self, sql: str, row: str, rows: int, values: Sequence[Any]) -> None:
        self.steps.append(Step(_of_rows(sql, row, rows), [values]))


@cache
def _of_rows(sql: str, row: str, rows: int) -> str:
    return sql.format(rows=",".join([row] * rows))


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut a sequence into few different sizes."""
    start = 0
    for size in ROWS:
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size


def _save(write: SaveRegistration, at_rest: AtRest) -> Step:
    device, stored = write.device, write.stored
    sealed = None
    if stored.plaintext is not None:
        sealed = at_rest.seal("registrations", row_of(device), stored.plaintext)
    values = (stored.version, stored.registered_at, stored.dead_since, sealed, device.owner, device.installation_id)
    if write.replaces == 0:
        return Step(_FIRST_SAVE, [values], must_change=True)
    return Step(_SAVE, [(*values, write.replaces)], must_change=True)
