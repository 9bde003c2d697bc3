"""
The main job as a sequence of steps, each of which checks its result.

Alice's phone registers. Bob queries how to ring it, sends a request, and repeats the same message. Mallory sends a
wrong access token and is refused. Bob sends a request while Apple is unreachable, the server stops, and delivers the
push after its restart.
"""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from hushbell.config.gateway import Texts
from hushbell.core.client.query import Info
from hushbell.core.delivery.backoff import Backoff
from hushbell.crypto import secp256k1
from hushbell.errors import HushbellError
from hushbell.http.client import open_http
from hushbell.observability.metrics import Counters
from hushbell.ports.provider import ProviderContext
from hushbell.providers.apns.provider import ApnsProvider
from hushbell.providers.apns.settings import ApnsSettings
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.runtime.server.app import delivery_app
from hushbell.runtime.server.service import ServerService
from hushbell.simulator.phone import Phone
from hushbell.stores.sqlite.server import SqliteServerStore
from hushbell.testing.mock.server import MockProviders
from hushbell.transports.bus import Bus
from hushbell.types import SECONDS_PER_DAY, AccessToken, DeviceToken, KeyPair, NotificationType
from hushbell.wire.messages import Report, ReportError

TOPIC = "org.example.messenger"
STEP_TIMEOUT = 20.0  # seconds for one step

T = TypeVar("T")
OnStep = Callable[[str, str], None]
"""Gets who acts, and what happens."""


class Unexpected(HushbellError):
    """A step of the demo did not go as it must."""


async def run_repeatedly(on_step: OnStep, pause: float) -> None:
    """
    Run one story after another until cancelled, ``pause`` seconds apart.

    Each run has new people, a new server and a folder of its own, so that the hundredth run starts from the same state
    as the first and nothing accumulates.

    Raises:
        Unexpected: a step failed.
    """
    for number in itertools.count(1):
        with tempfile.TemporaryDirectory(prefix="hushbell-demo-") as folder:
            await Story(Path(folder), on_step).run()
        on_step("demo", f"run {number} is complete; ctrl-C stops")
        await asyncio.sleep(pause)


