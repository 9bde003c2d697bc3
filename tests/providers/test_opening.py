"""From settings to a gateway."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hushbell.config.gateway import GatewaySettings, ServerApnsSettings, ServerGorushSettings
from hushbell.core.push import Push
from hushbell.errors import ConfigError
from hushbell.ports.gateway import Verdict
from hushbell.providers.opening import open_gateway
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.server import MockProviders

MakePush = Callable[..., Push]


async def test_a_push_without_a_provider_waits_for_the_operator(push: MakePush) -> None:
    gateway = open_gateway(GatewaySettings(), FakeClock())

    outcomes = await gateway.deliver([push(1), push(2, token_type=2)])

    assert [outcome.verdict for outcome in outcomes] == [Verdict.MISCONFIGURED] * 2


async def test_outcomes_keep_the_order_of_the_pushes(push: MakePush) -> None:
    clock = FakeClock()
    async with MockProviders(now=clock.now) as mock:
        http = mock.http()
        apns = ServerApnsSettings(
            key_file=str(mock.apns.key_file), key_id=mock.apns.key_id, team_id=mock.apns.team_id, http=http
        )
        gateway = open_gateway(GatewaySettings(apns=apns), clock)

        outcomes = await gateway.deliver([push(1, token_type=2), push(2), push(3, token_type=2), push(4)])
        await gateway.close()

    assert [outcome.verdict.name for outcome in outcomes] == ["MISCONFIGURED", "ACCEPTED"] * 2


async def test_with_a_gorush_everything_goes_there(push: MakePush) -> None:
    async with MockProviders() as mock:
        gateway = open_gateway(GatewaySettings(gorush=ServerGorushSettings(url=mock.plain_url)), FakeClock())

        await gateway.deliver([push(1), push(2, token_type=2)])
        await gateway.close()

        assert [note["platform"] for note in mock.requests[0].json["notifications"]] == [1, 2]


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    apns = ServerApnsSettings(key_file=str(tmp_path / "none.p8"), key_id="K", team_id="T")

    with pytest.raises(ConfigError, match="key_file"):
        open_gateway(GatewaySettings(apns=apns), FakeClock())
