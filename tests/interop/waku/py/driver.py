"""
py-libp2p as a Waku relay, under the driver of the Go peers: relay, metadata and ping.

As it ships, py-libp2p delivers nothing in a Waku network. Every deviation below is named with its reason, and each of
them bends what is private there: the version is pinned.
"""

import argparse
import hashlib
import json
import os
import resource
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import trio
from libp2p import new_host
from libp2p.crypto.secp256k1 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.ping import PingService
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub import gossipsub, mcache
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.tools.anyio_service import background_trio_service
from libp2p.utils.varint import encode_varint_prefixed, read_varint_prefixed_bytes_limited
from multiaddr import Multiaddr

RELAY = TProtocol("/vac/waku/relay/2.0.0")
METADATA = TProtocol("/vac/waku/metadata/1.0.0")
CLUSTER, SHARD = 16, 32
TOPIC = f"/waku/2/rs/{CLUSTER}/{SHARD}"
CONTENT_TOPIC = "/waku/1/0xdeadbeef/rfc26"
QUEUE = 1024  # RPCs for one peer
PACE = 24  # RPCs for a peer that wait before the publisher does
AUTHORED = ("from_id", "seqno", "signature", "key")


def message_id(message: rpc_pb2.Message) -> bytes:
    return hashlib.sha256(message.data).digest()


# The queue of a peer takes 32 RPCs and drops what comes on top.
RpcQueue.__init__.__defaults__ = (QUEUE, 1024 * 1024)
# The cache knows messages by author and number, which nobody has here: all messages would be one.
mcache.default_msg_id_fn = message_id


class Router(gossipsub.GossipSub):
    """gossipsub with Waku's parameters."""

    _gossiping = False

    def add_peer(self, peer_id: ID, protocol_id: TProtocol | None) -> None:
        # Protocols that it does not know are refused, so Waku's goes by the name of the version it is.
        super().add_peer(peer_id, gossipsub.PROTOCOL_ID_V11 if protocol_id == RELAY else protocol_id)

    def _check_equivocation(self, _msg: rpc_pb2.Message) -> bool:
        return True  # it compares author and number: the second anonymous message would be a lie of the first's author

    def _get_peers_to_send(self, topic_ids: Any, msg_forwarder: ID, origin: ID, msg_id: bytes | None = None) -> set[ID]:
        # Own messages go to everybody in the topic (flood publish), which it cannot do.
        chosen = set(super()._get_peers_to_send(topic_ids, msg_forwarder, origin, msg_id))
        if msg_forwarder == self.pubsub.my_id:
            for topic in topic_ids:
                chosen |= self.pubsub.peer_topics.get(topic, set())
        return chosen - {msg_forwarder}

    def gossip_heartbeat(self) -> Any:
        self._gossiping = True
        try:
            return super().gossip_heartbeat()
        finally:
            self._gossiping = False

    def _check_back_off(self, peer: ID, topic: str) -> bool:
        # Back-off is about grafting; it withholds gossip from such peers too.
        return not self._gossiping and super()._check_back_off(peer, topic)


