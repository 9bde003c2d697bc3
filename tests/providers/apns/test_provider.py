"""Apple's push service behind the gateway: environments, provider tokens, certificates, what is on the wire."""

import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import open_http
from hushbell.ports.provider import ProviderContext
from hushbell.providers.apns.provider import ApnsProvider
from hushbell.providers.apns.settings import ApnsSettings
from hushbell.testing.certificates import Authority, new_key
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.server import MockProviders
from hushbell.testing.scripted_provider import attempt
from hushbell.types import Millis

PRODUCTION, SANDBOX = "api.push.apple.com", "api.sandbox.push.apple.com"
TOPIC = ("apns-topic", "org.example.app")
Opened = Callable[..., ApnsProvider]


@pytest.fixture
async def opened(mock: MockProviders, clock: FakeClock) -> AsyncIterator[Opened]:
    made: list[ApnsProvider] = []

    def make(**settings: Any) -> ApnsProvider:
        tools = ProviderContext(clock=clock, random=bytes, open_http=open_http)
        made.append(
            ApnsProvider(ApnsSettings(**mock.apns.app(**{"timeout": 20.0, "http": mock.http()} | settings)), tools)
        )
        return made[-1]

    yield make
    for provider in made:
        await provider.close()


def note(*tokens: str, route: str = "", headers: Sequence[tuple[str, str]] = (TOPIC,), **changes: Any) -> Notification:
    message = Message(provider="apns", route=route, headers=tuple(headers), body=b'{"aps":{"alert":"hi"}}')
    given: dict[str, Any] = {
        "ident": bytes(range(16)),
        "app": "app",
        "target_kind": "token",
        "targets": tokens or ("ab",),
        "message": message,
    }
    return Notification(**given | {"message": message, "expires_at": Millis(2**41)} | changes)


def hosts(mock: MockProviders) -> list[str]:
    return [line["host"] for line in mock.log]


async def test_the_route_chooses_the_environment(mock: MockProviders, opened: Opened) -> None:
    provider = opened(route="development")

    for route in ("", "production", "development"):
        await attempt(provider, note(route=route))

    assert hosts(mock) == [SANDBOX, PRODUCTION, SANDBOX]


async def test_a_token_of_the_other_environment_is_found_and_remembered(mock: MockProviders, opened: Opened) -> None:
    mock.rule({"match": {"host": PRODUCTION}, "reply": {"status": 400, "reason": "BadDeviceToken"}})
    provider = opened()

    assert await attempt(provider, note("ab")) == [ACCEPTED]
    assert await attempt(provider, note("ab")) == [ACCEPTED]

    assert hosts(mock) == [PRODUCTION, SANDBOX, SANDBOX]
    assert len({line["apns_id"] for line in mock.log}) == 1


async def test_a_token_that_moves_back_is_found_again(mock: MockProviders, opened: Opened) -> None:
    provider = opened()
    mock.rule({"match": {"host": PRODUCTION}, "reply": {"status": 400, "reason": "BadDeviceToken"}})
    await attempt(provider, note("ab"))

    mock.rule({"match": {"host": SANDBOX}, "reply": {"status": 400, "reason": "BadDeviceToken"}})

    assert await attempt(provider, note("ab")) == [ACCEPTED]


async def test_a_token_that_neither_environment_knows_is_dropped(mock: MockProviders, opened: Opened) -> None:
    mock.rule({"reply": {"status": 400, "reason": "BadDeviceToken"}})

    assert await attempt(opened(), note()) == [Outcome(Verdict.DEAD_TOKEN, "BadDeviceToken")]
    assert sorted(hosts(mock)) == [PRODUCTION, SANDBOX]


