"""What the SQLite store costs: durable upserts by calls in flight, loads by fact, owners of a large database."""

import asyncio
import os
import resource
import tempfile
import time
from pathlib import Path

from hushbell.core.server.facts import FactsNeeded, MarkNotified, SaveRegistration, SaveResponse, StoredRegistration
from hushbell.stores.sqlite.server import SqliteServerStore
from hushbell.types import DeviceKey, InstallationId, KeyHash, MessageId, Millis, NotificationKey
from hushbell.wire import encode
from hushbell.wire.messages import Registration

NOW = Millis(1_800_000_000_000)
MUCH = 1 << 30  # bytes
ROWS = 20_000
MUTED = tuple(bytes([n]) * 64 for n in range(5))  # makes a registration of about 600 bytes


def registration(number: int, version: int) -> SaveRegistration:
    value = Registration(
        token_type=1,
        device_token=f"{number:064x}",
        access_token="00000000-0000-4000-8000-000000000002",
        installation_id="00000000-0000-4000-8000-000000000001",
        version=version,
        enabled=True,
        grant=b"g" * 65,
        muted_chat_list=MUTED,
    )
    stored = StoredRegistration(version, NOW, encode(value), value)
    return SaveRegistration(device(number), stored, version - 1)


def device(number: int) -> DeviceKey:
    key_hash = KeyHash((number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "big") * 8)
    return DeviceKey(key_hash, InstallationId("00000000-0000-4000-8000-000000000001"))


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def upserts(store: SqliteServerStore, first: int, in_flight: int) -> tuple[float, float]:
    """Insert rows, then replace each; return upserts a second and CPU microseconds for each."""
    count = in_flight * (200 if in_flight > 1 else 1000)
    work = [registration(first + n, version) for version in (1, 2) for n in range(count)]
    waiting = iter(work)

    async def worker() -> None:
        for write in waiting:
            await store.commit([write])

    start, used = time.perf_counter(), cpu()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    elapsed, used = time.perf_counter() - start, cpu() - used
    return len(work) / elapsed, used / len(work) * 1e6


async def load_us(store: SqliteServerStore, needed: FactsNeeded, facts: int) -> float:
    """Return microseconds for each fact."""
    rounds = max(1, 2_000 // facts)
    start = time.perf_counter()
    for _ in range(rounds):
        await store.load(needed, byte_limit=MUCH)
    return (time.perf_counter() - start) / rounds / facts * 1e6


async def measure(store: SqliteServerStore) -> None:
    lines: list[tuple[str, float, str]] = []
    first = 0
    for in_flight, suffix in ((1, "_c1"), (16, "_c16"), (128, "")):
        rate, used = await upserts(store, first, in_flight)
        first += in_flight * 1000
        lines += [(f"store_upserts{suffix}", rate, "1/s"), (f"store_upsert_cpu{suffix}", used, "us")]

    await store.commit([registration(n, 1) for n in range(10_000_000, 10_000_000 + ROWS)])
    notification_keys = [NotificationKey(os.urandom(32)) for _ in range(ROWS)]
    wrapper_ids = [MessageId(os.urandom(32)) for _ in range(ROWS)]
    await store.commit([MarkNotified(ring, NOW) for ring in notification_keys])
    await store.commit([SaveResponse(name, b"a" * 200, NOW) for name in wrapper_ids])
    for size, suffix in ((1, "_c1"), (16, "_c16"), (128, "")):
        some = range(10_000_000, 10_000_000 + ROWS, ROWS // size)[:size]
        devices = frozenset(device(n) for n in some)
        queried = frozenset(d.key_hash for d in devices)
        for name, needed in (
            ("load_registration", FactsNeeded(devices=devices)),
            ("load_queried", FactsNeeded(queried=queried)),
            ("load_installations", FactsNeeded(installations=queried)),
            ("load_answer", FactsNeeded(requests=frozenset(wrapper_ids[:size]))),
            ("load_ring", FactsNeeded(notification_keys=frozenset(notification_keys[:size]))),
        ):
            lines.append((f"store_{name}{suffix}", await load_us(store, needed, size), "us"))

    for start in range(20_000_000, 20_100_000, 10_000):
        await store.commit([registration(n, 1) for n in range(start, start + 10_000)])
    begun = time.perf_counter()
    found = len(await store.key_hashes())
    lines.append(("store_owners", (time.perf_counter() - begun) / found * 100_000 * 1e3, "ms_per_100k"))
    for name, value, unit in lines:
        print(f"{name} {value:.4g} {unit}")


async def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        store = SqliteServerStore.open(Path(folder) / "bench.db", Path(folder) / "at-rest", random=os.urandom)
        try:
            await measure(store)
        finally:
            await store.close()


if __name__ == "__main__":
    asyncio.run(main())
