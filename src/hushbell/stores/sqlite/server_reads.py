"""Look-ups. Each takes microseconds, so they run on the event loop itself, on a connection that only reads."""

import logging
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar

from hushbell.core.server.facts import Facts, FactsNeeded, StoredRegistration
from hushbell.errors import StoreCorrupt, WireError
from hushbell.stores.at_rest import OVERHEAD, AtRest
from hushbell.stores.sqlite.quarantine import Quarantine
from hushbell.stores.sqlite.server_writes import row_of
from hushbell.types import DeviceKey, InstallationId, KeyHash, MessageId, Millis, NotificationId, NotificationKey
from hushbell.wire import decode
from hushbell.wire.messages import Registration

CHUNKS = (128, 16, 1)  # keys in one query; few sizes, so that SQLite's prepared statements are used again
INLINE = 4096 + OVERHEAD  # bytes; larger contents are read only once they are known to fit

_COLUMNS = f"""
SELECT owner, installation_id, version, registered_at, dead_since, length(sealed),
       CASE WHEN length(sealed) <= {INLINE} THEN sealed END
FROM registrations"""  # noqa: S608
_CONTENTS = "SELECT sealed FROM registrations WHERE owner = ? AND installation_id = ?"

MAX_LOGGED = 1_000  # damaged registrations; more have one cause

log = logging.getLogger(__name__)

T = TypeVar("T")
Row = tuple[bytes, str, int, int, int | None, int | None, bytes | None]


