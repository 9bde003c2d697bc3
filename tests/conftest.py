"""
What tests share.

Generated examples are the same on every run, so that a red test stays red. A real service on the in-memory bus rings
into a gateway that keeps what it got.
"""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings

from hushbell.simulator.server import RunningServer, run_server
from hushbell.transports.bus import Bus

settings.register_profile(
    "hushbell",
    derandomize=True,
    deadline=None,  # a busy machine is no bug
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("hushbell")


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
async def served(bus: Bus) -> AsyncIterator[RunningServer]:
    async with run_server(bus.connect()) as made:
        yield made
