"""
SIGKILL of the server and its node under load, while another node stores: nothing published meanwhile is missed.

Every registration and every request is published exactly once, by a phone that does not ask twice.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

import hushbell
from hushbell.core.client import request
from hushbell.core.client.query import Info
from hushbell.crypto import secp256k1
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.simulator.phone import NoAnswer, Phone
from hushbell.simulator.waku_transport import join_waku
from hushbell.testing.child_processes import kill_with_parent
from hushbell.testing.mock.server import MockProviders
from hushbell.transports.bus import Bus
from hushbell.types import DeviceToken, NotificationType, PublicKey

pytestmark = pytest.mark.chaos

SOURCES = Path(hushbell.__file__).parents[1]
KILLS = int(os.environ.get("HUSHBELL_WAKU_KILLS", "6"))
RUNG = 60  # phones that are rung, each by one request
NEW = 60  # phones that register while servers die
PAUSE = 0.12  # seconds between two messages
ONCE = 3600.0  # seconds until a phone would send again
CAUGHT_UP = 40.0  # seconds until everything missed must have been found


class Process:
    """One of our commands, started as often as it takes."""

    def __init__(self, *arguments: str, log: Path) -> None:
        self._arguments = arguments
        self._log = log
        self._process: asyncio.subprocess.Process
        self.ready: dict[str, Any] = {}

    async def start(self) -> None:
        settings = {name: value for name, value in os.environ.items() if not name.startswith("HUSHBELL_")}
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "hushbell.cli", *self._arguments),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=settings | {"PYTHONPATH": str(SOURCES)},
            )
            kill_with_parent(self._process.pid)
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 20)
        assert line, self._log.read_text()[-4000:]
        self.ready = json.loads(line)

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self._process.wait(), 10)


class World:
    """A node that stores, a server that dies, a gateway, and phones that reach the former alone."""

    def __init__(self, folder: Path, gateway: MockProviders, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._gateway = gateway
        self._stack = stack
        self._bus = Bus()
        self.node = Process("node", "--data", str(folder / "node"), log=folder / "node.log")
        self.server: Process

    async def begin(self) -> None:
        await self.node.start()
        [address] = self.node.ready["addresses"]
        config = self._folder / "hushbell.toml"
        config.write_text("[limits]\nrings_per_minute = 100000\nring_burst = 100000\n")
        self.server = Process(
            *("serve", "--config", str(config), "--data", str(self._folder / "server")),
            *("--peer", address, "--gateway", self._gateway.plain_url),
            log=self._folder / "server.log",
        )
        await self.server.start()
        transport = await join_waku([address], clock=SystemClock(), random=system_random)
        self._stack.push_async_callback(transport.close)
        inside = self._bus.connect()
        for source, sink in ((transport, inside), (inside, transport)):
            task = asyncio.create_task(_carry(source, sink))
            self._stack.callback(task.cancel)

    @property
    def identity(self) -> PublicKey:
        return PublicKey(bytes.fromhex(self.server.ready["identity"]))

    async def phone(self, *, resend: float = ONCE, patience: float = 30.0) -> Phone:
        phone = Phone(
            self._bus.connect(),
            identity=secp256k1.key_pair(system_random),
            resend=resend,
            patience=patience,
        )
        return await self._stack.enter_async_context(phone)

    def notified(self) -> set[str]:
        return {token for request in self._gateway.requests for token in request.push.tokens}

    async def close(self) -> None:
        await self.server.kill()
        await self.node.kill()


async def _carry(source: Any, sink: Any) -> None:
    while came := await source.receive(256):
        await sink.publish(came)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(MockProviders())
        made = World(tmp_path, gateway, stack)
        stack.push_async_callback(made.close)
        yield made


async def test_nothing_published_while_the_server_was_dead_or_dying_is_missed(world: World) -> None:
    await world.begin()
    dice = random.Random(int(os.environ.get("HUSHBELL_SEED") or 1))
    carol = await world.phone(resend=1.0, patience=CAUGHT_UP)
    notified = [(await world.phone(resend=1.0), DeviceToken(f"{number:064x}")) for number in range(RUNG)]
    infos: list[Info] = []
    for phone, token in notified:
        assert (await phone.register(world.identity, token)).success
        infos += await carol.query(phone.identity.public)
    new = [await world.phone(patience=0.01) for _ in range(NEW)]

    async def load() -> None:
        for number in range(max(RUNG, NEW)):
            if number < NEW:
                with suppress(NoAnswer):
                    await new[number].register(world.identity, DeviceToken(f"{RUNG + number:064x}"))
            if number < RUNG:
                bob = await world.phone(patience=0.01)
                ringing = request.NotificationContent(
                    number.to_bytes(32, "big"), "chat", NotificationType.MESSAGE, bob.identity.public
                )
                [asked] = request.build_requests([infos[number]], ringing, bob.identity)
                with suppress(NoAnswer):
                    await bob.send(asked, bob.identity)
            await asyncio.sleep(PAUSE)

    loading = asyncio.create_task(load())
    lives = []
    for _ in range(KILLS):
        lives.append(lived := dice.random() * 3.0)
        await asyncio.sleep(lived)
        await world.server.kill()
        await asyncio.sleep(dice.random())
        await world.server.start()
    await loading
    began = time.monotonic()
    while missing := {token for _, token in notified} - world.notified():
        assert time.monotonic() - began < CAUGHT_UP, f"{len(missing)} of {RUNG} requests were missed"
        await asyncio.sleep(0.2)
    found = [len(await carol.query(phone.identity.public)) for phone in new]

    assert found == [1] * NEW, f"{found.count(0)} of {NEW} registrations were missed"
    assert await world.server.stop() == 0
    sys.stdout.write(f"kills: {KILLS}\nrequests: {RUNG}\nregistrations: {RUNG + NEW}\n")
    sys.stdout.write(f"caught up after the load: {time.monotonic() - began:.1f} s\n")
