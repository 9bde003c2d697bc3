"""A server store in memory. Nothing is on a disk, so nothing can be seized. A restart loses everything."""

from collections.abc import Sequence
from dataclasses import replace

from hushbell.core.server.facts import (
    Facts,
    FactsNeeded,
    MarkDeadToken,
    MarkNotified,
    SaveRegistration,
    SaveResponse,
    StoredRegistration,
    Write,
)
from hushbell.errors import StoreMismatch, VersionConflict
from hushbell.stores.memory.outbox import MemoryOutbox
from hushbell.types import (
    MILLIS_PER_DAY,
    DeviceKey,
    InstallationId,
    KeyHash,
    MessageId,
    Millis,
    NotificationKey,
    PrivateKey,
    Random,
    SymmetricKey,
)


class MemoryServerStore:
    """A ServerStore and its outbox without files. Its size is bounded only by what the rules accept."""

    def __init__(self, *, random: Random) -> None:
        self.outbox = MemoryOutbox(random=random, write_server=self._write)
        self._registrations: dict[KeyHash, dict[InstallationId, StoredRegistration]] = {}
        self._answers: dict[MessageId, tuple[int, bytes]] = {}
        self._rings: dict[NotificationKey, int] = {}
        self._query_keys: dict[KeyHash, SymmetricKey] = {}
        self._identity: PrivateKey | None = None

    async def load(self, needed: FactsNeeded, *, byte_limit: int) -> Facts:
        """See :meth:`hushbell.ports.server_store.ServerStore.load`."""
        self.outbox.check_open()
        facts = Facts()
        left = byte_limit
        for device in self._named(needed):
            stored = self._registrations.get(device.key_hash, {}).get(device.installation_id)
            if stored is None:
                continue
            size = len(stored.plaintext or b"")
            if size > left:
                facts.omitted.add(device)
                continue
            left -= size
            facts.devices[device] = stored
        for key_hash in needed.installations:
            if key_hash in self._registrations:
                devices = self._registrations[key_hash]
                facts.installations[key_hash] = {name: kept.plaintext is not None for name, kept in devices.items()}
        facts.responses.update({name: self._answers[name][1] for name in needed.requests if name in self._answers})
        facts.notified.update(ring for ring in needed.notification_keys if ring in self._rings)
        return facts

    def _named(self, needed: FactsNeeded) -> list[DeviceKey]:
        """Return the devices to load: those named, then the other live ones of queried owners."""
        named = list(needed.devices)
        for key_hash in needed.queried:
            for installation_id, stored in self._registrations.get(key_hash, {}).items():
                device = DeviceKey(key_hash, installation_id)
                if stored.plaintext is not None and device not in needed.devices:
                    named.append(device)
        return named

    async def commit(self, writes: Sequence[Write]) -> None:
        """See :meth:`hushbell.ports.server_store.ServerStore.commit`; nothing here survives a restart."""
        self.outbox.check_open()
        self._write(writes)

    def _write(self, writes: Sequence[object]) -> None:
        """Apply every write, or raise and apply none."""
        self._check_races(writes)
        for write in writes:
            self._apply(write)

    def _check_races(self, writes: Sequence[object]) -> None:
        """Raise VersionConflict if one of the writes lost a race; those before it in the same commit count."""
        versions: dict[DeviceKey, int] = {}
        for write in writes:
            match write:
                case SaveRegistration(device, new, replaces):
                    stored = self._registrations.get(device.key_hash, {}).get(device.installation_id)
                    known = versions.get(device, 0 if stored is None else stored.version)
                    versions[device] = new.version
                    lost = known != replaces
                case SaveResponse(request_message_id):
                    lost = request_message_id in self._answers
                case MarkNotified(notification_key):
                    lost = notification_key in self._rings
                case _:
                    lost = False
            if lost:
                raise VersionConflict("what a decision rests on changed since it was loaded")

    def _apply(self, write: object) -> None:
        match write:
            case SaveRegistration(device, stored):
                self._registrations.setdefault(device.key_hash, {})[device.installation_id] = stored
            case SaveResponse(request_message_id, response, at):
                self._answers[request_message_id] = (at // MILLIS_PER_DAY, response)
            case MarkNotified(notification_key, at):
                self._rings[notification_key] = at // MILLIS_PER_DAY
            case MarkDeadToken(device, since):
                self._mark_dead(device, since)
            case _:
                raise TypeError(f"{type(write).__name__} is no write of a server")

    def _mark_dead(self, device: DeviceKey, since: Millis) -> None:
        devices = self._registrations.get(device.key_hash, {})
        stored = devices.get(device.installation_id)
        if stored is None or stored.plaintext is None or stored.token_dead_since is not None:
            return
        if stored.registered_at <= since:
            devices[device.installation_id] = replace(stored, token_dead_since=since)

    async def key_hashes(self) -> Sequence[KeyHash]:
        """See :meth:`hushbell.ports.server_store.ServerStore.owners`."""
        self.outbox.check_open()
        return [
            key_hash
            for key_hash, devices in self._registrations.items()
            if any(stored.plaintext is not None for stored in devices.values())
        ]

    async def query_key(self, key_hash: KeyHash) -> SymmetricKey | None:
        """See :meth:`hushbell.ports.server_store.ServerStore.query_key`."""
        self.outbox.check_open()
        return self._query_keys.get(key_hash)

    async def keep_query_key(self, key_hash: KeyHash, key: SymmetricKey) -> None:
        """See :meth:`hushbell.ports.server_store.ServerStore.keep_query_key`."""
        self.outbox.check_open()
        self._query_keys[key_hash] = key

    async def identity(self) -> PrivateKey | None:
        """See :meth:`hushbell.ports.server_store.ServerStore.identity`."""
        self.outbox.check_open()
        return self._identity

    async def pin_identity(self, identity: PrivateKey) -> None:
        """See :meth:`hushbell.ports.server_store.ServerStore.pin_identity`."""
        self.outbox.check_open()
        if self._identity is not None and self._identity != identity:
            raise StoreMismatch("the data belongs to another server identity")
        self._identity = identity

    async def forget(self, before: Millis) -> int:
        """See :meth:`hushbell.ports.server_store.ServerStore.forget`."""
        self.outbox.check_open()
        first = before // MILLIS_PER_DAY  # the first day that is kept
        answers = [name for name, (day, _) in self._answers.items() if day < first]
        notification_keys = [ring for ring, day in self._rings.items() if day < first]
        for answer in answers:
            del self._answers[answer]
        for ring in notification_keys:
            del self._rings[ring]
        return len(answers) + len(notification_keys)

    async def close(self) -> None:
        """Refuse everything from now on."""
        await self.outbox.close()
