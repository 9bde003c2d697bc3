"""
Where the time of a push goes inside the gateway: its whole way in one process, without sockets, disk or threads.

    python bench/gateway_path.py

Requests are handed to the HTTP connections as bytes, and Apple's answers to the HTTP/2 connection. What is between is
the gateway's own: keys, limits, queue packed and sealed, states. Figures are microseconds a push, of the best round;
``ratio_json`` is the whole way over parsing the request's JSON and writing it again, in the same run.
"""

# ruff: noqa: SLF001  the gateway is cut open where it would wait
import asyncio
import gc
import os
import struct
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import _gateway_peers as peers
import orjson
from _gateway_figures import tell

from hushbell.api.app import GatewayApi
from hushbell.api.http.server import HttpConnection
from hushbell.cli.event_loop import GC_THRESHOLDS
from hushbell.cli.files import read_settings
from hushbell.cli.gateway import open_apps, open_queue
from hushbell.http.h2.connection import H2Connection
from hushbell.http.h2.protocol import H2Protocol
from hushbell.observability.metrics import Counters
from hushbell.runtime.clock import SystemClock
from hushbell.runtime.delivery.engine import DeliveryEngine

SHAPES = {"one_per_request": (1, 1, 10), "100_per_request": (100, 1, 16), "100_tokens": (1, 100, 16)}
"""Notifications in a request, tokens in each, requests that share a commit."""
PUSHES = 20_000  # of a round
ROUNDS = 5
STAGES = ("take", "commit", "queue", "send", "answers")
_HEADERS, _SETTINGS, _WINDOW = 1, 4, 8  # types of frames
_FINE = b"\x88"  # status 200


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


class Wire:
    """A transport that leads nowhere."""

    def __init__(self) -> None:
        self.last = b""

    def write(self, data: bytes) -> None:
        """Keep what would be sent."""
        self.last = data

    def get_extra_info(self, _name: str) -> "Wire":
        """Pass for the TLS of the connection, too."""
        return self

    def selected_alpn_protocol(self) -> str:
        """Return what Apple speaks."""
        return "h2"