@pytest.mark.parametrize(
    "reply,outcome",
    [
        ({"status": 410, "timestamp": 5}, Outcome(Verdict.DEAD_TOKEN, "Unregistered", since=Millis(5))),
        ({"status": 503, "retry_after": 9}, Outcome(Verdict.RETRY, "ServiceUnavailable", after=9.0)),
        ({"status": 403, "reason": "BadEnvironmentKeyIdInToken"}, Outcome(Verdict.DEAD_TOKEN, "BadDeviceToken")),
        ({"close": True}, Outcome(Verdict.UNKNOWN, "closed")),
        ({"status": 400, "reason": "BadCollapseId"}, Outcome(Verdict.DEAD_TOKEN, "BadDeviceToken")),
    ],
)  # fmt: skip
async def test_what_the_other_environment_says_decides(
    mock: MockProviders, opened: Opened, reply: dict[str, Any], outcome: Outcome
) -> None:
    mock.rule(
        {"match": {"host": PRODUCTION}, "reply": {"status": 400, "reason": "BadDeviceToken"}},
        {"match": {"host": SANDBOX}, "reply": reply},
    )

    assert await attempt(opened(), note()) == [outcome]


async def test_probing_can_be_switched_off(mock: MockProviders, opened: Opened) -> None:
    mock.rule({"reply": {"status": 400, "reason": "BadDeviceToken"}})

    [outcome] = await attempt(opened(probe=False), note())

    assert outcome.verdict is Verdict.DEAD_TOKEN
    assert hosts(mock) == [PRODUCTION]


async def test_what_is_no_token_is_never_sent(mock: MockProviders, opened: Opened) -> None:
    outcomes = await attempt(opened(), note("../../secret", "x yz", "", "ab?", "a%20"))

    assert outcomes == [Outcome(Verdict.DEAD_TOKEN, "BadDeviceToken")] * 5
    assert not mock.log


async def test_a_topic_cannot_be_sent_to(opened: Opened) -> None:
    [outcome] = await attempt(opened(), note("news", target_kind="topic"))

    assert outcome.verdict is Verdict.INVALID


async def test_an_expired_provider_token_is_signed_again_once(
    mock: MockProviders, opened: Opened, clock: FakeClock
) -> None:
    provider = opened()
    await attempt(provider, note())
    clock.advance(30 * 60)
    mock.rule({"reply": {"status": 403, "reason": "ExpiredProviderToken"}, "times": 2})

    assert await attempt(provider, note("aa", "bb")) == [ACCEPTED] * 2
    assert provider.signed == 2


async def test_an_expired_provider_token_that_is_new_is_the_operators_clock(
    mock: MockProviders, opened: Opened
) -> None:
    mock.rule({"reply": {"status": 403, "reason": "ExpiredProviderToken"}})

    [outcome] = await attempt(opened(), note())

    assert outcome == Outcome(Verdict.MISCONFIGURED, "ExpiredProviderToken", scope=Scope.APP)


async def test_one_provider_token_serves_everything_for_fifty_minutes(
    mock: MockProviders, opened: Opened, clock: FakeClock
) -> None:
    provider = opened()

    for _ in range(12):
        await attempt(provider, note("aa", "bb"))
        provider.reload()
        clock.advance(10 * 60)

    assert mock.stats()["jwts"] == 3


async def test_every_attempt_carries_the_same_id_and_every_token_its_own(mock: MockProviders, opened: Opened) -> None:
    provider = opened()

    for _ in range(2):
        await attempt(provider, note("aa", "bb", "cc"))

    idents = [line["apns_id"] for line in sorted(mock.log, key=lambda line: str(line["token"]))]
    assert [len(set(idents[at : at + 2])) for at in (0, 2, 4)] == [1, 1, 1]
    assert len({uuid.UUID(ident) for ident in idents}) == 3
    assert mock.stats()["duplicates"] == 3


async def test_the_callers_own_id_names_one_push_only(mock: MockProviders, opened: Opened) -> None:
    mine = "11111111-2222-4333-8444-555555555555"
    provider = opened()

    await attempt(provider, note("aa", headers=(TOPIC, ("apns-id", mine))))
    await attempt(provider, note("aa", "bb", headers=(TOPIC, ("apns-id", mine))))

    assert [line["apns_id"] == mine for line in mock.log] == [True, False, False]


async def test_the_apps_topic_stands_in_for_a_missing_one(mock: MockProviders, opened: Opened) -> None:
    await attempt(opened(topic="org.example.default"), note(headers=()))

    assert mock.log[0]["topic"] == "org.example.default"


