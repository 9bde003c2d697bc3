"""A clock and a mock of all providers."""

from collections.abc import AsyncIterator

import pytest

from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.server import MockProviders


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def mock(clock: FakeClock) -> AsyncIterator[MockProviders]:
    async with MockProviders(now=clock.now) as made:
        yield made
