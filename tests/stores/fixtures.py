"""Both stores of the server, and facts to put into them."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hushbell.core.server.facts import SaveRegistration, StoredRegistration
from hushbell.ports.server_store import ServerStore
from hushbell.stores.memory.server import MemoryServerStore
from hushbell.stores.sqlite.server import SqliteServerStore
from hushbell.types import (
    DeviceKey,
    InstallationId,
    KeyHash,
    MessageId,
    Millis,
    NotificationId,
    TokenType,
)
from hushbell.wire import encode
from hushbell.wire.messages import Registration

DAY = 86_400_000
NOW = Millis(20_000 * DAY + 1_000)


class Made:
    """Makes facts from small numbers, so that tests say only what matters to them."""

    now = NOW
    day = DAY

    def key_hash(self, number: int = 1) -> KeyHash:
        return KeyHash(number.to_bytes(64, "big"))

    def device(self, key_hash: int = 1, installation: int = 1) -> DeviceKey:
        return DeviceKey(self.key_hash(key_hash), InstallationId(f"00000000-0000-4000-8000-{installation:012}"))

    def registration(self, version: int = 1, *, muted: int = 0) -> Registration:
        return Registration(
            token_type=TokenType.APN,
            device_token="secret-device-token",
            access_token="secret-access-token",
            installation_id="00000000-0000-4000-8000-000000000001",
            version=version,
            enabled=True,
            grant=b"secret-grant" * 5 + b"12345",
            muted_chat_list=tuple(bytes([place]) * 64 for place in range(muted)),
        )

    def stored(self, version: int = 1, *, at: int = NOW, muted: int = 0) -> StoredRegistration:
        registration = self.registration(version, muted=muted)
        return StoredRegistration(version, Millis(at), encode(registration), registration)

    def tombstone(self, version: int, *, at: int = NOW) -> StoredRegistration:
        return StoredRegistration(version, Millis(at), None, None)

    def save(self, device: DeviceKey, version: int = 1, *, replaces: int = 0, muted: int = 0) -> SaveRegistration:
        return SaveRegistration(device, self.stored(version, muted=muted), replaces)

    def request(self, number: int) -> MessageId:
        return MessageId(number.to_bytes(32, "big"))

    def name(self, request: int, position: int = 0) -> NotificationId:
        return NotificationId(f"{request:08x}-0000-4000-8000-{position:012x}")


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.fixture
def open_sqlite(tmp_path: Path) -> Callable[[], SqliteServerStore]:
    """Opens the same database each time it is called."""
    return lambda: SqliteServerStore.open(
        tmp_path / "data" / "hushbell.db", tmp_path / "keys" / "at-rest", random=os.urandom
    )


@pytest.fixture(params=["memory", "sqlite"])
async def store(
    request: pytest.FixtureRequest, open_sqlite: Callable[[], SqliteServerStore]
) -> AsyncIterator[ServerStore]:
    opened: ServerStore = MemoryServerStore(random=os.urandom) if request.param == "memory" else open_sqlite()
    yield opened
    await opened.close()
