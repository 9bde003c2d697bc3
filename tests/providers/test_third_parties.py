"""Providers that installed packages offer, and the example of one in examples/provider."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hushbell.config.apps import OtherApp
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Verdict
from hushbell.core.delivery.push_ids import push_id
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import open_http
from hushbell.ports.provider import Attempt, Provider, ProviderContext
from hushbell.providers.batches import RAISED
from hushbell.providers.third_parties import AttemptAdapter, open_other, open_third_party, third_parties
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.server import MockProviders
from hushbell.testing.scripted_provider import attempt
from hushbell.types import Millis

EXAMPLE = Path(__file__).parents[2] / "examples" / "provider"
TOOLS = ProviderContext(clock=FakeClock(), random=bytes, open_http=open_http)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example as pip leaves it."""
    site = tmp_path / "site"
    info = site / "hushbell_webhook-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hushbell-webhook\nVersion: 1.0\n")
    points = "[hushbell.providers]\nwebhook = hushbell_webhook:WebhookProvider\nbroken = hushbell_webhook:Nothing\n"
    (info / "entry_points.txt").write_text(points + "apns = hushbell_webhook:WebhookProvider\n")
    (site / "hushbell_webhook.py").write_text((EXAMPLE / "hushbell_webhook.py").read_text())
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("hushbell_webhook", None)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text("sesame\n")
    return file


@pytest.fixture
def settings(key: Path) -> dict[str, Any]:
    return {"url": "https://rings.example.org/push", "key_file": str(key)}


def test_the_example_declares_the_entry_point_that_we_look_for() -> None:
    import tomllib

    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]

    assert project["entry-points"] == {"hushbell.providers": {"webhook": "hushbell_webhook:WebhookProvider"}}


