"""What every provider of the gateway promises, whatever the other side does."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import open_http
from hushbell.ports.provider import Attempt, Provider, ProviderContext
from hushbell.providers.registry import PROVIDERS, open_provider
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.server import MockProviders
from hushbell.testing.scripted_provider import attempt
from hushbell.types import Millis

PATIENCE = 20.0  # seconds; machines are busy
HASTE = 0.3  # seconds, where the other side will say nothing


@dataclass(frozen=True)
class Kind:
    """How the tests speak of one provider."""

    settings: Callable[[MockProviders, dict[str, Any]], Any]
    message: Message
    token: Callable[[MockProviders, int], str]
    dead: Mapping[str, Any]  # a reply that says the token is dead
    refused: Mapping[str, Any]  # a reply that blames the credential
    wrong: Message  # never deliverable
    secret: str  # the setting with the credential's file
    endings: Sequence[int] = (500, 502, 503)  # mean try again
    blames: Verdict = Verdict.MISCONFIGURED  # what a refused credential means
    own: Mapping[str, Any] = field(default_factory=dict)  # further settings


def subscription(mock: MockProviders, number: int) -> str:
    name = f"browser-{number:08d}"
    known = mock.webpush.subscriptions.get(f"/wpush/{name}") or mock.webpush.subscribe(name)
    return known.token


KINDS: dict[str, Kind] = {
    "apns": Kind(
        settings=lambda mock, more: mock.apns.app(**more),
        message=Message(provider="apns", headers=(("apns-topic", "org.example.app"),), body=b'{"aps":{"alert":"hi"}}'),
        token=lambda mock, number: f"{number:064x}",
        dead={"status": 410, "reason": "Unregistered"},
        refused={"status": 403, "reason": "InvalidProviderToken"},
        wrong=Message(provider="apns", headers=(("apns-topic", "a\nb"),), body=b'{"aps":{}}'),
        secret="key_file",
    ),
    "fcm": Kind(
        settings=lambda mock, more: mock.fcm.app(**more),
        message=Message(provider="fcm", body=b'{"data":{"k":"v"}}'),
        token=lambda mock, number: f"fcm-token:{number}",
        dead={"status": 404, "reason": "UNREGISTERED"},
        refused={"status": 403, "reason": "-"},
        wrong=Message(provider="fcm", body=b'{"token":"mine"}'),
        secret="credentials_file",
    ),
    "webpush": Kind(
        settings=lambda mock, more: mock.webpush.app(**more),
        message=Message(provider="webpush", headers=(("ttl", "60"), ("urgency", "high")), body=b"hi"),
        token=subscription,
        dead={"status": 410},
        refused={"status": 403},
        blames=Verdict.RETRY,  # hosts of users' own cannot stop an app
        wrong=Message(provider="webpush", headers=(("topic", "a b"),), body=b"hi"),
        secret="key_file",
    ),
    "unifiedpush": Kind(
        settings=lambda mock, more: mock.webpush.app(**more),
        message=Message(provider="unifiedpush", body=b"hi"),
        token=lambda mock, number: f"https://push.example.net/up/{number:08d}",
        dead={"status": 404},
        refused={"status": 401},
        blames=Verdict.RETRY,
        wrong=Message(provider="unifiedpush", body=b""),
        secret="key_file",
    ),
    "huawei": Kind(
        settings=lambda mock, more: mock.huawei.app(**more),
        message=Message(provider="huawei", body=b'{"data":"hi"}'),
        token=lambda mock, number: f"huawei-{number:08d}",
        dead={"reason": "80300007"},
        refused={"reason": "80300002"},
        wrong=Message(provider="huawei", body=b'{"token":["mine"]}'),
        secret="secret_file",
    ),
    "pushy": Kind(
        settings=lambda mock, more: mock.pushy.app(**more),
        message=Message(provider="pushy", body=b'{"data":{"k":"v"}}'),
        token=lambda mock, number: f"pushy{number:08d}",
        dead={"status": 400, "reason": "NO_RECIPIENTS"},
        refused={"status": 401},
        wrong=Message(provider="pushy", body=b'{"to":"mine"}'),
        secret="key_file",
    ),
    "sns": Kind(
        settings=lambda mock, more: mock.sns.app(**more),
        message=Message(provider="sns", body=b'{"default":"hi","APNS":"{\\"aps\\":{}}"}'),
        token=lambda mock, number: f"arn:aws:sns:eu-west-1:123456789012:endpoint/APNS/app/{number:08d}",
        dead={"status": 400, "reason": "EndpointDisabled"},
        refused={"status": 403, "reason": "InvalidClientTokenId"},
        wrong=Message(provider="sns", body=b'{"APNS":"x"}'),
        secret="credentials_file",
    ),
    "gorush": Kind(
        settings=lambda mock, more: mock.gorush.app(**more),
        message=Message(provider="gorush", body=b'{"platform":1,"message":"hi","topic":"org.example.app"}'),
        token=lambda mock, number: f"{number:064x}",
        dead={"reason": "Unregistered"},
        refused={"status": 401},
        wrong=Message(provider="gorush", body=b'{"platform":1,"tokens":["mine"]}'),
        secret="key_file",
    ),
    "hushbell": Kind(
        settings=lambda mock, more: mock.gorush.app(**more),
        message=Message(provider="hushbell", body=b'{"platform":1,"message":"hi","topic":"org.example.app"}'),
        token=lambda mock, number: f"{number:064x}",
        dead={"reason": "Unregistered"},
        refused={"status": 401},
        wrong=Message(provider="hushbell", body=b'{"platform":9}'),
        secret="key_file",
    ),
}


@dataclass
class World:
    """A provider and the stand-in behind it."""

    name: str
    kind: Kind
    mock: MockProviders
    provider: Provider
    settings: Any

    def notification(self, numbers: Sequence[int] = (1, 2), **changes: Any) -> Notification:
        given: dict[str, Any] = {
            "ident": bytes(range(16)),
            "app": "app",
            "target_kind": "token",
            "targets": tuple(self.kind.token(self.mock, number) for number in numbers),
            "message": self.kind.message,
            "expires_at": Millis(2_000_000_000_000),
        }
        return Notification(**given | changes)

    async def attempt(self, numbers: Sequence[int] = (1, 2), places: Sequence[int] | None = None) -> list[Outcome]:
        """The outcomes in the order of the places; each was told exactly once, and in time."""
        return await attempt(self.provider, self.notification(numbers), places, patience=2 * PATIENCE)

    def say(self, **reply: Any) -> None:
        self.mock.rule({"match": {"provider": self.name}, "reply": reply})

    def kill(self, number: int) -> None:
        """Let the other side say that a token is dead."""
        token = self.kind.token(self.mock, number)
        with suppress(ValueError):
            token = json.loads(token)["endpoint"]
        prefix = urlsplit(token).path if "://" in token else token
        match = {"provider": self.name, "token_prefix": prefix}
        self.mock.rule({"match": match, "reply": dict(self.kind.dead)})

    @property
    def secret_file(self) -> Path:
        return Path(getattr(self.settings, self.kind.secret))

    @property
    def arrived(self) -> int:
        return self.mock.count(self.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mock")


@pytest.fixture(params=KINDS)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with made_world(request.param, tmp_path, PATIENCE) as made:
        yield made


@pytest.fixture(params=KINDS)
async def hasty(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A provider that waits for nobody."""
    async with made_world(request.param, tmp_path, HASTE) as made:
        yield made