class ServerReads:
    """What the database says now, after every commit that has returned."""

    def __init__(self, connection: sqlite3.Connection, at_rest: AtRest, quarantine: Quarantine) -> None:
        self._connection = connection
        self._at_rest = at_rest
        self._quarantine = quarantine
        self._damaged: set[DeviceKey] = set()  # whose damage was logged

    def load(self, needed: FactsNeeded, byte_limit: int) -> Facts:
        """Return the facts as they stood at one moment."""
        facts = Facts()
        self._connection.execute("BEGIN")
        try:
            self._load_registrations(facts, needed, byte_limit)
            self._load_installations(facts, needed.installations)
            self._load_dedup(facts, needed.requests, needed.notification_keys)
        finally:
            self._connection.execute("COMMIT")
        return facts

    def _load_registrations(self, facts: Facts, needed: FactsNeeded, byte_limit: int) -> None:
        left = byte_limit
        for row in self._registrations(needed):
            key_hash, installation_id, version, registered_at, token_dead_since, length, sealed = row
            device = DeviceKey(KeyHash(key_hash), InstallationId(installation_id))
            if device in facts.devices or device in facts.omitted:
                continue
            if length is None:
                facts.devices[device] = StoredRegistration(version, Millis(registered_at), None, None)
                continue
            size = length - OVERHEAD
            if size > left:
                facts.omitted.add(device)
                continue
            left -= size
            if sealed is None:
                (sealed,) = self._connection.execute(_CONTENTS, (key_hash, installation_id)).fetchone()
            try:
                plaintext = self._at_rest.open("registrations", row_of(device), sealed)
                registration = _registration(plaintext)
            except StoreCorrupt as error:
                # The version stays known, so that no older registration can be replayed.
                facts.devices[device] = StoredRegistration(version, Millis(registered_at), None, None)
                facts.damaged.add(device)
                self._log_damage(device, error)
                continue
            dead = None if token_dead_since is None else Millis(token_dead_since)
            facts.devices[device] = StoredRegistration(version, Millis(registered_at), plaintext, registration, dead)

    def _registrations(self, needed: FactsNeeded) -> Iterator[Row]:
        """Yield the rows of the devices that are named, then those of the owners that are asked for."""
        for devices in _chunks(needed.devices):
            pairs = [value for device in devices for value in (device.key_hash, device.installation_id)]
            named = ",".join(["(?,?)"] * len(devices))
            # A join, because SQLite walks the whole table for a pair IN (VALUES ...).
            yield from self._connection.execute(
                f"WITH named (o, i) AS (VALUES {named}) {_COLUMNS.replace('FROM', 'FROM named CROSS JOIN')} "
                "ON owner = o AND installation_id = i",
                pairs,
            )
        for key_hashes in _chunks(needed.queried):
            yield from self._connection.execute(
                f"{_COLUMNS} WHERE sealed IS NOT NULL AND owner IN ({_marks(key_hashes)})",
                key_hashes,
            )

    def _load_installations(self, facts: Facts, key_hashes: Collection[KeyHash]) -> None:
        for some in _chunks(key_hashes):
            rows = self._connection.execute(
                "SELECT owner, installation_id, sealed IS NOT NULL FROM registrations "  # noqa: S608
                f"WHERE owner IN ({_marks(some)})",
                some,
            )
            for key_hash, installation_id, is_live in rows:
                facts.installations.setdefault(key_hash, {})[installation_id] = bool(is_live)

    def _load_dedup(
        self, facts: Facts, requests: Collection[MessageId], notification_keys: Collection[NotificationKey]
    ) -> None:
        for wrapper_ids in _chunks(requests):
            rows = self._connection.execute(
                f"SELECT wrapper_id, sealed FROM answers WHERE wrapper_id IN ({_marks(wrapper_ids)})",  # noqa: S608
                wrapper_ids,
            )
            for request_message_id, sealed in rows:
                try:
                    facts.responses[request_message_id] = self._at_rest.open("answers", request_message_id, sealed)
                except StoreCorrupt as error:  # the request is decided again; what has rung is known all the same
                    self._quarantine.put("answers", request_message_id, str(error))
        for ring_ids in _chunks(notification_keys):
            rows = self._connection.execute(
                f"SELECT ring_id FROM rings WHERE ring_id IN ({_marks(ring_ids)})",  # noqa: S608
                ring_ids,
            )
            facts.notified.update(notification_key for (notification_key,) in rows)

    def damaged_registrations(self) -> Iterator[str]:
        """Yield the reason for each registration that cannot be read. All are decrypted: some seconds a million."""
        rows = self._connection.execute(
            "SELECT owner, installation_id, sealed FROM registrations WHERE sealed IS NOT NULL"
        )
        for key_hash, installation_id, sealed in rows:
            row = row_of(DeviceKey(KeyHash(key_hash), InstallationId(installation_id)))
            try:
                _registration(self._at_rest.open("registrations", row, sealed))
            except StoreCorrupt as error:
                yield str(error)

    def _log_damage(self, device: DeviceKey, error: StoreCorrupt) -> None:
        """Log a damaged registration once, without its names; it stays until the device registers again."""
        if device not in self._damaged and len(self._damaged) < MAX_LOGGED:
            self._damaged.add(device)
            log.error("a registration is damaged (%s); its device cannot be notified until it registers again", error)

    def final_state(self, notification_id: NotificationId) -> str | None:
        """Return the final state of a push that ended under version 1."""
        row = self._connection.execute(
            "SELECT state FROM settled WHERE notification_id = ?", (notification_id,)
        ).fetchone()
        return row[0] if row else None

    def key_hashes(self) -> list[KeyHash]:
        """Return every owner of a live registration, once."""
        rows = self._connection.execute("SELECT DISTINCT owner FROM registrations WHERE sealed IS NOT NULL")
        return [key_hash for (key_hash,) in rows]

    def query_key(self, key_hash: KeyHash) -> bytes | None:
        """Return the kept key of an owner's query topic."""
        row = self._connection.execute("SELECT sealed FROM query_keys WHERE owner = ?", (key_hash,)).fetchone()
        try:
            return self._at_rest.open("query_keys", key_hash, row[0]) if row else None
        except StoreCorrupt as error:  # it is derived again
            self._quarantine.put("query_keys", key_hash, str(error))
            return None

    def secret(self, name: str) -> bytes | None:
        """Return a row of ``secrets``."""
        row = self._connection.execute("SELECT sealed FROM secrets WHERE name = ?", (name,)).fetchone()
        return self._at_rest.open("secrets", name.encode(), row[0]) if row else None


def _registration(plaintext: bytes) -> Registration:
    try:
        return decode(Registration, plaintext)
    except WireError as error:
        raise StoreCorrupt("a stored registration does not parse") from error


def _chunks(keys: Collection[T]) -> Iterator[Sequence[T]]:
    """Cut keys into few different sizes."""
    left = list(keys)
    for size in CHUNKS:
        while len(left) >= size:
            yield left[:size]
            del left[:size]


def _marks(keys: Sequence[object]) -> str:
    return ",".join("?" * len(keys))