def test_an_installed_provider_is_found_and_opened_with_the_settings_of_its_file(
    installed: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "webhook.toml"
    file.write_text("".join(f'{name} = "{value}"\n' for name, value in settings.items()))

    provider = open_other(OtherApp(provider="webhook", file=str(file)), TOOLS)

    assert provider.name == "webhook"


def test_a_name_of_ours_stays_ours(installed: Path) -> None:
    assert "apns" not in third_parties()
    with pytest.raises(ConfigError, match="one of our own"):
        open_other(OtherApp(provider="apns"), TOOLS)


def test_what_nobody_offers_is_reported_with_what_there_is(installed: Path) -> None:
    with pytest.raises(ConfigError, match="nothing: there is no such provider"):
        open_third_party("nothing", {}, TOOLS)


def test_a_package_that_does_not_load_is_reported(installed: Path) -> None:
    with pytest.raises(ConfigError, match="broken: the package"):
        open_third_party("broken", {}, TOOLS)


class Old:
    """A provider as 0.1.0 had them."""

    name = "old"
    expires_at = Millis(5)

    def check(self, message: Message) -> None:
        if not message.body:
            raise CallerError("body", "is empty")

    def attempt(self, notification: Notification, places: Sequence[int], done: Any) -> None:
        done(places[0], ACCEPTED)
        if notification.app == "bad":
            raise RuntimeError("secret")
        for place in places[1:]:
            done(place, ACCEPTED)

    def reload(self) -> None:
        self.reloaded = True

    async def close(self) -> None:
        self.closed = True


async def test_a_provider_of_the_release_before_still_works_and_one_that_raises_harms_no_other_notification(
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = Old()
    provider: Provider = AttemptAdapter(old)
    reports: list[tuple[str, int, Outcome]] = []

    def made(app: str) -> Attempt:
        note = Notification(bytes(16), app, "token", ("one", "two"), Message("old", b"{}"), Millis(1))
        return Attempt(note, (0, 1), lambda index, outcome: reports.append((app, index, outcome)))

    provider.send([made("first"), made("bad"), made("last")])
    provider.reload()
    await provider.close()

    good = [(name, index, ACCEPTED) for name in ("first", "last") for index in (0, 1)]
    assert [one for one in reports if one[0] != "bad"] == good
    assert [one for one in reports if one[0] == "bad"] == [("bad", 0, ACCEPTED), ("bad", 0, RAISED), ("bad", 1, RAISED)]
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text
    assert (provider.credential_expires_at, old.reloaded, old.closed) == (5, True, True)
    with pytest.raises(CallerError):
        provider.check(Message("old", b""))


def test_a_settings_file_that_is_none_is_reported_without_quoting_it(installed: Path, tmp_path: Path) -> None:
    file = tmp_path / "webhook.toml"
    file.write_text("SECRET")

    with pytest.raises(ConfigError, match=r"webhook\.toml is not TOML") as told:
        open_other(OtherApp(provider="webhook", file=str(file)), TOOLS)
    assert "SECRET" not in str(told.value)


@pytest.mark.parametrize("change", [{"url": "http://x"}, {"key_file": "/nowhere"}, {"colour": "red"}])
def test_the_example_refuses_bad_settings_by_name(
    installed: Path, settings: dict[str, Any], change: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=f"webhook.{min(change)}"):
        open_third_party("webhook", settings | change, TOOLS)


@pytest.fixture
async def example(installed: Path, settings: dict[str, Any]) -> AsyncIterator[tuple[Provider, MockProviders]]:
    async with MockProviders() as server:
        provider: Any = open_third_party("webhook", settings, TOOLS)
        provider._url = server.plain_url + "/hook"
        yield provider, server
        await provider.close()


async def attempted(provider: Provider, *tokens: str) -> list[Outcome]:
    message = Message(provider="webhook", body=b'{"text":"hi"}')
    ends = Millis(2**41)
    note = Notification(
        ident=bytes(16), app="app", target_kind="token", targets=tokens, message=message, expires_at=ends
    )
    return await attempt(provider, note)


async def test_the_example_delivers_each_push_under_its_own_name(example: tuple[Provider, MockProviders]) -> None:
    provider, server = example

    assert [outcome.verdict for outcome in await attempted(provider, "a", "b")] == [Verdict.ACCEPTED] * 2

    posted = sorted((request.json for request in server.requests), key=lambda one: str(one["to"]))
    assert [(one["to"], one["id"]) for one in posted] == [("a", push_id(bytes(16), 0)), ("b", push_id(bytes(16), 1))]
    assert server.requests[0].request.headers["authorization"] == "Bearer sesame"


@pytest.mark.parametrize(
    "reply,verdict",
    [
        ({"status": 204}, Verdict.ACCEPTED),
        ({"status": 410}, Verdict.DEAD_TOKEN),
        ({"status": 401}, Verdict.MISCONFIGURED),
        ({"status": 413}, Verdict.INVALID),
        ({"status": 503}, Verdict.RETRY),
        ({"close": True}, Verdict.UNKNOWN),
    ],
)
async def test_the_example_knows_what_answers_mean(
    example: tuple[Provider, MockProviders], reply: dict[str, Any], verdict: Verdict
) -> None:
    provider, server = example
    server.rule({"reply": reply})

    assert [outcome.verdict for outcome in await attempted(provider, "a")] == [verdict]


async def test_the_example_keeps_its_key_if_the_new_one_is_bad(
    example: tuple[Provider, MockProviders], key: Path
) -> None:
    provider, server = example
    await asyncio.to_thread(key.write_text, "two words")

    provider.reload()
    await attempted(provider, "a")

    assert server.requests[0].request.headers["authorization"] == "Bearer sesame"


async def test_the_example_refuses_what_can_never_be_delivered(example: tuple[Provider, MockProviders]) -> None:
    provider, _ = example
    provider.check(Message(provider="webhook", body=b"{}"))

    for message in (
        Message(provider="webhook", body=b"{"),
        Message(provider="webhook", body=b'"' + b"x" * 20_000 + b'"'),
        Message(provider="webhook", headers=(("a", "b"),), body=b"{}"),
    ):
        with pytest.raises(CallerError):
            provider.check(message)
