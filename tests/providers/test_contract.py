"""What every gateway promises, whatever the other side does."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from hushbell.config.gateway import ServerApnsSettings, ServerGorushSettings, Shape
from hushbell.core.delivery.outcome import Verdict
from hushbell.core.push import Push
from hushbell.http.curl import CurlHttp
from hushbell.http.h2.client import H2Client
from hushbell.ports.gateway import EagerGateway, Gateway
from hushbell.providers.apns.adapter import Apns
from hushbell.providers.apns.token import TokenSigner
from hushbell.providers.gorush.adapter import GorushGateway
from hushbell.providers.routing import Router
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.http import Fault
from hushbell.testing.mock.rules import ScriptedReply
from hushbell.testing.mock.server import MockProviders
from hushbell.types import TokenType

TIMEOUT = 0.5  # seconds; the other side is on this machine, which may be busy
MakePush = Callable[..., Push]


@dataclass
class World:
    """A gateway, and what its other side can be made to do."""

    gateway: Gateway
    answer: Callable[[int], None]
    hang: Callable[[], None]
    cut: Callable[[], None]
    garbage: Callable[[int], None]
    refuse: Callable[[], Awaitable[None]]
    arrived: Callable[[], int]


def made_world(mock: MockProviders, gateway: Gateway, arrived: Callable[[], int]) -> World:
    def reply(**fields: Any) -> None:
        mock.decide = lambda _request, _push: ScriptedReply(**fields)

    return World(
        gateway,
        answer=lambda status: reply(status=status),
        hang=lambda: reply(fault=Fault.BLACKHOLE),
        cut=lambda: reply(fault=Fault.CLOSE),
        garbage=lambda status: reply(status=status, body=random.Random(1).randbytes(200_000)),
        refuse=mock.refuse,
        arrived=arrived,
    )


async def gorush_world(shape: Shape) -> AsyncIterator[World]:
    async with MockProviders() as mock:
        settings = ServerGorushSettings(url="https://localhost", shape=shape, timeout=TIMEOUT, http=mock.http())
        gateway = GorushGateway(settings, CurlHttp(settings.http))
        yield made_world(mock, gateway, lambda: sum(len(request.push.tokens) for request in mock.requests))
        await gateway.close()


async def apns_world(client: type[CurlHttp] | type[H2Client], *, routed: bool = False) -> AsyncIterator[World]:
    clock = FakeClock()
    async with MockProviders(now=clock.now) as mock:
        apple, http = mock.apns, mock.http()
        settings = ServerApnsSettings(
            key_file=str(apple.key_file), key_id=apple.key_id, team_id=apple.team_id, timeout=TIMEOUT, http=http
        )
        signer = TokenSigner(apple.key_pem, key_id=apple.key_id, team_id=apple.team_id)
        gateway: Gateway = Apns(settings, client(http), signer, clock)
        if routed:
            gateway = Router({TokenType.APN: gateway})
        yield made_world(mock, gateway, lambda: mock.count("apns"))
        await gateway.close()


Wrap = Callable[[EagerGateway], Gateway]
WORLDS: dict[str, Callable[[], AsyncIterator[World]]] = {
    "apns": lambda: apns_world(H2Client),
    "apns over libcurl": lambda: apns_world(CurlHttp),
    "router": lambda: apns_world(H2Client, routed=True),
    "gorush status": lambda: gorush_world(Shape.STATUS),
    "gorush spec": lambda: gorush_world(Shape.SPEC),
    "gorush own": lambda: gorush_world(Shape.OWN),
}


@pytest.fixture(params=[*WORLDS, "apns attempted", "router attempted", "gorush attempted"])
async def world(request: pytest.FixtureRequest, attempted: Wrap) -> AsyncIterator[World]:
    name = {"gorush attempted": "gorush spec"}.get(request.param, request.param.removesuffix(" attempted"))
    async for made in WORLDS[name]():
        if "attempted" in request.param:
            eager = made.gateway if isinstance(made.gateway, EagerGateway) else Router({TokenType.APN: made.gateway})
            made.gateway = attempted(eager)
        yield made


async def verdicts(world: World, pushes: list[Push]) -> list[Verdict]:
    before = time.monotonic()
    outcomes = await world.gateway.deliver(pushes)
    assert time.monotonic() - before < 20 * TIMEOUT
    assert len(outcomes) == len(pushes)
    return [outcome.verdict for outcome in outcomes]


async def test_every_push_arrives_and_is_accepted(world: World, push: MakePush) -> None:
    assert await verdicts(world, [push(n) for n in range(1, 6)]) == [Verdict.ACCEPTED] * 5
    assert world.arrived() == 5


async def test_no_push_is_no_work(world: World) -> None:
    assert await verdicts(world, []) == []
    assert world.arrived() == 0


async def test_nobody_listening_means_try_again(world: World, push: MakePush) -> None:
    await world.refuse()

    assert await verdicts(world, [push(1), push(2)]) == [Verdict.RETRY] * 2


async def test_silence_ends_in_time_and_leaves_the_outcome_unknown(world: World, push: MakePush) -> None:
    world.hang()

    assert await verdicts(world, [push(1), push(2)]) == [Verdict.UNKNOWN] * 2


async def test_a_connection_cut_after_sending_leaves_the_outcome_unknown(world: World, push: MakePush) -> None:
    world.cut()

    assert await verdicts(world, [push(1)]) == [Verdict.UNKNOWN]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_busy_or_broken_server_means_try_again(world: World, push: MakePush, status: int) -> None:
    world.answer(status)

    assert await verdicts(world, [push(1), push(2)]) == [Verdict.RETRY] * 2


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405])
async def test_a_wrong_address_or_credential_is_the_operators(world: World, push: MakePush, status: int) -> None:
    world.answer(status)

    assert await verdicts(world, [push(1), push(2)]) == [Verdict.MISCONFIGURED] * 2


@pytest.mark.parametrize("status", [204, 301, 400, 410, 418, 500, 599])
async def test_garbage_is_survived_and_never_kills_a_token(world: World, push: MakePush, status: int) -> None:
    world.garbage(status)

    assert Verdict.DEAD_TOKEN not in await verdicts(world, [push(1), push(2)])


async def test_it_works_again_when_the_other_side_does(world: World, push: MakePush) -> None:
    world.cut()
    await verdicts(world, [push(1)])
    world.answer(200)

    assert await verdicts(world, [push(1)]) == [Verdict.ACCEPTED]


async def test_closing_ends_calls_under_way_with_unknown(world: World, push: MakePush) -> None:
    world.hang()
    call = asyncio.ensure_future(world.gateway.deliver([push(1), push(2)]))
    while not world.arrived():  # noqa: ASYNC110 - the other side knows no event
        await asyncio.sleep(0.001)

    await world.gateway.close()

    assert {outcome.verdict for outcome in await call} == {Verdict.UNKNOWN}


async def test_many_calls_at_once_keep_their_outcomes_apart(world: World, push: MakePush) -> None:
    calls = [world.gateway.deliver([push(n), push(n + 1)]) for n in range(1, 60, 2)]

    answers = await asyncio.gather(*calls)

    assert {outcome.verdict for answer in answers for outcome in answer} == {Verdict.ACCEPTED}
    assert world.arrived() == 60


async def test_outcomes_name_no_token(world: World, push: MakePush) -> None:
    world.answer(500)

    outcomes = await world.gateway.deliver([push(7)])

    assert push(7).device_token not in repr(outcomes)