@asynccontextmanager
async def made_world(name: str, tmp_path: Path, patience: float) -> AsyncIterator[World]:
    kind = KINDS[name]
    clock = FakeClock()
    async with MockProviders(now=clock.now, directory=tmp_path) as mock:
        given = kind.settings(mock, {"timeout": patience, "http": mock.http(), **kind.own})
        settings = PROVIDERS[name].settings(**given)
        tools = ProviderContext(clock=clock, random=bytes, open_http=open_http, allow=("127.0.0.0/8",))
        provider = open_provider(name, settings, tools)
        yield World(name, kind, mock, provider, settings)
        await provider.close()


def verdicts(outcomes: Sequence[Outcome]) -> list[Verdict]:
    return [outcome.verdict for outcome in outcomes]


def test_every_provider_is_held_to_the_contract() -> None:
    assert set(KINDS) == set(PROVIDERS)


async def test_every_push_arrives_and_is_accepted(world: World) -> None:
    assert verdicts(await world.attempt(range(1, 6))) == [Verdict.ACCEPTED] * 5
    assert sum(len(line["token"].split()) for line in world.mock.log if line["provider"] == world.name) == 5


async def test_only_the_places_asked_for_are_attempted(world: World) -> None:
    assert verdicts(await world.attempt(range(1, 6), places=[1, 4])) == [Verdict.ACCEPTED] * 2

    seen = [line["token"] for line in world.mock.log if line["provider"] == world.name]
    assert len(" ".join(seen).split()) == 2