class Relay(Pubsub):
    """Anonymous messages, and RPCs without a signed record of the sender: verifying one takes longer than the rest."""

    def __init__(self, host: Any, router: Router, deliver: Callable[[bytes], None]) -> None:
        super().__init__(host, router, strict_signing=False, msg_id_constructor=message_id)
        self.deliver = deliver
        self.refused = 0

    async def publish(self, topic_id: Any, data: bytes) -> None:
        await self.push_msg(self.my_id, rpc_pb2.Message(data=data, topicIDs=[topic_id]))

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        if any(msg.HasField(name) for name in AUTHORED):
            self.refused += 1
            return
        await super().push_msg(msg_forwarder, msg)

    def notify_subscriptions(self, publish_message: rpc_pb2.Message) -> None:
        self.deliver(publish_message.data)  # the subscription's own channel holds 32 and drops the rest

    async def write_msg(self, stream: Any, rpc_msg: rpc_pb2.RPC) -> bool:
        rpc_msg.ClearField("senderRecord")
        return await super().write_msg(stream, rpc_msg)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def waku_message(payload: bytes, content_topic: str, nanoseconds: int) -> bytes:
    return field(1, payload) + field(2, content_topic.encode()) + field(3, 1) + field(10, nanoseconds << 1)


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    place = 0

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            value |= (data[place] & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if data[place - 1] < 0x80:
                return value

    while place < len(data):
        tag = number()
        value: Any = number()
        if tag & 7 == 2:
            value, place = data[place : place + value], place + value
        yield tag >> 3, value


def hashed(payload: bytes, content_topic: bytes, nanoseconds: int) -> int:
    digest = hashlib.sha256(TOPIC.encode() + payload + content_topic + nanoseconds.to_bytes(8, "big"))
    return int.from_bytes(digest.digest()[:8], "big")


class Run:
    """What arrived of one run."""

    def __init__(self, now: int) -> None:
        self.n = self.digest = 0
        self.first = self.last = now
        self.seen: set[bytes] = set()
        self.waits: list[int] = []

    def add(self, now: int, data: bytes) -> None:
        self.n += 1
        self.last = now
        known = dict(fields(data))
        payload, sent = known[1], known[10] >> 1
        self.waits.append(now - sent)
        if payload[8:16] not in self.seen:
            self.seen.add(payload[8:16])
            self.digest ^= hashed(payload, known[2], sent)

    def report(self) -> dict[str, Any]:
        waits = sorted(self.waits)
        at = [waits[int(part * (len(waits) - 1))] / 1e6 for part in (0.5, 0.99, 1)]
        return {
            "n": self.n, "unique": len(self.seen), "dups": self.n - len(self.seen), "digest": f"{self.digest:016x}",
            "secs": (self.last - self.first) / 1e9, "first_ns": self.first, "last_ns": self.last,
            "p50_ms": at[0], "p99_ms": at[1], "max_ms": at[2],
        }  # fmt: skip


class Driver:
    def __init__(self, host: Any, port: int, ip: str) -> None:
        self.host = host
        self.address = f"/ip4/{ip}/tcp/{port}/p2p/{host.get_id()}"
        self.router = Router(
            protocols=[RELAY], degree=6, degree_low=4, degree_high=8, gossip_window=3, gossip_history=6,
            heartbeat_interval=1, unsubscribe_back_off=5, adaptive_gossip_enabled=False,
            spam_protection_enabled=False,  # ten messages a second and topic, of its own too
            eclipse_protection_enabled=False,
        )  # fmt: skip
        self.relay = Relay(host, self.router, self.deliver)
        self.runs: dict[str, Run] = {}
        self.own: set[str] = set()

    def deliver(self, data: bytes) -> None:
        now = time.time_ns()
        start = data.index(b"\n") + 1
        while data[start] & 0x80:
            start += 1
        name = data[start + 1 : start + 9].hex()
        if name not in self.own:
            self.runs.setdefault(name, Run(now)).add(now, data)

    async def answer_metadata(self, stream: Any) -> None:
        await read_varint_prefixed_bytes_limited(stream, 1024)
        shards = varint(SHARD)
        await stream.write(encode_varint_prefixed(field(1, CLUSTER) + field(2, SHARD) + field(3, shards)))
        await stream.close()

    async def connect(self, request: dict[str, Any]) -> dict[str, Any]:
        info = info_from_p2p_addr(Multiaddr(request["addr"]))
        await self.host.connect(info)
        return {"peer": str(info.peer_id)}

    async def ping(self, request: dict[str, Any]) -> dict[str, Any]:
        times = await PingService(self.host).ping(ID.from_base58(request["peer"]), ping_amt=3)
        return {"microseconds": list(times)}

    async def metadata(self, request: dict[str, Any]) -> dict[str, Any]:
        stream = await self.host.new_stream(ID.from_base58(request["peer"]), [METADATA])
        await stream.write(encode_varint_prefixed(field(1, CLUSTER) + field(2, SHARD) + field(3, varint(SHARD))))
        known = dict(fields(await read_varint_prefixed_bytes_limited(stream, 1024)))
        await stream.close()
        return {"cluster": known[1], "shards": list(known[3])}

    async def peers(self, _request: dict[str, Any]) -> dict[str, Any]:
        mesh = self.router.mesh.get(TOPIC, ())
        topic = self.relay.peer_topics.get(TOPIC, ())
        return {
            "peers": [
                {
                    "peer": str(peer), "mesh": peer in mesh, "subscribed": peer in topic,
                    "protocols": list(self.host.get_peerstore().get_protocols(peer)),
                }
                for peer in self.relay.peers
            ]
        }  # fmt: skip

    async def publish(self, request: dict[str, Any]) -> dict[str, Any]:
        run = bytes.fromhex(request["run"])
        self.own.add(request["run"])
        topic = request.get("ct", CONTENT_TOPIC)
        filling = bytes(range(256)) * (request.get("size", 1024) // 256 + 1)
        filling = filling[: max(0, request.get("size", 1024) - 16)]
        digest = 0
        started = time.perf_counter()
        for count in range(request.get("n", 1)):
            if request.get("rate"):
                await trio.sleep(max(0.0, started + count / request["rate"] - time.perf_counter()))
            payload, now = run + struct.pack(">Q", count) + filling, time.time_ns()
            digest ^= hashed(payload, topic.encode(), now)
            await self.relay.publish(TOPIC, waku_message(payload, topic, now))
            while self.crowded():  # noqa: ASYNC110 - it has no back pressure, and drops
                await trio.sleep(0.0005)
        return {"secs": time.perf_counter() - started, "digest": f"{digest:016x}"}

    def crowded(self) -> bool:
        return any(len(queue) > PACE for queue in self.relay.peer_queues.values())

    async def wait(self, request: dict[str, Any]) -> dict[str, Any]:
        last, since = -1, time.monotonic()
        while True:
            run = self.runs.get(request["run"])
            count = len(run.seen) if run else 0
            if count != last:
                last, since = count, time.monotonic()
            if count >= request["n"] or time.monotonic() - since > request.get("timeout", 10):
                return run.report() if run else {"n": 0, "unique": 0, "dups": 0}
            await trio.sleep(0.005)

    async def usage(self, _request: dict[str, Any]) -> dict[str, Any]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        pages = int(Path("/proc/self/statm").read_text().split()[1])  # noqa: ASYNC240 - no file of a disk
        return {"cpu": used.ru_utime + used.ru_stime, "rss": pages * os.sysconf("SC_PAGE_SIZE")}

    async def quit(self, _request: dict[str, Any]) -> dict[str, Any]:
        os._exit(0)

    def operation(self, name: str) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
        if name not in {"connect", "ping", "metadata", "peers", "publish", "wait", "usage", "quit"}:
            raise ValueError(f"unknown op {name}")
        found: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]] = getattr(self, name)
        return found

    async def answer(self, line: str) -> None:
        request = json.loads(line)
        try:
            say({"id": request["id"], "ok": True, **await self.operation(request["op"])(request)})
        except Exception as error:  # noqa: BLE001 - the one who asked is told
            say({"id": request["id"], "ok": False, "error": repr(error)})