class Story:
    """
    The people and machines of one run.

    Args:
        folder: holds the server's database; empty at the start.
        on_step: is called with each step as it happens.
    """

    def __init__(self, folder: Path, on_step: OnStep) -> None:
        self._folder = folder
        self._on_step = on_step
        self._clock = SystemClock()
        self._bus = Bus()
        self._server = secp256k1.key_pair(system_random)
        self._alice = self._phone(secp256k1.key_pair(system_random))
        self._bob = self._phone(secp256k1.key_pair(system_random))
        self._mallory = self._phone(secp256k1.key_pair(system_random))
        self._token = DeviceToken(system_random(32).hex())
        self._messages = 0

    async def run(self) -> None:
        """
        Run all steps once.

        Raises:
            Unexpected: a step failed; the text names the step and its result.
        """
        async with _mock() as mock, self._alice, self._bob, self._mallory:
            async with self._run_server(mock):
                infos = await self._register_and_find()
                await self._ring(mock, infos)
                await self._repeat_message(mock, infos)
                await self._refuse_mallory(infos)
                await self._mention(infos)
            await self._ring_across_a_restart(mock, infos)

    def _phone(self, identity: KeyPair) -> Phone:
        return Phone(self._bus.connect(), identity=identity, patience=STEP_TIMEOUT)

    @asynccontextmanager
    async def _run_server(self, mock: MockProviders) -> AsyncIterator[None]:
        """Run the server on the run's folder."""
        counters = Counters()
        context = ProviderContext(clock=self._clock, random=system_random, open_http=open_http)
        settings = ApnsSettings(**mock.apns.app(topic=TOPIC, probe=False, http=mock.http()))
        provider = ApnsProvider(settings, context)
        service = await ServerService.start(
            identity=self._server,
            store=SqliteServerStore.open(self._folder / "demo.db", self._folder / "demo.key", random=system_random),
            transport=self._bus.connect(),
            app=delivery_app({"apns": provider}, Texts(), ttl=SECONDS_PER_DAY),
            clock=self._clock,
            random=system_random,
            count=counters.count,
            backoff=Backoff(first=0.2, max_delay=1.0),
        )
        running = asyncio.create_task(service.run())
        try:
            yield
        finally:
            service.stop()
            await running

    async def _register_and_find(self) -> tuple[Info, ...]:
        answer = await self._step("Alice registers her phone", self._alice.register(self._server.public, self._token))
        self._expect(answer.success, "the server refused Alice's registration")
        self._on_step("server", "registration stored, signed answer sent: success")
        infos = await self._step("Bob asks how to ring Alice", self._bob.query(self._alice.identity.public))
        self._expect(len(infos) == 1, f"Bob found {len(infos)} devices instead of one")
        self._on_step("Bob", "got an access token; Alice's grant for this server is genuine")
        return infos

    async def _ring(self, mock: MockProviders, infos: tuple[Info, ...]) -> None:
        before = mock.count("apns", 200)
        reports = await self._step("Bob asks the server to ring Alice", self._notify(self._bob, infos))
        self._expect_success(reports)
        await self._expect_push(mock, before + 1)

    async def _repeat_message(self, mock: MockProviders, infos: tuple[Info, ...]) -> None:
        """Send the same chat message under another key: reported as success, without a second push."""
        self._messages -= 1
        before = mock.count("apns", 200)
        reports = await self._step("Bob sends the same message again", self._notify(self._bob, infos))
        self._expect_success(reports)
        self._expect(mock.count("apns", 200) == before, "the phone rang twice for one message")
        self._on_step("Alice's phone", "stays silent: one message rings once")

    async def _refuse_mallory(self, infos: tuple[Info, ...]) -> None:
        forged = tuple(_with_token(info, "00000000-0000-4000-8000-000000000000") for info in infos)
        reports = await self._step("Mallory guesses an access token", self._notify(self._mallory, forged))
        self._expect(
            [report.error for report in reports] == [ReportError.WRONG_TOKEN], "Mallory's guess was not refused"
        )
        self._on_step("server", "refused: WRONG_TOKEN")

    async def _mention(self, infos: tuple[Info, ...]) -> None:
        """Alice allows mentions in no chat: reported as success, which hides her rules from Mallory."""
        reports = await self._step(
            "Mallory mentions Alice in a chat she is not in",
            self._notify(self._mallory, infos, NotificationType.MENTION),
        )
        self._expect_success(reports)
        self._on_step("Alice's phone", "stays silent: her rules filter it, and Mallory cannot tell")

    async def _ring_across_a_restart(self, mock: MockProviders, infos: tuple[Info, ...]) -> None:
        before = mock.count("apns", 200)
        await mock.refuse()
        self._on_step("Apple", "is not reachable")
        async with self._run_server(mock):
            reports = await self._step("Bob rings Alice all the same", self._notify(self._bob, infos))
            self._expect_success(reports)
        self._on_step("server", "stops; the push is on disk")
        await mock.listen()
        self._on_step("Apple", "is back")
        async with self._run_server(mock):
            self._on_step("server", "starts again")
            await self._expect_push(mock, before + 1)

    async def _notify(
        self, sender: Phone, infos: tuple[Info, ...], type_: NotificationType = NotificationType.MESSAGE
    ) -> tuple[Report, ...]:
        self._messages += 1
        message_id = self._messages.to_bytes(32, "big")
        return await sender.notify(infos, message_id, "0x" + sender.identity.public.hex(), type_)

    async def _expect_push(self, mock: MockProviders, number: int) -> None:
        for _ in range(int(STEP_TIMEOUT * 1000)):
            if mock.count("apns", 200) >= number:
                break
            await asyncio.sleep(0.001)
        accepted = mock.count("apns", 200)
        self._expect(accepted == number, f"Apple has {accepted} pushes instead of {number}")
        self._on_step("Apple", "accepted the push: HTTP/2 200")
        self._on_step("Alice's phone", f"rings: “{_alert_text(mock.requests[-1].json)}”")

    async def _step(self, what: str, action: Awaitable[T]) -> T:
        self._on_step(what.split(maxsplit=1)[0], what.split(" ", 1)[1])
        try:
            return await action
        except HushbellError as error:
            raise Unexpected(f"{what}: {error}") from error

    def _expect_success(self, reports: tuple[Report, ...]) -> None:
        self._expect([report.success for report in reports] == [True], f"the server reported {reports}")
        self._on_step("server", "reports success")

    def _expect(self, is_met: bool, failure: str) -> None:  # noqa: FBT001  a condition
        if not is_met:
            raise Unexpected(failure)


def _mock() -> MockProviders:
    mock = MockProviders(keep=1)
    mock.apns.topics = frozenset([TOPIC])
    return mock


def _alert_text(payload: Any) -> str:
    """Return what the phone shows."""
    alert = payload["aps"]["alert"]
    return str(alert["body"] if isinstance(alert, dict) else alert)


def _with_token(info: Info, token: str) -> Info:
    return replace(info, access_token=AccessToken(token))