async def test_a_hundred_pushes_in_ten_attempts_are_reported_once_each(world: World) -> None:
    notes = [world.notification(range(10 * number, 10 * number + 10)) for number in range(1, 11)]
    found: list[tuple[int, int]] = []
    everything = asyncio.get_running_loop().create_future()

    def done(note: int, index: int, outcome: Outcome) -> None:
        assert outcome.verdict is Verdict.ACCEPTED
        found.append((note, index))
        if len(found) == 100:
            everything.set_result(None)

    world.provider.send([Attempt(note, range(10), partial(done, number)) for number, note in enumerate(notes)])
    await asyncio.wait_for(everything, 2 * PATIENCE)
    await asyncio.sleep(0)

    assert sorted(found) == [(note, index) for note in range(10) for index in range(10)]


async def test_no_indexes_are_no_work(world: World) -> None:
    assert await world.attempt(places=[]) == []
    assert world.arrived == 0


async def test_attempts_that_are_sent_together_end_as_if_each_had_come_alone(world: World) -> None:
    world.kill(2)
    other = world.kind.message
    if world.name in ("apns", "fcm"):
        other = other._replace(headers=(*other.headers, ("content-type", "application/json")))
    notes = [world.notification([1, 2]), world.notification([3], message=other), world.notification([4, 5, 6])]
    outcomes: list[dict[int, Verdict]] = [{} for _ in notes]
    everything = asyncio.get_running_loop().create_future()

    def done(note: int, place: int, outcome: Outcome) -> None:
        assert place not in outcomes[note]
        outcomes[note][place] = outcome.verdict
        if sum(map(len, outcomes)) == 5:
            everything.set_result(None)

    attempts = [Attempt(note, range(len(note.targets)), partial(done, number)) for number, note in enumerate(notes)]
    world.provider.send([*attempts[:2], attempts[2]._replace(indexes=[0, 2])])
    await asyncio.wait_for(everything, 2 * PATIENCE)

    good, dead = Verdict.ACCEPTED, Verdict.DEAD_TOKEN
    assert outcomes == [{0: good, 1: dead}, {0: good}, {0: good, 2: good}]


async def test_a_closed_port_means_try_again(world: World) -> None:
    await world.mock.refuse()

    assert verdicts(await world.attempt()) == [Verdict.RETRY] * 2


async def test_silence_ends_in_time_and_leaves_the_outcome_unknown(hasty: World) -> None:
    hasty.say(blackhole=True)
    before = time.monotonic()

    # On a busy machine haste may end before anything was sent.
    assert set(verdicts(await hasty.attempt())) <= {Verdict.UNKNOWN, Verdict.RETRY}
    assert time.monotonic() - before < PATIENCE


async def test_a_connection_cut_after_sending_leaves_the_outcome_unknown(world: World) -> None:
    await world.attempt()
    world.say(close=True)

    assert verdicts(await world.attempt([1])) == [Verdict.UNKNOWN]


async def test_a_busy_or_broken_server_means_try_again(world: World) -> None:
    for status in (429, *world.kind.endings):
        world.say(status=status)

        assert verdicts(await world.attempt()) == [Verdict.RETRY] * 2


async def test_what_the_server_asks_to_wait_is_waited_at_least(world: World) -> None:
    world.say(status=503, retry_after=120)

    assert [outcome.after for outcome in await world.attempt()] == [120.0] * 2


async def test_a_dead_token_is_dropped_and_no_other(world: World) -> None:
    world.kill(2)

    assert verdicts(await world.attempt([1, 2, 3])) == [Verdict.ACCEPTED, Verdict.DEAD_TOKEN, Verdict.ACCEPTED]


async def test_a_refused_credential_is_the_operators_and_kills_no_token(world: World) -> None:
    world.say(**world.kind.refused)

    assert verdicts(await world.attempt()) == [world.kind.blames] * 2


