"""Pushes as the outbox holds them, and the transcripts of status-go."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hushbell.core.delivery.outcome import Outcome
from hushbell.core.push import Push
from hushbell.ports.gateway import EagerGateway
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.server import MockProviders
from hushbell.types import (
    DeviceKey,
    DeviceToken,
    InstallationId,
    KeyHash,
    MessageId,
    Millis,
    NotificationId,
    NotificationType,
    TokenType,
)

NOW = 1_700_000_000_000
VECTORS = Path(__file__).parents[1] / "vectors" / "status-go"

MakePush = Callable[..., Push]


def make_push(number: int = 1, **changes: Any) -> Push:
    fields: dict[str, Any] = {
        "notification_id": NotificationId(str(uuid.UUID(int=number))),
        "request": MessageId(bytes(32)),
        "position": number,
        "device": DeviceKey(KeyHash(bytes([number]) * 64), InstallationId(f"phone-{number}")),
        "token_type": int(TokenType.APN),
        "device_token": DeviceToken(f"{number:064x}"),
        "apn_topic": "im.status.ethereum",
        "type": NotificationType.MESSAGE,
        "chat_id": b"c" * 64,
        "message": b"",
        "collapse_id": f"{number:064x}",
        "created_at": Millis(NOW),
        "expires_at": Millis(NOW + 86_400_000),
    }
    return Push(**fields | changes)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def mock(clock: FakeClock) -> AsyncIterator[MockProviders]:
    async with MockProviders(now=clock.now) as made:
        yield made


@pytest.fixture
def push() -> MakePush:
    return make_push


@pytest.fixture
def recorded_bodies() -> list[bytes]:
    """What status-go v1.0.0 posted, byte for byte."""
    files = sorted(VECTORS.glob("t*.json"))
    steps = [step for file in files for step in json.loads(file.read_text())["steps"]]
    return [bytes.fromhex(step["body_hex"]) for step in steps if step.get("kind") == "http"]


class Attempted:
    """A gateway that passes everything through ``attempt`` of another."""

    def __init__(self, gateway: EagerGateway) -> None:
        self._gateway = gateway

    async def deliver(self, pushes: Sequence[Push]) -> Sequence[Outcome]:
        outcomes: dict[int, Outcome] = {}
        all_told = asyncio.get_running_loop().create_future()

        def done(place: int, outcome: Outcome) -> None:
            assert place not in outcomes
            outcomes[place] = outcome
            if len(outcomes) == len(pushes):
                all_told.set_result(None)

        self._gateway.attempt(pushes, done)
        if pushes:
            await all_told
        return [outcomes[place] for place in range(len(pushes))]

    async def close(self) -> None:
        await self._gateway.close()


@pytest.fixture
def attempted() -> type[Attempted]:
    return Attempted