async def test_a_payload_is_padded_to_the_next_size(mock: MockProviders, opened: Opened) -> None:
    await attempt(opened(sizes=(64, 1024)), note())

    assert mock.log[0]["bytes"] == 64


@pytest.mark.parametrize("p12", [False, True])
async def test_a_certificate_proves_who_sends(mock: MockProviders, opened: Opened, p12: bool) -> None:
    file = mock.apns.p12_file if p12 else mock.apns.certificate_file
    provider = opened(key_file="", certificate_file=str(file))

    assert await attempt(provider, note(headers=())) == [ACCEPTED]
    assert provider.credential_expires_at is not None
    assert mock.stats()["jwts"] == 0


async def test_a_new_certificate_is_used_after_a_reload(
    mock: MockProviders, opened: Opened, tmp_path: Path, clock: FakeClock
) -> None:
    _, strange = Authority(tmp_path).client_files("strange", "org.example.stranger")
    file = tmp_path / "certificate"
    file.write_bytes(strange.read_bytes())
    provider = opened(key_file="", certificate_file=str(file))
    [before] = await attempt(provider, note())

    file.write_bytes(mock.apns.p12_file.read_bytes())
    provider.reload()

    assert before.verdict is not Verdict.ACCEPTED
    assert await attempt(provider, note()) == [ACCEPTED]


async def test_a_locked_certificate_needs_its_password(mock: MockProviders, opened: Opened, tmp_path: Path) -> None:
    _, locked = Authority(tmp_path).client_files("locked", "org.example.app", b"sesame")
    (tmp_path / "password").write_text("sesame\n")

    provider = opened(key_file="", certificate_file=str(locked), password_file=str(tmp_path / "password"))

    assert provider.credential_expires_at is not None
    with pytest.raises(ConfigError, match=r"apns.certificate_file: .*locked.p12"):
        opened(key_file="", certificate_file=str(locked))


async def test_without_any_credential_the_setting_is_named(opened: Opened) -> None:
    with pytest.raises(ConfigError, match=r"apns.key_file"):
        opened(key_file="")


async def test_a_new_key_is_used_after_a_reload(mock: MockProviders, opened: Opened) -> None:
    _, stranger = new_key()
    good = mock.apns.key_file.read_bytes()
    mock.apns.key_file.write_bytes(stranger)
    provider = opened()
    [before] = await attempt(provider, note())

    mock.apns.key_file.write_bytes(good)
    provider.reload()

    assert before.verdict is Verdict.MISCONFIGURED
    assert await attempt(provider, note()) == [ACCEPTED]


@pytest.mark.parametrize(
    "headers,route,body,field",
    [
        ({"apns-push-type": "loud"}, "", None, "headers.apns-push-type"),
        ({"apns-priority": "9"}, "", None, "headers.apns-priority"),
        ({"apns-expiration": "-1"}, "", None, "headers.apns-expiration"),
        ({"apns-expiration": "٣"}, "", None, "headers.apns-expiration"),
        ({"apns-collapse-id": "x" * 65}, "", None, "headers.apns-collapse-id"),
        ({"apns-collapse-id": "x\r\napns-topic: y"}, "", None, "headers.apns-collapse-id"),
        ({"apns-collapse-id": "ü"}, "", None, "headers.apns-collapse-id"),
        ({"apns-topic": "a/b"}, "", None, "headers.apns-topic"),
        ({"apns-topic": "a\r\nauthorization: x"}, "", None, "headers.apns-topic"),
        ({"authorization": "bearer x"}, "", None, "headers.'authorization'"),
        ({}, "staging", None, "route"),
        ({}, "", [], "body"),
        ({}, "", {"aps": 1}, "body.aps"),
        ({}, "", {"aps": {}, "x": "y" * 4096}, "body"),
    ],
)
async def test_what_apple_never_takes_is_refused_by_name(
    opened: Opened, headers: dict[str, str], route: str, body: Any, field: str
) -> None:
    content = json.dumps({"aps": {}} if body is None else body).encode()
    message = Message(provider="apns", route=route, headers=tuple((dict([TOPIC]) | headers).items()), body=content)

    with pytest.raises(CallerError) as told:
        opened().check(message)

    assert told.value.field == field


