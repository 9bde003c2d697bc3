"""A gateway on a queue in memory, with providers that answer as told, and a client that speaks raw HTTP."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import pytest

from hushbell.api.app import GatewayApi
from hushbell.config.apps import AppSettings, KeySettings
from hushbell.config.gateway import GatewaySettings
from hushbell.config.settings import Settings
from hushbell.observability.metrics import Counters
from hushbell.runtime.delivery.engine import App, DeliveryEngine
from hushbell.stores.memory.outbox import MemoryOutbox
from hushbell.testing.clock import FakeClock
from hushbell.testing.scripted_provider import ScriptedProvider

KEY = "k" * 43


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Gateway:
    engine: DeliveryEngine
    api: GatewayApi
    port: int
    clock: FakeClock
    counters: Counters
    apns: ScriptedProvider
    fcm: ScriptedProvider
    other: ScriptedProvider
    queue: MemoryOutbox
    running: asyncio.Task[None]
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return reader, writer

    async def send(
        self,
        method: str,
        path: str,
        body: Any = b"",
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Host": "gateway", "Content-Length": str(len(content))} | (headers or {})
        if key is not None:
            given["Authorization"] = f"Bearer {key}"
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
        reader, writer = await self.connect()
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        return await read(reader, method)

    async def push(self, *notifications: Any, **options: Any) -> Answer:
        return await self.send("POST", "/api/push", {"notifications": list(notifications)}, **options)

    async def idle(self) -> None:
        for turn in range(20_000):
            if self.engine.is_idle:
                return
            await asyncio.sleep(0 if turn < 1000 else 0.0005)
        raise AssertionError("never idle")

    async def close(self) -> None:
        for writer in self.writers:
            writer.close()
        await self.api.server.close(0.0)
        self.engine.stop()
        for provider in (self.apns, self.fcm, self.other):
            await provider.close()
        await self.running


async def read(reader: asyncio.StreamReader, method: str = "GET") -> Answer:
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = [line.split(": ", 1) for line in head[1:] if line]
        headers = {name.lower(): value for name, value in pairs}
        size = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        return Answer(int(head[0].split()[1]), headers, await reader.readexactly(size))


Start = Callable[..., Any]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts gateways; keyword arguments are settings of ``[gateway]``, ``keys`` and ``retries``."""
    started: list[Gateway] = []

    async def starting(*, keys: tuple[KeySettings, ...] = (), retries: int | None = None, **options: Any) -> Gateway:
        apns, fcm, other = ScriptedProvider("apns"), ScriptedProvider("fcm"), ScriptedProvider("apns")
        apps = [
            App(name="chat", providers={"apns": apns, "fcm": fcm}, retries=retries),
            App(name="other", providers={"apns": other}, queue=10),
        ]
        settings = Settings(
            gateway=replace(GatewaySettings(), **options),
            apps=(AppSettings(name="chat"), AppSettings(name="other")),
            keys=keys,
        )
        clock, counters, queue = FakeClock(manual=True), Counters(), MemoryOutbox(random=os.urandom)
        engine = DeliveryEngine(outbox=queue, apps=apps, clock=clock, random=os.urandom)
        await engine.start()
        api = GatewayApi(engine, settings, clock=clock, random=os.urandom, counters=counters, version="1.2.3")
        port = await api.server.listen("127.0.0.1", 0)
        running = asyncio.create_task(engine.run())
        made = Gateway(engine, api, port, clock, counters, apns, fcm, other, queue, running)
        started.append(made)
        return made

    yield starting
    for gateway in started:
        await gateway.close()


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    made: Gateway = await start()
    return made


@pytest.fixture
def key() -> Callable[..., KeySettings]:
    """Makes a key's settings; the key itself is 43 letters k, or the text given."""

    def making(text: str = KEY, **options: Any) -> KeySettings:
        return KeySettings(name="test", sha256=sha256(text.encode()).hexdigest(), **options)

    return making
