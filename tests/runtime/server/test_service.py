"""What a request becomes: pushes that are committed with their answer, delivered, retried and remembered."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hushbell import wire
from hushbell.config.gateway import Texts
from hushbell.core import envelope
from hushbell.core.delivery.changes import Changes
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.core.server.payloads import renderer
from hushbell.core.server.push_body import FORM, PushBody, encode_push_body
from hushbell.crypto import ciphers, grants, hashes, secp256k1, topics
from hushbell.errors import StoreUnavailable, VersionConflict
from hushbell.http.client import open_http
from hushbell.ports.outbox import Committed
from hushbell.ports.provider import Provider, ProviderContext
from hushbell.providers.registry import SETTINGS, open_provider
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.runtime.server.app import SERVER_APP, delivery_app, token_types
from hushbell.stores.memory.server import MemoryServerStore
from hushbell.stores.sqlite.server import SqliteServerStore
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.server import MockProviders
from hushbell.testing.scripted_provider import ScriptedProvider
from hushbell.types import (
    DEFAULT_PUBSUB_TOPIC,
    AccessToken,
    DeviceKey,
    Envelope,
    InstallationId,
    KeyPair,
    Millis,
    Nanos,
    NotificationType,
    TokenType,
)
from hushbell.wire.messages import (
    ApplicationType,
    NotificationRequest,
    NotificationResponse,
    PushNotification,
    Registration,
    RegistrationResponse,
    ReportError,
    WakuMessage,
)

ALICE, BOB, SERVER = (secp256k1.key_pair_from(bytes([n]) * 32) for n in (1, 2, 3))
TOKEN = AccessToken("b6ae4fde-bb65-11ea-b3de-0242ac130004")
BUSY = Outcome(Verdict.RETRY, "busy")
DEAD = Outcome(Verdict.DEAD_TOKEN, "Unregistered")
KINDS = {17: RegistrationResponse, 21: NotificationResponse}


def phone(number: int) -> InstallationId:
    return InstallationId(str(uuid.UUID(int=number)))


class People:
    """Alice, who registers devices, and Bob, who sends to them."""

    def __init__(self, running: Any) -> None:
        self.running = running
        self._bus = running.bus.connect()
        self._sent = running.counters["envelopes_received"]
        self._messages = 0

    async def _send(self, signer: KeyPair, payload: bytes, type_: int) -> Any:
        """Publish one message and return the answer."""
        server = self.running.identity.public
        message = envelope.seal_to_key(
            envelope.sign_application(payload, type_, signer),
            recipient=server,
            signer=signer,
            content_topic=topics.partitioned_topic(server),
            timestamp=Nanos(1),
            random=system_random,
        )
        await self._bus.publish([Envelope(DEFAULT_PUBSUB_TOPIC, message)])
        self._sent += 1
        await self.running.settled(self._sent)
        [received] = await self._bus.receive(1)
        waku = wire.decode(WakuMessage, received.waku_message)
        opened = envelope.open_with_private(waku.payload, signer.private)
        return wire.decode(KINDS[opened.type], opened.payload)

    async def register(self, number: int = 1, *, version: int = 1, token: str = "", **changes: Any) -> None:
        """Register one of Alice's devices."""
        server = self.running.identity.public
        fields: dict[str, Any] = {
            "token_type": int(TokenType.APN),
            "device_token": token or f"{number:064x}",
            "installation_id": phone(number),
            "access_token": TOKEN,
            "enabled": True,
            "version": version,
            "grant": grants.make_grant(ALICE, server, TOKEN),
        }
        plaintext = wire.encode(Registration(**fields | changes))
        shared = envelope.registration_key(ALICE.private, server)
        sealed = ciphers.seal_gcm(shared, system_random(12), plaintext)
        answer = await self._send(ALICE, sealed, ApplicationType.PUSH_NOTIFICATION_REGISTRATION)
        assert answer.success, answer

    async def notify(self, *numbers: int, message: bytes = b"", **changes: Any) -> Sequence[Any]:
        """Send a request for Alice's devices; return the reports."""
        self._messages += 1
        fields: dict[str, Any] = {
            "access_token": TOKEN,
            "public_key": hashes.hash_public_key(ALICE.public),
            "type": NotificationType.MESSAGE,
            "message": message,
        }
        items = tuple(PushNotification(**{**fields, "installation_id": phone(number)} | changes) for number in numbers)
        message_id = self._messages.to_bytes(32, "big")
        payload = wire.encode(NotificationRequest(requests=items, message_id=message_id))
        answer = await self._send(BOB, payload, ApplicationType.PUSH_NOTIFICATION_REQUEST)
        reports: Sequence[Any] = answer.reports
        return reports

    def lost(self) -> int:
        """Return how many pushes are open."""
        opened: dict[str, int] = self.running.service.engine.open
        return opened[SERVER_APP]