def say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def free_port(ip: str) -> int:
    with socket.socket() as probe:
        probe.bind((ip, 0))
        port: int = probe.getsockname()[1]
        return port


async def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--ip", default="127.0.0.1")
    options.add_argument("--muxer", default="YAMUX", choices=["YAMUX", "MPLEX"])
    given = options.parse_args()
    port = free_port(given.ip)  # it tells no address for port 0
    listen = [Multiaddr(f"/ip4/{given.ip}/tcp/{port}")]
    host = new_host(key_pair=create_new_key_pair(), listen_addrs=listen, muxer_preference=given.muxer)
    driver = Driver(host, port, given.ip)
    async with host.run(listen), background_trio_service(driver.relay), background_trio_service(driver.router):
        await driver.relay.wait_until_ready()
        host.set_stream_handler(METADATA, driver.answer_metadata)
        await driver.relay.subscribe(TOPIC)
        say({"event": "ready", "impl": "py-libp2p", "addrs": [driver.address], "peer": str(host.get_id()),
             "pid": os.getpid(), "topic": TOPIC})  # fmt: skip
        async with trio.open_nursery() as nursery:
            async for line in trio.wrap_file(sys.stdin):
                nursery.start_soon(driver.answer, line)
            nursery.cancel_scope.cancel()


trio.run(main)
