"""
Our node under the driver of the other peers: what `hushbell node` is made of, with a line of JSON for each request.

With ``--count-only`` hashes are left out, for benchmarks: what is published and heard is counted and dated.
"""

import argparse
import asyncio
import json
import os
import resource
import secrets
import sys
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Self

from hushbell import wire
from hushbell.config.node import NodeSettings
from hushbell.crypto import secp256k1
from hushbell.crypto.message_ids import message_hash
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.types import PubsubTopic
from hushbell.waku.libp2p.host import Host
from hushbell.waku.libp2p.keys import parse_peer_id, peer_id_text
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.message import RawMessage
from hushbell.waku.node import Node
from hushbell.waku.protocols.filter_client import FilterClient
from hushbell.waku.protocols.lightpush_client import LightpushClient
from hushbell.waku.protocols.metadata import MetadataService
from hushbell.waku.relay.relay import Relay
from hushbell.wire.messages import WakuMessage

TOPIC = PubsubTopic("/waku/2/rs/16/32")
CONTENT_TOPIC = "/waku/1/0xdeadbeef/rfc26"
MESSAGE = 1024 * 1024
MAX_RESPONSES = 256  # messages published in one turn of the loop
SAMPLES = 10_000  # messages of a run whose latency is looked at
TIME = 9  # bytes of a time of our days, as a varint, at the end of a message
LINE = 64 * 1024 * 1024


