"""The main job over libp2p: phones in this process ring each other through a server in another."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import hushbell
from hushbell.crypto import secp256k1
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.simulator.over_waku import join_waku
from hushbell.simulator.phone import Phone
from hushbell.testing.gorush import MockGorush
from hushbell.types import DeviceToken, Nanos, PublicKey

SOURCES = Path(hushbell.__file__).parents[1]
TOKEN = DeviceToken("0123456789abcdef" * 4)
NewPhone = Callable[..., Awaitable[Phone]]


@pytest.fixture
async def gateway() -> AsyncIterator[MockGorush]:
    async with MockGorush() as made:
        yield made


@pytest.fixture
async def server(tmp_path: Path, gateway: MockGorush) -> AsyncIterator[dict[str, Any]]:
    """A server with its own node, reached over TCP and over WebSocket; yields its ready line."""
    command = [
        sys.executable,
        "-m",
        "hushbell.cli",
        "serve",
        "--data",
        str(tmp_path / "data"),
        "--gateway",
        gateway.url,
    ]
    command += ["--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/tcp/0/ws"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(SOURCES)}
    )
    assert process.stdout is not None
    yield json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0


@pytest.fixture
async def new_phone() -> AsyncIterator[NewPhone]:
    async with AsyncExitStack() as stack:

        async def made(address: str) -> Phone:
            transport = await join_waku([address], clock=SystemClock(), random=system_random)
            phone = Phone(
                transport,
                identity=secp256k1.key_pair(system_random),
                clock=lambda: Nanos(time.time_ns()),
                random=system_random,
            )
            return await stack.enter_async_context(phone)

        yield made


async def test_bob_rings_alice_over_tcp_and_websocket(
    server: dict[str, Any], gateway: MockGorush, new_phone: NewPhone
) -> None:
    tcp, websocket = server["addresses"]
    identity = PublicKey(bytes.fromhex(server["identity"]))
    alice, bob = await new_phone(tcp), await new_phone(websocket)

    answer = await alice.register(identity, TOKEN)
    [info] = await bob.query(alice.identity.public)
    [report] = await bob.notify([info], message_id=b"m" * 32, chat_id="chat")

    assert answer.success
    assert info.server == identity
    assert report.success
    await gateway.wait_for(1)
    assert gateway.posted[0].notifications[0]["tokens"] == [TOKEN]
