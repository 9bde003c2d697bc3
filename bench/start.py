"""
How long the server takes until it accepts work, and what it holds in RAM, with many registrations on disk.

Usage: ``start.py [REGISTRATIONS]``. Ends with lines ``name value unit``.
"""

import asyncio
import os
import statistics
import sys
import tempfile
from pathlib import Path

from _rig import mock_apple, rss_bytes, server

from hushbell.core.server.facts import SaveRegistration, StoredRegistration
from hushbell.crypto import secp256k1
from hushbell.stores.sqlite.server import SqliteServerStore
from hushbell.types import DeviceKey, InstallationId, KeyHash, KeyPair, Millis
from hushbell.wire import encode
from hushbell.wire.messages import Registration

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
STEP = 5_000  # registrations in one commit
STARTS = 3
NOW = Millis(1_800_000_000_000)


def registration(number: int) -> SaveRegistration:
    value = Registration(
        token_type=1,
        device_token=f"{number:064x}",
        access_token="00000000-0000-4000-8000-000000000002",
        installation_id="00000000-0000-4000-8000-000000000001",
        version=1,
        enabled=True,
        grant=b"g" * 65,
    )
    device = DeviceKey(KeyHash(os.urandom(64)), InstallationId(value.installation_id))
    return SaveRegistration(device, StoredRegistration(1, NOW, encode(value), value), 0)


async def populate(data: Path, count: int) -> None:
    store = SqliteServerStore.open(data / "hushbell.db", data / "at-rest.key", random=os.urandom)
    for start in range(0, count, STEP):
        await store.commit([registration(n) for n in range(start, min(start + STEP, count))])
    await store.close()


async def starts(folder: Path, identity: KeyPair, count: int) -> tuple[float, float]:
    """Return the seconds of a start and the bytes in RAM after it, medians of a few."""
    data = folder / "data"
    data.mkdir(parents=True, mode=0o700)
    await populate(data, count)
    seconds, memory = [], []
    async with mock_apple(folder / "apple") as apple:
        for _ in range(STARTS):
            async with server(folder, identity, apple.ready) as ours:
                seconds.append(ours.start_seconds)
                memory.append(rss_bytes(ours.pid))
    return statistics.median(seconds), statistics.median(memory)


async def main() -> None:
    identity = secp256k1.key_pair(os.urandom)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        empty_seconds, empty_memory = await starts(Path(name) / "empty", identity, 0)
        seconds, memory = await starts(Path(name) / "full", identity, COUNT)
    print(f"start_registrations {COUNT} registrations")
    print(f"start_seconds {seconds:.3g} s")
    print(f"start_seconds_empty {empty_seconds:.3g} s")
    print(f"rss_mib {memory / 2**20:.1f} MiB")
    print(f"rss_mib_empty {empty_memory / 2**20:.1f} MiB")
    print(f"rss_per_registration {(memory - empty_memory) / COUNT:.0f} bytes")


if __name__ == "__main__":
    asyncio.run(main())