class Run:
    """What came of one run; times are worked out when somebody asks."""

    def __init__(self, now: int) -> None:
        self.n = self.unique = self.digest = 0
        self.first = self.last = now
        self.seen = bytearray()
        self.arrived = array("q")
        self.sent = bytearray()

    def new(self, count: int) -> bool:
        if count >= len(self.seen):
            self.seen += bytes(count + 65_536 - len(self.seen))
        if self.seen[count]:
            return False
        self.seen[count] = 1
        self.unique += 1
        return True

    def report(self) -> dict[str, Any]:
        some = range(0, self.unique, max(1, self.unique // SAMPLES))
        waits = sorted(self.arrived[at] - _zigzag(self.sent[at * TIME : (at + 1) * TIME]) for at in some)
        p50, p99, max_size = (waits[int(part * (len(waits) - 1))] / 1e6 for part in (0.5, 0.99, 1))
        return {
            "n": self.n, "unique": self.unique, "dups": self.n - self.unique, "digest": f"{self.digest:016x}",
            "secs": (self.last - self.first) / 1e9, "first_ns": self.first, "last_ns": self.last,
            "p50_ms": p50, "p99_ms": p99, "max_ms": max_size,
        }  # fmt: skip


class Book:
    """What came, by run."""

    def __init__(self, *, hashes: bool) -> None:
        self.runs: dict[bytes, Run] = {}
        self.own: set[bytes] = set()
        self._hashes = hashes

    def add(self, message: RawMessage) -> None:
        data = message.data
        now = time.time_ns()
        start = 2
        while data[start - 1] & 0x80:
            start += 1
        name = data[start : start + 8]
        if name in self.own:
            return
        run = self.runs.get(name)
        if run is None:
            run = self.runs[name] = Run(now)
        run.n += 1
        run.last = now
        if run.new(int.from_bytes(data[start + 8 : start + 16])):
            run.arrived.append(now)
            run.sent += data[-TIME:]
            if self._hashes:
                run.digest ^= hashed(wire.decode(WakuMessage, data, limit=MESSAGE))

    def unique(self, name: bytes) -> int:
        run = self.runs.get(name)
        return run.unique if run else 0

    async def wait(self, request: dict[str, Any]) -> dict[str, Any]:
        name = bytes.fromhex(request["run"])
        last, since = -1, time.monotonic()
        while True:
            have = self.unique(name)
            if have != last:
                last, since = have, time.monotonic()
            if have >= request["n"] or time.monotonic() - since > request.get("timeout", 10):
                run = self.runs.get(name)
                return run.report() if run else {"n": 0, "unique": 0, "dups": 0}
            await asyncio.sleep(0.005)


def hashed(message: WakuMessage) -> int:
    full = message_hash(TOPIC, message.payload, message.content_topic, message.meta or b"", message.timestamp or 0)
    return int.from_bytes(full[:8])


def _zigzag(data: bytes | bytearray) -> int:
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(data)) >> 1


class Writer:
    """Serialises the messages of one request: all are alike but for their number and time."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.name: bytes = bytes.fromhex(request["run"])
        self._topic: str = request.get("ct", CONTENT_TOPIC)
        self._filling: bytes = secrets.token_bytes(max(0, request.get("size", 1024) - 16))
        self._offset: int = request.get("offset", 0)
        size = 16 + len(self._filling)
        topic = self._topic.encode()
        version: bytes = b"\x18\x01" if request.get("version", 1) else b""
        self._before: bytes = b"\x0a" + _varint(size) + self.name
        self._late, self._call_soon = 0, b""
        self._behind: bytes = self._filling + b"\x12" + _varint(len(topic)) + topic + version + b"\x50"

    def data(self, number: int, now: int) -> bytes:
        """Return a serialised WakuMessage, its fields in the order in which everybody writes them."""
        early, late = now << 1 & 0xFFFFFFF, now >> 27
        if late != self._late:
            self._late, self._call_soon = late, _varint(late)  # the same for an eighth of a second
        first = bytes((early & 127 | 128, early >> 7 & 127 | 128, early >> 14 & 127 | 128, early >> 21 | 128))
        return b"".join((self._before, (number + self._offset).to_bytes(8), self._behind, first, self._call_soon))

    def hash(self, number: int, now: int) -> bytes:
        payload = self.name + (number + self._offset).to_bytes(8) + self._filling
        return message_hash(TOPIC, payload, self._topic, b"", now)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Served:
    """Our node, what it heard, and the clients of other nodes' services."""

    def __init__(self, node: Node, book: Book, counters: Counter[str]) -> None:
        self.node = node
        self.book = book
        self.counters = counters
        self.host: Host = node._host
        self.relay: Relay = node._relay
        self.metadata: MetadataService = node._services._metadata
        self.filtered = Book(hashes=True)
        random, count = system_random, _counting(counters)
        self.filter_client = FilterClient(
            host=self.host, clock=SystemClock(), random=random, on_message=self.filtered.add, count=count,
            message_limit=MESSAGE,
        )  # fmt: skip
        self.lightpush_client = LightpushClient(host=self.host, random=random, count=count)
        self.protocols: dict[PeerId, Sequence[str]] = {}
        self.host.watch(self.protocols.__setitem__, self._gone)
        node.add_reader(book.add)

    @classmethod
    async def open(cls, folder: Path, ip: str, *, count_only: bool) -> Self:
        """As `hushbell node` does; ``count_only`` leaves out the services."""
        services = not count_only
        listen = (f"/ip4/{ip}/tcp/0", f"/ip4/{ip}/tcp/0/ws")
        counters: Counter[str] = Counter()
        node = await Node.open(
            NodeSettings(listen=listen, filter=services, lightpush=services, store=services),
            key=secp256k1.key_pair(system_random).private,
            folder=folder,
            pubsub_topics=[TOPIC],
            clock=SystemClock(),
            random=system_random,
            count=_counting(counters),
        )
        return cls(node, Book(hashes=services), counters)

    def _gone(self, peer: PeerId) -> None:
        self.protocols.pop(peer, None)


def _counting(counters: Counter[str]) -> Callable[[str, int], None]:
    def count(name: str, number: int) -> None:
        counters[name] += number

    return count


class Driver:
    """The operations; each answers a request with a dictionary."""

    def __init__(self, served: Served, *, count_only: bool) -> None:
        self.served = served
        self.count_only = count_only

    async def connect(self, request: dict[str, Any]) -> dict[str, Any]:
        peer = await self.served.host.dial(Multiaddr.parse(request["addr"]))
        connection = self.served.host.connection(peer)
        return {"peer": peer_id_text(peer), "muxer": connection.muxer_name if connection else ""}

    async def disconnect(self, request: dict[str, Any]) -> dict[str, Any]:
        self.served.host.disconnect(parse_peer_id(request["peer"]))
        return {}

    async def peers(self, _request: dict[str, Any]) -> dict[str, Any]:
        relay = self.served.relay
        mesh, listening = relay._mesh.members.get(TOPIC, ()), relay._peers.listening.get(TOPIC, ())
        return {
            "peers": [
                {
                    "peer": peer_id_text(peer), "protocols": list(self.served.protocols.get(peer, ())),
                    "mesh": peer in mesh, "subscribed": peer in listening, "score": relay.score(peer),
                }
                for peer in self.served.host.peers
            ]
        }  # fmt: skip

    async def publish(self, request: dict[str, Any]) -> dict[str, Any]:
        writer, publish = Writer(request), self.served.node.publish
        self.served.book.own.add(writer.name)
        rate, digest = request.get("rate", 0), 0
        started = time.perf_counter()
        for number in range(request.get("n", 1)):
            if rate:
                await asyncio.sleep(started + number / rate - time.perf_counter())
            elif not number % MAX_RESPONSES:
                await self.served.node.wait_for_room()
                await asyncio.sleep(0)
            now = time.time_ns()
            publish(TOPIC, writer.data(number, now))
            if not self.count_only:
                digest ^= int.from_bytes(writer.hash(number, now)[:8])
        return {"secs": time.perf_counter() - started, "digest": f"{digest:016x}"}

    async def wait(self, request: dict[str, Any]) -> dict[str, Any]:
        return await self.served.book.wait(request)

    async def filter_wait(self, request: dict[str, Any]) -> dict[str, Any]:
        return await self.served.filtered.wait(request)

    async def filter_subscribe(self, request: dict[str, Any]) -> dict[str, Any]:
        await self.served.filter_client.subscribe(parse_peer_id(request["peer"]), TOPIC, request["cts"])
        return {}

    async def filter_unsubscribe(self, request: dict[str, Any]) -> dict[str, Any]:
        await self.served.filter_client.unsubscribe(parse_peer_id(request["peer"]), TOPIC, request["cts"])
        return {}

    async def lightpush(self, request: dict[str, Any]) -> dict[str, Any]:
        writer, peer, digest = Writer(request), parse_peer_id(request["peer"]), 0
        client = self.served.lightpush_client
        publish = client.publish_v2 if request.get("legacy", True) else client.publish
        for number in range(request.get("n", 1)):
            now = time.time_ns()
            await publish(peer, TOPIC, writer.data(number, now))
            digest ^= int.from_bytes(writer.hash(number, now)[:8])
        return {"digest": f"{digest:016x}"}

    async def metadata(self, request: dict[str, Any]) -> dict[str, Any]:
        told = await self.served.metadata.ask(parse_peer_id(request["peer"]))
        return {"cluster": told.cluster_id, "shards": list(told.shards)}

    async def trace(self, _request: dict[str, Any]) -> dict[str, Any]:
        return {"trace": dict(self.served.counters)}

    async def usage(self, _request: dict[str, Any]) -> dict[str, Any]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        pages = int(Path("/proc/self/statm").read_text().split()[1])  # noqa: ASYNC240 - no file of a disk
        return {"cpu": used.ru_utime + used.ru_stime, "rss": pages * os.sysconf("SC_PAGE_SIZE")}

    def operation(self, name: str) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
        if name.startswith("_") or name == "operation" or not hasattr(self, name):
            raise ValueError(f"unknown op {name}")
        found: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]] = getattr(self, name)
        return found

    async def _answer(self, request: dict[str, Any]) -> None:
        try:
            say({"id": request["id"], "ok": True, **await self.operation(request["op"])(request)})
        except Exception as error:  # noqa: BLE001 - the one who asked is told
            say({"id": request["id"], "ok": False, "error": repr(error)})

    async def run(self) -> None:
        lines = asyncio.StreamReader(limit=LINE)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        running: set[asyncio.Task[None]] = set()
        while line := await lines.readline():
            task = asyncio.create_task(self._answer(json.loads(line)))
            running.add(task)
            task.add_done_callback(running.discard)


def say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--ip", default="127.0.0.1")
    options.add_argument("--count-only", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        served = await Served.open(Path(folder), given.ip, count_only=given.count_only)
        await served.node.start()
        ready = {
            "event": "ready", "impl": "hushbell", "peer": peer_id_text(served.host.peer_id), "pid": os.getpid(),
            "addrs": [*served.node.addresses], "topic": TOPIC,
        }  # fmt: skip
        say(ready)
        await Driver(served, count_only=given.count_only).run()


def run() -> None:
    """Run on uvloop where it installs, as `hushbell node` does."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())


if __name__ == "__main__":
    run()