class Way:
    """One gateway, cut open where it would wait."""

    def __init__(self, folder: Path, notes: int, tokens: int, together: int) -> None:
        self.notes, self.tokens, self.together = notes, tokens, together
        self.number = 0
        self.spent = dict.fromkeys(STAGES, 0.0)
        settings = read_settings(str(self._settings(folder)), {"server.data": str(folder / "data")})
        (folder / "data").mkdir()
        clock = SystemClock()
        apps = open_apps(settings, clock)
        queue = open_queue(settings, folder / "data")
        queue.writer.put = lambda *_: None  # the disk is told by hand
        self.engine = DeliveryEngine(outbox=queue, apps=apps, clock=clock, random=os.urandom)
        front = GatewayApi(
            self.engine, settings, clock=clock, random=os.urandom, counters=Counters(), version=""
        ).server
        front.fair_queue._now = lambda: 0.0  # nobody waits for a turn
        self.wires = [Wire() for _ in range(together)]
        self.connections = [HttpConnection(front) for _ in range(together)]
        for connection, wire in zip(self.connections, self.wires, strict=True):
            connection.connection_made(wire)
        http: Any = apps[0].providers["apns"].http
        http._open()
        self.host = http._pool("https://api.push.apple.com")
        self.link = self._link()

    def _settings(self, folder: Path) -> Path:
        files = peers.Files(folder).make()
        text = peers.OURS.format(port=1, sync="true", digest=sha256(peers.KEY.encode()).hexdigest())
        text += peers.APP.format(name="app0", queue=1_000_000, feedback="", folder=folder, tls="127.0.0.1:1")
        return files.write("hushbell.toml", text.encode())

    def _link(self) -> H2Connection:
        """Return a connection to Apple that has room for everything."""
        link = H2Connection(
            H2Protocol(self.host._origin.authority, self.host._bounds), self.host, asyncio.get_running_loop()
        )
        link.connection_made(Wire())
        wide = struct.pack(">HIHI", 3, 1000, 4, 1 << 30)
        link.data_received(frame(_SETTINGS, 0, 0, wide) + frame(_WINDOW, 0, 0, struct.pack(">I", 1 << 30)))
        self.host.connections.append(link)
        return link

    def body(self) -> bytes:
        """Return what one request says, to tokens that were not used before."""
        notes = []
        for _ in range(self.notes):
            self.number += self.tokens
            tokens = [f"aaaa{number:060x}" for number in range(self.number, self.number + self.tokens)]
            words = f"New message #{self.number};"
            notes.append(
                {"tokens": tokens, "platform": 1, "message": words, "title": "Chat", "topic": "org.example.app"}
            )
        return orjson.dumps({"notifications": notes})

    def requests(self) -> list[bytes]:
        """Return the bytes of a request for each connection."""
        bodies = [self.body() for _ in range(self.together)]
        head = "POST /api/push HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: {}\r\n"
        key = f"Authorization: Bearer {peers.KEY}\r\n\r\n"
        return [(head.format(len(body)) + key).encode() + body for body in bodies]

    def timed(self, stage: str, work: Callable[[], object]) -> None:
        """Do something and count its time."""
        start = time.perf_counter()
        work()
        self.spent[stage] += time.perf_counter() - start

    def once(self) -> None:
        """Have requests taken, committed, sent and answered."""
        requests = self.requests()
        self.timed("take", lambda: self._take(requests))
        self.timed("commit", self.engine.commits.flush)
        self.timed("queue", lambda: self.engine.commits._on_commit(None))
        while True:
            self.timed("send", self._send)
            if not self.link.protocol.streams:
                break
            answers = b"".join([frame(_HEADERS, 5, stream, _FINE) for stream in self.link.protocol.streams])
            self.timed("answers", lambda answers=answers: self.link.data_received(answers))
            self.link.protocol._out.window = 1 << 30
        assert all(b"200 OK" in wire.last for wire in self.wires)
        self.timed("commit", self.engine.commits.flush)
        if self.engine.commits._under_way is not None:
            self.engine.commits._on_commit(None)

    def _take(self, requests: list[bytes]) -> None:
        for connection, request in zip(self.connections, requests, strict=True):
            connection.data_received(request)

    def _send(self) -> None:
        self.engine._rounds.run()
        self.host.send_waiting()


async def measure(name: str, notes: int, tokens: int, together: int) -> None:
    """Tell the stages of one shape."""
    with tempfile.TemporaryDirectory(prefix="hushbell-bench-") as folder:
        path = Way(Path(folder), notes, tokens, together)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        pushes = notes * tokens * together
        rounds, best = max(1, PUSHES // pushes), dict.fromkeys(STAGES, float("inf"))
        for _ in range(ROUNDS):
            path.spent = dict.fromkeys(STAGES, 0.0)
            for _ in range(rounds):
                path.once()
                await asyncio.sleep(0)  # what was planned besides
            best = min(best, path.spent, key=lambda spent: sum(spent.values()))
        for stage, spent in best.items():
            tell(f"path_{name}_{stage}", spent / rounds / pushes * 1e6, "us")
        whole = sum(best.values()) / rounds / pushes * 1e6
        tell(f"path_{name}", whole, "us")
        tell(f"ratio_json_{name}", whole / json_cost(path), "x")


def json_cost(path: Way) -> float:
    """Return the microseconds a push that a request's JSON costs to be parsed and written."""
    bodies = [path.body() for _ in range(max(10, 2000 // path.notes // path.tokens))]
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for body in bodies:
            orjson.dumps(orjson.loads(body))
        best = min(best, time.perf_counter() - start)
    return best / len(bodies) / path.notes / path.tokens * 1e6


async def main() -> None:
    for name, shape in SHAPES.items():
        await measure(name, *shape)
    os._exit(0)  # the queue's thread was cut off from its queue


if __name__ == "__main__":
    asyncio.run(main())