@pytest.mark.parametrize("status", [204, 301, 400, 403, 418, 500, 599])
async def test_garbage_is_survived_and_never_kills_a_token(world: World, status: int) -> None:
    world.say(status=status, body='{"reason": [[["\u2028' * 100)

    assert Verdict.DEAD_TOKEN not in verdicts(await world.attempt())


async def test_it_works_again_when_the_other_side_does(world: World) -> None:
    world.say(close=True)
    await world.attempt()
    world.mock.rule()

    assert verdicts(await world.attempt()) == [Verdict.ACCEPTED] * 2


async def test_closing_ends_attempts_under_way_with_unknown(world: World) -> None:
    await world.attempt()
    world.say(blackhole=True)
    before = world.arrived
    under_way = asyncio.ensure_future(world.attempt())
    while world.arrived == before:  # noqa: ASYNC110 - the other side knows no event
        await asyncio.sleep(0.001)

    await world.provider.close()

    assert set(verdicts(await under_way)) == {Verdict.UNKNOWN}


async def test_many_attempts_at_once_keep_their_outcomes_apart(world: World) -> None:
    world.kill(999)

    answers = await asyncio.gather(*(world.attempt([number, 999]) for number in range(1, 30)))

    assert all(verdicts(answer) == [Verdict.ACCEPTED, Verdict.DEAD_TOKEN] for answer in answers)


async def test_outcomes_name_no_token(world: World) -> None:
    for reply in ({"status": 500}, dict(world.kind.dead), {"close": True}):
        world.say(**reply)

        assert world.kind.token(world.mock, 1) not in repr(await world.attempt([1]))


async def test_what_can_be_delivered_is_not_refused(world: World) -> None:
    world.provider.check(world.kind.message)


async def test_what_can_never_be_delivered_is_refused_before_it_is_accepted(world: World) -> None:
    too_large = b'{"aps":{"alert":"' + b"x" * 200_000 + b'"}}'
    for message in (
        world.kind.wrong,
        Message(provider=world.name, headers=(("x-mallory", "1"),), body=world.kind.message.body),
        Message(provider=world.name, headers=world.kind.message.headers, body=too_large),
    ):
        with pytest.raises(CallerError):
            world.provider.check(message)


async def test_a_missing_credential_names_its_setting_and_file(world: World, tmp_path: Path) -> None:
    from dataclasses import replace

    missing = str(tmp_path / "nowhere")
    tools = ProviderContext(clock=FakeClock(), random=bytes, open_http=open_http)

    with pytest.raises(ConfigError, match=f"{world.name}.{world.kind.secret}: .*nowhere"):
        open_provider(world.name, replace(world.settings, **{world.kind.secret: missing}), tools)


async def test_a_bad_credential_is_reported_without_quoting_it(world: World, tmp_path: Path) -> None:
    from dataclasses import replace

    bad = tmp_path / "bad"
    bad.write_text("SECRET SECRET \n SECRET")
    tools = ProviderContext(clock=FakeClock(), random=bytes, open_http=open_http)

    with pytest.raises(ConfigError, match=str(bad)) as told_:
        open_provider(world.name, replace(world.settings, **{world.kind.secret: str(bad)}), tools)
    assert "SECRET" not in str(told_.value)


async def test_a_bad_credential_on_reload_is_reported_and_the_old_one_stays(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    file = world.secret_file
    good = file.read_bytes()
    file.write_bytes(b"SECRET SECRET \n SECRET")

    with caplog.at_level(logging.INFO):
        world.provider.reload()

    assert verdicts(await world.attempt()) == [Verdict.ACCEPTED] * 2
    assert world.kind.secret in caplog.text
    assert "SECRET" not in caplog.text
    file.write_bytes(good)
    world.provider.reload()
    assert verdicts(await world.attempt()) == [Verdict.ACCEPTED] * 2


async def test_nothing_it_logs_or_shows_names_a_token_or_a_secret(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await world.attempt([1])
        world.say(status=500)
        await world.attempt([1])

    secret = world.secret_file.read_text(errors="replace").strip()
    shown = caplog.text + repr(world.provider) + repr(world.notification())
    assert world.kind.token(world.mock, 1) not in shown
    assert secret not in shown
