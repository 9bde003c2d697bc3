"""Peers that tests start and that end with them. What is missing on this machine skips its tests and is told."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.interop.waku import peers
from tests.interop.waku.peers import Hushbell, Peer

from hushbell.testing.mock.server import MockProviders

OURS = Path(__file__).with_name("ours.py")

Start = Callable[..., Awaitable[Peer]]
Made = TypeVar("Made")


def made(make: Callable[[], Made]) -> Made:
    try:
        return make()
    except peers.Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def go_waku_binary() -> Path:
    return made(peers.go_waku)


@pytest.fixture(scope="session")
def go_libp2p_binary() -> Path:
    return made(peers.go_libp2p)


@pytest.fixture(scope="session")
def node_command() -> list[str]:
    return made(peers.javascript)


@pytest.fixture(scope="session")
def python_of_libp2p() -> Path:
    return made(peers.python_libp2p)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Return a function that starts a program under the driver; all of them end with the test."""
    started: list[Peer] = []

    async def program(*command: str | Path, **options: Any) -> Peer:
        peer = await Peer.start(*command, **options)
        started.append(peer)
        return peer

    yield program
    for peer in reversed(started):
        await peer.close()


@pytest.fixture
def go_waku(start: Start, go_waku_binary: Path) -> Start:
    return partial(start, go_waku_binary)


@pytest.fixture
def go_libp2p(start: Start, go_libp2p_binary: Path) -> Start:
    return partial(start, go_libp2p_binary)


@pytest.fixture
def js_relay(start: Start, node_command: list[str]) -> Start:
    *command, folder = node_command
    return partial(start, *command, f"{folder}/relay.mjs")


@pytest.fixture
def js_light(start: Start, node_command: list[str]) -> Start:
    *command, folder = node_command
    return partial(start, *command, f"{folder}/light.mjs")


@pytest.fixture
def py_libp2p(start: Start, python_of_libp2p: Path) -> Start:
    return partial(start, python_of_libp2p, peers.SOURCES / "py" / "driver.py")


@pytest.fixture
def ours(start: Start) -> Start:
    """Our node under the driver, to publish by it and to see what it hears."""
    return partial(start, sys.executable, OURS, env={"PYTHONPATH": str(peers.REPOSITORY / "src")})


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Hushbell]:
    """`hushbell node` as it starts without a configuration."""
    started = await Hushbell.start(tmp_path, "node")
    yield started
    await started.close()


@pytest.fixture
async def push_server(tmp_path: Path, gorush: MockProviders) -> AsyncIterator[Hushbell]:
    """`hushbell serve` with its own node, in front of a mock of gorush."""
    started = await Hushbell.start(tmp_path, "serve", "--gateway", gorush.plain_url)
    yield started
    await started.close()