@pytest.fixture
async def people(start_service: Any) -> People:
    people = People(await start_service(identity=SERVER))
    await people.register()
    return people


async def until(is_true: Callable[[], bool]) -> None:
    for _ in range(20_000):
        if is_true():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came true")


async def test_a_push_is_delivered_and_leaves_nothing_open(people: People, provider: ScriptedProvider) -> None:
    reports = await people.notify(1)

    assert [report.success for report in reports] == [True]
    [push] = provider.attempts
    assert push.token == f"{1:064x}"
    assert push.notification.collapse_id
    assert people.lost() == 0


async def test_pushes_to_one_token_keep_their_order_across_a_retry(
    people: People, provider: ScriptedProvider, clock: FakeClock
) -> None:
    provider.script[f"{1:064x}"].append(BUSY)
    await people.notify(1, message=b"first")
    await people.notify(1, message=b"second")
    clock.advance(5.0)
    await until(lambda: people.lost() == 0)

    texts = [b"0x" + text.hex().encode() for text in (b"first", b"first", b"second")]
    assert [text in push.notification.message.body for text, push in zip(texts, provider.attempts, strict=True)] == [
        True
    ] * 3
    ids = [push.notification.ident for push in provider.attempts]
    assert ids[0] == ids[1] != ids[2]


async def test_a_dead_token_is_like_no_registration_until_the_device_registers_again(
    people: People, provider: ScriptedProvider
) -> None:
    provider.script[f"{1:064x}"].append(DEAD)

    await people.notify(1)
    await people.running.settled(0)
    [dead] = await people.notify(1)
    await people.register(version=2)
    [alive] = await people.notify(1)

    assert (dead.error, alive.success) == (ReportError.NOT_REGISTERED, True)


async def test_a_token_that_died_before_the_registration_changes_nothing(
    people: People, provider: ScriptedProvider, clock: FakeClock
) -> None:
    provider.script[f"{1:064x}"].append(Outcome(Verdict.DEAD_TOKEN, "Unregistered", since=clock.now() - 60_000))  # type: ignore[arg-type]

    await people.notify(1)
    [report] = await people.notify(1)

    assert report.success


async def test_many_dead_tokens_at_once_are_a_wrong_setting_and_no_purge(
    people: People, provider: ScriptedProvider
) -> None:
    provider.outcome = DEAD
    for number in range(2, 30):
        await people.register(number)

    await people.notify(*range(2, 30))
    reports = await people.notify(*range(2, 30))

    assert sum(report.error == ReportError.NOT_REGISTERED for report in reports) < 10
    assert people.lost() > 0, "they wait for the operator"


async def test_a_push_without_a_provider_waits_for_the_operator(start_service: Any) -> None:
    people = People(await start_service(identity=SERVER, providers={}))
    await people.register()

    [report] = await people.notify(1)

    assert report.success
    assert people.lost() == 1


async def test_a_push_that_cannot_be_delivered_in_time_expires(
    people: People, provider: ScriptedProvider, clock: FakeClock
) -> None:
    provider.outcome = BUSY
    await people.notify(1)
    for _ in range(60):
        clock.advance(1_800.0)
        for _ in range(50):
            await asyncio.sleep(0)

    await until(lambda: people.lost() == 0)
    [report] = await people.notify(1)
    assert report.success


