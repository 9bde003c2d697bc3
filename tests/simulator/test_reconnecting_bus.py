"""A bus whose server comes and goes."""

import asyncio
from pathlib import Path

import pytest

from hushbell.errors import TransportError
from hushbell.ports.transport import ReceivedMessage
from hushbell.simulator.reconnecting_bus import ReconnectingBus
from hushbell.transports.socket import SocketBusServer
from hushbell.types import DEFAULT_PUBSUB_TOPIC, Envelope

FIRST, SECOND = (Envelope(DEFAULT_PUBSUB_TOPIC, bytes([n])) for n in range(2))


def received(sent: Envelope) -> ReceivedMessage:
    return ReceivedMessage(sent.pubsub_topic, sent.waku_message)


async def until_connected(server: SocketBusServer) -> None:
    for _ in range(1_000_000):
        if server.connections:
            return
        await asyncio.sleep(0)
    raise AssertionError("nobody came")


async def test_a_server_that_comes_back_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "bus"
    bus = ReconnectingBus(path)
    receiving = asyncio.create_task(bus.receive(8))

    before = await SocketBusServer.listen(path)
    await until_connected(before)
    await before.publish([FIRST])
    assert await receiving == [received(FIRST)]
    receiving = asyncio.create_task(bus.receive(8))
    await before.close()
    after = await SocketBusServer.listen(path)
    await until_connected(after)
    await after.publish([SECOND])

    assert await receiving == [received(SECOND)]
    await bus.publish([FIRST])
    assert await after.receive(8) == [received(FIRST)]
    await bus.close()
    await after.close()


async def test_a_socket_without_a_listener_is_a_transport_error(tmp_path: Path) -> None:
    bus = ReconnectingBus(tmp_path / "bus")

    with pytest.raises(TransportError):
        await bus.publish([FIRST])


async def test_closing_ends_a_wait_for_the_server(tmp_path: Path) -> None:
    bus = ReconnectingBus(tmp_path / "bus")
    receiving = asyncio.create_task(bus.receive(8))

    await bus.close()

    assert list(await receiving) == []