async def test_voip_payloads_may_be_larger(opened: Opened) -> None:
    body = json.dumps({"aps": {}, "x": "y" * 5000}).encode()

    opened().check(Message(provider="apns", headers=(TOPIC, ("apns-push-type", "voip")), body=body))


async def test_a_missing_topic_is_refused_unless_a_certificate_says_it(mock: MockProviders, opened: Opened) -> None:
    message = Message(provider="apns", body=b'{"aps":{}}')

    with pytest.raises(CallerError, match="apns-topic"):
        opened().check(message)
    opened(topic="org.example.app").check(message)
    opened(key_file="", certificate_file=str(mock.apns.certificate_file)).check(message)


async def test_a_payload_that_is_far_too_large_never_leaves(mock: MockProviders, opened: Opened) -> None:
    message = note().message._replace(body=b'{"aps":{},"chatId":"' + b"0" * 6000 + b'"}')

    outcomes = await attempt(opened(), note("aa", "no hex", message=message))

    assert outcomes == [Outcome(Verdict.INVALID, "PayloadTooLarge")] * 2
    assert not mock.requests


async def test_a_refused_push_does_not_disturb_its_neighbours(mock: MockProviders, opened: Opened) -> None:
    mock.rule({"match": {"token_prefix": "bb"}, "reply": {"status": 410, "timestamp": 7}})

    outcomes = await attempt(opened(), note("aa", "bb", "no hex", "cc"))

    dead, bad = Outcome(Verdict.DEAD_TOKEN, "Unregistered", since=Millis(7)), "BadDeviceToken"
    assert outcomes == [ACCEPTED, dead, Outcome(Verdict.DEAD_TOKEN, bad), ACCEPTED]


async def test_reconnecting_signs_nothing_anew(mock: MockProviders, opened: Opened) -> None:
    provider = opened()
    for _ in range(5):
        mock.rule({"reply": {"close": True}, "times": 1})
        await attempt(provider, note())

    assert provider.signed == 1
    assert mock.connections_made >= 5


async def test_a_goaway_loses_nothing(mock: MockProviders, opened: Opened) -> None:
    provider = opened()
    mock.rule({"reply": {"goaway": True}, "times": 1})

    assert [await attempt(provider, note(token)) for token in ("aa", "bb", "cc")] == [[ACCEPTED]] * 3
    assert mock.connections_made == 2


async def test_a_stream_apple_did_not_look_at_is_sent_again(mock: MockProviders, opened: Opened) -> None:
    mock.rule({"reply": {"refuse": True}, "times": 1})

    assert await attempt(opened(), note()) == [ACCEPTED]
    assert mock.count("apns", 200) == 1


async def test_a_reset_stream_leaves_the_outcome_unknown(mock: MockProviders, opened: Opened) -> None:
    mock.rule({"reply": {"reset": True}, "times": 1})

    [outcome] = await attempt(opened(), note())

    assert outcome.verdict is Verdict.UNKNOWN


async def test_more_pushes_than_streams_wait_their_turn(clock: FakeClock) -> None:
    async with MockProviders(now=clock.now, streams=3) as mock:
        context = ProviderContext(clock=clock, random=bytes, open_http=open_http)
        provider = ApnsProvider(ApnsSettings(**mock.apns.app(timeout=20.0, http=mock.http(connections=1))), context)

        outcomes = await attempt(provider, note(*(f"{number:02x}" for number in range(40))))
        await provider.close()

        assert outcomes == [ACCEPTED] * 40
        assert mock.connections_made == 1


async def test_a_push_without_any_topic_is_the_operators_error(mock: MockProviders, opened: Opened) -> None:
    mock.rule({"reply": {"status": 400, "reason": "MissingTopic"}})

    [outcome] = await attempt(opened(), note(headers=()))

    assert (outcome.verdict, outcome.reason) == (Verdict.MISCONFIGURED, "MissingTopic")