class RacingStore(MemoryServerStore):
    """A store whose commits fail as a test says."""

    def __init__(self) -> None:
        super().__init__(random=os.urandom)
        self.errors: list[Exception] = []
        self.writes_all_the_same = False
        self._commit = self.outbox.commit
        self.outbox.commit = self._commit_or_fail  # type: ignore[method-assign]

    def _commit_or_fail(self, changes: Changes, done: Committed) -> None:
        if not self.errors or not changes.server:
            self._commit(changes, done)
            return
        error = self.errors.pop(0)
        if self.writes_all_the_same:
            self._commit(changes, lambda _: None)
        asyncio.get_running_loop().call_soon(done, error)  # type: ignore[arg-type]


async def test_a_lost_race_is_decided_again_and_rings_once(start_service: Any, provider: ScriptedProvider) -> None:
    store = RacingStore()
    people = People(await start_service(identity=SERVER, store=store))
    await people.register()
    store.errors = [VersionConflict("somebody else"), VersionConflict("somebody else")]

    [report] = await people.notify(1)

    assert report.success
    assert len(provider.attempts) == 1
    assert people.lost() == 0


async def test_a_commit_in_doubt_is_internal_error_and_rings_if_it_was_written(
    start_service: Any, provider: ScriptedProvider
) -> None:
    store = RacingStore()
    people = People(await start_service(identity=SERVER, store=store))
    await people.register()
    store.errors, store.writes_all_the_same = [StoreUnavailable("the disk does not answer")], True

    [report] = await people.notify(1)
    await until(lambda: people.lost() == 0)

    assert report.error == ReportError.INTERNAL_ERROR
    assert len(provider.attempts) == 1


async def test_a_commit_in_doubt_that_was_not_written_leaves_nothing_behind(
    start_service: Any, provider: ScriptedProvider
) -> None:
    store = RacingStore()
    people = People(await start_service(identity=SERVER, store=store))
    await people.register()
    store.errors = [StoreUnavailable("disk full")]

    [refused] = await people.notify(1)
    await until(lambda: people.lost() == 0)
    [accepted] = await people.notify(1)

    assert (refused.error, accepted.success) == (ReportError.INTERNAL_ERROR, True)
    assert len(provider.attempts) == 1


async def test_a_full_outbox_is_internal_error_and_counted(people: People, provider: ScriptedProvider) -> None:
    people.running.service.engine.open[SERVER_APP] = 10_000_000

    [report] = await people.notify(1)

    assert report.error == ReportError.INTERNAL_ERROR
    assert people.running.counters["pushes_over_share"] == 1
    assert not provider.attempts


async def test_a_restart_delivers_what_is_on_the_disk_under_the_same_id(start_service: Any, tmp_path: Path) -> None:
    def open_store() -> SqliteServerStore:
        return SqliteServerStore.open(tmp_path / "hushbell.db", tmp_path / "key", random=os.urandom)

    before, after = ScriptedProvider(outcome=BUSY), ScriptedProvider()
    people = People(await start_service(identity=SERVER, store=open_store(), providers={"apns": before}))
    await people.register()
    await people.notify(1)
    await people.running.stop()

    await start_service(identity=SERVER, store=open_store(), providers={"apns": after})
    await until(lambda: bool(after.attempts))

    first, last = before.attempts[0].notification, after.attempts[0].notification
    assert (first.ident, first.collapse_id, first.message) == (last.ident, last.collapse_id, last.message)


async def test_an_operator_may_change_from_a_gorush_to_apple_while_pushes_wait(
    start_service: Any, tmp_path: Path
) -> None:
    def open_store() -> SqliteServerStore:
        return SqliteServerStore.open(tmp_path / "hushbell.db", tmp_path / "key", random=os.urandom)

    gorush, apple = ScriptedProvider("gorush", outcome=BUSY), ScriptedProvider()
    people = People(await start_service(identity=SERVER, store=open_store(), providers={"gorush": gorush}))
    await people.register()
    await people.notify(1)
    await people.running.stop()

    await start_service(identity=SERVER, store=open_store(), providers={"apns": apple})
    await until(lambda: bool(apple.attempts))

    assert gorush.attempts[0].notification.message.body.startswith(b'{"tokens":[')
    assert apple.attempts[0].notification.message.body.startswith(b'{"aps":')


@pytest.fixture
async def mock() -> AsyncIterator[MockProviders]:
    async with MockProviders() as made:
        yield made


def opened(mock: MockProviders, name: str, **changes: Any) -> Provider:
    apps: dict[str, Callable[..., dict[str, Any]]] = {
        "gorush": mock.gorush.app,
        "hushbell": mock.gorush.app,
        "webpush": mock.webpush.app,
        "unifiedpush": mock.webpush.app,
    }
    app = apps[name] if name in apps else getattr(mock, name).app
    allow = ("127.0.0.0/8", "::1/128")
    context = ProviderContext(clock=SystemClock(), random=os.urandom, open_http=open_http, allow=allow)
    return open_provider(name, SETTINGS[name](**app(http=mock.http(), **changes)), context)


async def test_g1_three_items_make_three_notifications(start_service: Any, mock: MockProviders) -> None:
    people = People(await start_service(identity=SERVER, providers={"gorush": opened(mock, "gorush")}))
    await people.register(1)
    await people.register(2, token_type=int(TokenType.FIREBASE), token="token-2")
    await people.register(3, token_type=int(TokenType.FIREBASE), token="token-3")

    await people.notify(1, 2, 3, message=b"m")
    await until_posted(mock, 1)

    [posted] = mock.requests
    assert [note["platform"] for note in posted.json["notifications"]] == [1, 2, 2]
    assert [note["tokens"] for note in posted.json["notifications"]] == [[f"{1:064x}"], ["token-2"], ["token-3"]]
    assert {note["message"] for note in posted.json["notifications"]} == {"You have a new message"}


async def until_posted(mock: MockProviders, count: int) -> None:
    async with asyncio.timeout(10):
        while len(mock.requests) < count:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.01)


def test_the_token_types_of_the_configured_providers_are_accepted() -> None:
    assert list(token_types([])) == [TokenType.APN, TokenType.FIREBASE]
    assert list(token_types(["apns"])) == [TokenType.APN]
    assert list(token_types(["gorush"])) == [TokenType.APN, TokenType.FIREBASE]
    assert list(token_types(["fcm", "webpush", "huawei"])) == [2, 3, 4]
    assert list(token_types(["of another package"])) == [1, 2, 3, 4]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("size", [0, 400, 3_900])
async def test_every_provider_accepts_what_is_rendered_for_it(mock: MockProviders, name: str, size: int) -> None:
    device = DeviceKey(hashes.hash_public_key(ALICE.public), phone(1))
    push = PushBody(device, 1, "", NotificationType.MESSAGE, b"c" * 64, b"m" * size, Millis(0))
    message = Message("apns", encode_push_body(push), form=FORM)
    stored = Notification(bytes(16), SERVER_APP, "token", ("ab",), message, Millis(86_400_000), collapse_id="c" * 64)
    provider = opened(mock, name, **({"topic": "org.example"} if name == "apns" else {}))

    rendered = renderer(name, Texts())(stored).message

    if name in ("gorush", "hushbell"):
        assert rendered.body.startswith(b'{"tokens":["ab"],"platform":1')
    else:
        provider.check(rendered)
    await provider.close()


def test_apples_tokens_go_to_apple_where_a_gorush_is_configured_too() -> None:
    apns, gorush = ScriptedProvider("apns"), ScriptedProvider("gorush")

    app = delivery_app({"gorush": gorush, "apns": apns}, Texts(), ttl=60)

    assert (app.providers["apns"], app.providers["fcm"]) == (apns, gorush)
